// SPDX-License-Identifier: Apache-2.0

package hostfs_test

import (
	"os"
	"testing"

	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/hostfs"
	"vhost-user-9p/ninep/ninetest"
	"vhost-user-9p/qidpath"
)

func TestConformance(t *testing.T) {
	for _, model := range []hostfs.Model{hostfs.Passthrough, hostfs.MappedXattr, hostfs.MappedFile} {
		for name, shape := range map[string]int{"whole": 0, "pieces": 13} {
			if name == "whole" && model.Mapped() {
				continue // which is about messages
			}
			t.Run(model.String()+"/"+name, func(t *testing.T) {
				ninetest.Run(t, ninetest.Config{
					New:     func(t testing.TB) ninep.Backend { return newBackend(t, model) },
					Connect: func(t testing.TB, cfg ninep.Config) ninetest.Transport { return connect(t, cfg, shape) },
				})
			})
		}
	}
}

func newBackend(t testing.TB, model hostfs.Model) ninep.Backend {
	root, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	fs, err := hostfs.New(hostfs.Config{Root: root, QIDPaths: qidpath.New(qidpath.Config{}), Model: model})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fs.Close(); err != nil {
			t.Error(err)
		}
	})
	if model.Mapped() {
		// The tests attach as root, whose the directory then is.
		top, _, err := fs.Attach(&ninep.Call{Thread: &ninep.Thread{}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer top.Close(nil)
		c := &ninep.Call{Thread: &ninep.Thread{}}
		if err := top.SetAttr(c, &ninep.SetAttr{Valid: ninep.SetUID | ninep.SetGID}); err != nil {
			t.Fatal(err)
		}
	}
	return fs
}

// connect is what the suite does itself, but gives back what the test leaves.
func connect(t testing.TB, cfg ninep.Config, shape int) ninetest.Transport {
	sess := ninep.NewSession(cfg)
	l := ninetest.NewLocal(sess, shape)
	t.Cleanup(func() {
		l.Close()
		sess.Reset()
	})
	return l
}
