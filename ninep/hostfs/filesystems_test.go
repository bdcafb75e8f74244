// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// onFileSystems runs a test in new file systems of the kinds that people use, each in a
// loop device and mounted for this test's thread only.
func onFileSystems(t *testing.T, run func(t *testing.T, dir string)) {
	for _, fs := range []struct {
		name string
		size int64 // of the image, which has holes
		mkfs []string
	}{
		{"tmpfs", 0, nil},
		{"ext4", 64 << 20, []string{"mkfs.ext4", "-q", "-F"}},
		{"xfs", 320 << 20, []string{"mkfs.xfs", "-q"}},
		{"btrfs", 128 << 20, []string{"mkfs.btrfs", "-q"}},
	} {
		t.Run(fs.name, func(t *testing.T) {
			if fs.mkfs == nil {
				privateMounts(t)
				dir := filepath.Join(t.TempDir(), fs.name)
				if err := os.Mkdir(dir, 0o755); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
				if err := unix.Mount("none", dir, fs.name, 0, ""); err != nil {
					t.Fatal(err)
				}
				run(t, dir)
				return
			}
			run(t, newFileSystem(t, fs.name, fs.size, fs.mkfs...))
		})
	}
}

// newFileSystem makes a file system with a command that takes the image, and mounts it for
// this test's thread only.
func newFileSystem(t *testing.T, name string, size int64, mkfs ...string) string {
	t.Helper()
	privateMounts(t)
	dir := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	if _, err := exec.LookPath(mkfs[0]); err != nil {
		t.Skipf("needs %s", mkfs[0])
	}
	image := dir + ".img"
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, size); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{append(mkfs, image), {"mount", "-o", "loop", "-t", name, image, dir}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			if args[0] == "mount" {
				t.Skipf("needs loop devices and %s in the kernel: %v: %s", name, err, out)
			}
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
	}
	return dir
}
