// SPDX-License-Identifier: Apache-2.0

package memfs_test

import (
	"testing"

	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/memfs"
	"vhost-user-9p/ninep/ninetest"
)

func TestSuite(t *testing.T) {
	ninetest.Run(t, ninetest.Config{
		New: func(t testing.TB) ninep.Backend {
			fs := memfs.New(memfs.Config{})
			t.Cleanup(func() {
				if n := fs.OpenFiles(); n != 0 {
					t.Errorf("%d files were not closed", n)
				}
			})
			return fs
		},
	})
}
