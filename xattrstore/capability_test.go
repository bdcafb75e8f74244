// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/pkg/xattr"
	"golang.org/x/sys/unix"
)

// need skips the test if the machine lacks a capability, and names it.
func need(t testing.TB, capability string, err error) {
	t.Helper()
	if err != nil {
		t.Skipf("needs %s: %v", capability, err)
	}
}

func needRoot(t testing.TB) {
	t.Helper()
	var err error
	if os.Geteuid() != 0 {
		err = errors.New("not root")
	}
	need(t, "root", err)
}

// xattrDir returns an empty directory in parent, or in the usual temporary
// folder, that holds user attributes.
func xattrDir(t testing.TB, parent string) string {
	t.Helper()
	dir, err := os.MkdirTemp(parent, "xattrstore")
	need(t, "a writable "+parent, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	need(t, "user attributes in "+dir, xattr.Set(dir, "user.test", nil))
	if err := xattr.Remove(dir, "user.test"); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tmpfsDir returns an empty directory on a tmpfs: fast, and with values of 64 KiB.
func tmpfsDir(t testing.TB) string {
	t.Helper()
	const path = "/dev/shm"
	var fs unix.Statfs_t
	err := unix.Statfs(path, &fs)
	if err == nil && fs.Type != unix.TMPFS_MAGIC {
		err = errors.New("another file system")
	}
	need(t, "a tmpfs at "+path, err)
	return xattrDir(t, path)
}

// loopMount makes a file system of size MiB in a file, and returns where it is
// mounted.
func loopMount(t testing.TB, size int64, mkfs ...string) string {
	t.Helper()
	needRoot(t)
	_, err := exec.LookPath(mkfs[0])
	need(t, mkfs[0], err)

	dir := t.TempDir()
	image, mnt := filepath.Join(dir, "image"), filepath.Join(dir, "mnt")
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := errors.Join(f.Truncate(size<<20), os.Mkdir(mnt, 0o700)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(mkfs[0], append(mkfs[1:], image)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", mkfs, err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop", image, mnt).CombinedOutput(); err != nil {
		need(t, "loop mounts of what "+mkfs[0]+" makes", errors.New(string(out)))
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", mnt).CombinedOutput(); err != nil {
			t.Errorf("umount: %v\n%s", err, out)
		}
	})
	return mnt
}
