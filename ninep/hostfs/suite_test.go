// SPDX-License-Identifier: Apache-2.0

package hostfs_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/hostfs"
	"vhost-user-9p/ninep/ninetest"
	"vhost-user-9p/qidpath"
)

func TestConformance(t *testing.T) {
	ninetest.Run(t, ninetest.Config{
		Lacks: ninetest.Lacks{SetIDBits: true},
		New: func(t testing.TB) ninep.Backend {
			root, err := os.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			fs, err := hostfs.New(hostfs.Config{Root: root, QIDPaths: qidpath.New(qidpath.Config{})})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { fs.Close() })
			return fs
		},
	})
}

func TestMain(m *testing.M) {
	unix.Umask(0)
	os.Exit(m.Run())
}
