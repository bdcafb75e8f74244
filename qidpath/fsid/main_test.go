// SPDX-License-Identifier: Apache-2.0

package fsid

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// privateMounts gives the test's thread, which ends with it, its own mounts.
func privateMounts(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		t.Skipf("needs mount namespaces: %v", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
}

// mounted mounts something on a new directory name in dir.
func mounted(t *testing.T, source, dir, name, fsType string, flags uintptr, data string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(source, path, fsType, flags, data); err != nil {
		t.Fatalf("mount -t %s: %v", fsType, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
	return path
}

// image makes a file with a file system in it.
func image(t *testing.T, size int64, mkfs ...string) string {
	t.Helper()
	if _, err := exec.LookPath(mkfs[0]); err != nil {
		t.Skipf("needs %s", mkfs[0])
	}
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	run(t, append(mkfs, path)...)
	return path
}

func run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// attach attaches a loop device to an image.
func attach(t *testing.T, image string) string {
	t.Helper()
	dev := run(t, "losetup", "--find", "--show", image)
	t.Cleanup(func() { run(t, "losetup", "--detach", dev) })
	return dev
}

// of returns the identity of what path is on, asked with and without O_PATH.
func of(t *testing.T, path string) Identity {
	t.Helper()
	var ids []Identity
	for _, flags := range []int{unix.O_PATH, unix.O_RDONLY} {
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		id, err := Of(fd, -1)
		if err != nil {
			t.Error(err)
		}
		_ = unix.Close(fd)
		ids = append(ids, id)
	}
	if ids[0] != ids[1] {
		t.Errorf("%s: %x by O_PATH, else %x", path, ids[0], ids[1])
	}
	return ids[0]
}

func mountinfo(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(text)
}
