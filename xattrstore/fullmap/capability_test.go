// SPDX-License-Identifier: Apache-2.0

package fullmap

import (
	"errors"
	"os"
	"testing"

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

// tmpfsDir returns an empty directory on a tmpfs, which is fast.
func tmpfsDir(t testing.TB) string {
	t.Helper()
	const path = "/dev/shm"
	var fs unix.Statfs_t
	err := unix.Statfs(path, &fs)
	if err == nil && fs.Type != unix.TMPFS_MAGIC {
		err = errors.New("another file system")
	}
	need(t, "a tmpfs at "+path, err)
	dir, err := os.MkdirTemp(path, "fullmap")
	need(t, "a writable "+path, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// smallTmpfs returns where a tmpfs with these options is mounted.
func smallTmpfs(t testing.TB, options string) string {
	t.Helper()
	needRoot(t)
	dir := t.TempDir()
	need(t, "mounts of tmpfs", unix.Mount("tmpfs", dir, "tmpfs", 0, options))
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}
