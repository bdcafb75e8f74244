// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// DiskConfig says what file system is on a Disk. The zero value is ext4 with blocks of
// 4 KiB, 64 MiB of it.
type DiskConfig struct {
	// Type is the file system's type. If not set: "ext4".
	Type string
	// Size is the image's, in bytes; what is never written takes no room. If not set:
	// 64 MiB, and what the others need at least.
	Size int64
	// BlockSize is that of an ext4 file system, in bytes. If not set: 4096.
	BlockSize int
}

func (c DiskConfig) withDefaults() DiskConfig {
	c.Type = cmp.Or(c.Type, "ext4")
	c.Size = cmp.Or(c.Size, map[string]int64{"xfs": 320 << 20, "btrfs": 128 << 20}[c.Type], 64<<20)
	c.BlockSize = cmp.Or(c.BlockSize, 4096)
	return c
}

func (c DiskConfig) mkfs(image string) []string {
	switch c.Type {
	case "ext4":
		return []string{"-q", "-F", "-m", "0", "-b", fmt.Sprint(c.BlockSize), image}
	default:
		return []string{"-q", "-f", image}
	}
}

// Disk is an image with a file system on it, that can be attached to a loop device and
// mounted.
type Disk struct {
	t      testing.TB
	image  string
	fsType string
	mount  string // where it is mounted; empty: nowhere
	device string // the loop device that it is attached to; empty: none
}

// MakeDisk makes a file system in an image, which is there for the rest of the test.
func MakeDisk(t testing.TB, c DiskConfig) *Disk {
	t.Helper()
	NeedRoot(t)
	c = c.withDefaults()
	needProgram(t, "mkfs."+c.Type)
	d := &Disk{t: t, image: filepath.Join(Dir(t), "image"), fsType: c.Type}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, c.Size); err != nil {
		t.Fatal(err)
	}
	run(t, "mkfs."+c.Type, c.mkfs(d.image)...)
	t.Cleanup(d.Detach)
	return d
}

// MountDisk makes a file system in an image and mounts it for the rest of the test. The
// mount point is made if it is missing.
func MountDisk(t testing.TB, mount string) {
	t.Helper()
	MakeDisk(t, DiskConfig{}).Mount(mount, 0)
}

// Copy makes a copy of the image, with the same UUID on it. It must not be mounted.
func (d *Disk) Copy() *Disk {
	d.t.Helper()
	c := &Disk{t: d.t, image: filepath.Join(Dir(d.t), "image"), fsType: d.fsType}
	run(d.t, "cp", "--sparse=always", d.image, c.image)
	d.t.Cleanup(c.Detach)
	return c
}

// Attach attaches the image to a loop device that is free, if it is not attached.
func (d *Disk) Attach() {
	d.t.Helper()
	if d.device == "" {
		d.device = run(d.t, "losetup", "--find", "--show", d.image)
	}
}

// Mount mounts the file system, with flags of mount(2). The mount point is made if it is
// missing.
func (d *Disk) Mount(dir string, flags uintptr) {
	d.t.Helper()
	d.Attach()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := unix.Mount(d.device, dir, d.fsType, flags, ""); err != nil {
		d.t.Fatalf("mounting %s: %v", d.device, err)
	}
	d.mount = dir
}

// Unmount unmounts the file system, if it is mounted.
func (d *Disk) Unmount() {
	d.t.Helper()
	if d.mount == "" {
		return
	}
	if err := unmount(d.mount); err != nil {
		d.t.Errorf("unmounting: %v", err)
	}
	d.mount = ""
}

// Detach takes the file system and the loop device away, if they are there.
func (d *Disk) Detach() {
	d.t.Helper()
	d.Unmount()
	if d.device != "" {
		detach(d.t, d.device)
		d.device = ""
	}
}

// detach detaches what is attached to a loop device. The kernel lets go of it when its
// last user has.
func detach(t testing.TB, device string) {
	t.Helper()
	if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil {
		t.Errorf("losetup --detach %s: %v\n%s", device, err, out)
	}
	backing := filepath.Join("/sys/block", filepath.Base(device), "loop/backing_file")
	for range 500 {
		if _, err := os.Stat(backing); err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%s is still in use", device)
}

// RotateDevices gives each of several disks, which are attached and not mounted, the loop
// device of the one before it. No device is free for longer than a moment, as others look
// for one, too.
func RotateDevices(t testing.TB, disks []*Disk) {
	t.Helper()
	wanted := disks[len(disks)-1].device
	for _, d := range disks {
		detach(t, wanted)
		Eventually(t, time.Minute, func() error {
			if out, err := exec.Command("losetup", wanted, d.image).CombinedOutput(); err != nil {
				return fmt.Errorf("losetup %s: %w\n%s", wanted, err, out)
			}
			return nil
		})
		d.device, wanted = wanted, d.device // for a moment it is attached to both
	}
}

// run runs a program and returns what it has written.
func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return strings.TrimSpace(string(out))
}

// needProgram skips a test that cannot run without a program.
func needProgram(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("missing capability: the program %s", name)
	}
}
