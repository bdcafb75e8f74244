// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/qidpath"
)

func TestModelNames(t *testing.T) {
	for _, name := range modelNames {
		m, ok := ParseModel(name)
		if !ok || m.String() != name {
			t.Errorf("%q is %v, %v", name, m, ok)
		}
	}
	for _, name := range []string{"", "mapped ", "Passthrough", "unknown"} {
		if m, ok := ParseModel(name); ok {
			t.Errorf("%q is %v", name, m)
		}
	}
	root, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if fs, err := New(Config{Root: root, QIDPaths: qidpath.New(qidpath.Config{}), Model: 99}); err == nil {
		_ = fs.Close()
		t.Error("there is a model 99")
	}
}

// asUser makes the goroutine's thread, for good, that of a user without capabilities.
func asUser(t *testing.T, id uint32) {
	t.Helper()
	for _, trap := range []uintptr{unix.SYS_SETRESGID, unix.SYS_SETRESUID} {
		if _, _, e := unix.RawSyscall(trap, uintptr(id), uintptr(id), uintptr(id)); e != 0 {
			t.Fatal(e)
		}
	}
	if effectiveCaps(t) != 0 {
		t.Skip("needs to get rid of capabilities")
	}
}

// newUnprivilegedRig serves a directory as its owner, a user without capabilities. The
// privileged caller can prepare it.
func newUnprivilegedRig(t *testing.T, cfg Config, prepare func(dir string)) *rig {
	t.Helper()
	needCaps(t, unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_CHOWN)
	dir, err := os.MkdirTemp("", "unprivileged")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		done := make(chan error)
		go func() { done <- os.RemoveAll(dir) }() // not on this thread
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	const id = 4321
	if err := os.Chown(dir, id, id); err != nil {
		t.Fatal(err)
	}
	prepare(dir)
	runtime.LockOSThread()
	asUser(t, id)
	return newRigAt(t, dir, cfg)
}

func TestNoneKeepsOwnersToItself(t *testing.T) {
	for _, model := range []Model{Passthrough, None} {
		t.Run(model.String(), func(t *testing.T) {
			r := newUnprivilegedRig(t, Config{Model: model}, func(dir string) {
				if err := os.WriteFile(filepath.Join(dir, "another's"), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			})
			r.c.UID = 1000
			_, err := r.root.Mkdir(r.c, ninep.Name("d"), 0o750, 1000)
			r.must(err)
			d := r.walk("d")
			for _, set := range []ninep.SetAttr{
				{Valid: ninep.SetUID, UID: 1000},
				{Valid: ninep.SetUID | ninep.SetGID | ninep.SetMode, UID: 0, GID: 0, Mode: 0o700},
			} {
				err = d.SetAttr(r.c, &set)
				if model == None {
					r.must(err)
				} else {
					r.want(err, unix.EPERM)
				}
			}
			want := uint32(0o750)
			if model == None {
				want = 0o700 // a mode that came with an owner
			}
			if a := r.attr(d); a.UID != 4321 || a.GID != 4321 || a.Mode&0o7777 != want {
				t.Errorf("owner %d:%d, mode %o", a.UID, a.GID, a.Mode)
			}
			chmod := ninep.SetAttr{Valid: ninep.SetMode, Mode: 0o700}
			r.want(r.walk("another's").SetAttr(r.c, &chmod), unix.EPERM)
		})
	}
}
