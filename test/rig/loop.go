// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Disk is an image with an ext4 file system, and the loop device that it is attached to.
type Disk struct {
	Mount  string // where it is mounted; empty: nowhere
	Device string // its loop device; empty: none

	t     testing.TB
	image string
}

// NewDisk makes a file system in an image, attaches and mounts it.
func NewDisk(t testing.TB, mount string) *Disk {
	t.Helper()
	NeedRoot(t)
	d := &Disk{t: t, image: filepath.Join(Dir(t), "image")}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, 64<<20); err != nil {
		t.Fatal(err)
	}
	mkfs, err := exec.LookPath("mkfs.ext4")
	if err != nil {
		t.Fatalf("mkfs.ext4 (e2fsprogs) is missing: %v", err)
	}
	d.run(mkfs, "-q", "-F", d.image)
	t.Cleanup(d.Detach)
	d.Attach(mount)
	return d
}

func (d *Disk) run(name string, args ...string) string {
	d.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		d.t.Fatalf("%s: %v\n%s", filepath.Base(name), err, out)
	}
	return strings.TrimSpace(string(out))
}

// Attach attaches the image to the next free loop device and mounts it.
func (d *Disk) Attach(mount string) {
	d.t.Helper()
	d.Device = d.run("losetup", "--find", "--show", d.image)
	if err := os.MkdirAll(mount, 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := unix.Mount(d.Device, mount, "ext4", 0, ""); err != nil {
		d.t.Fatalf("mounting %s: %v", d.Device, err)
	}
	d.Mount = mount
}

// Detach takes the file system and the loop device away, if they are there.
func (d *Disk) Detach() {
	d.t.Helper()
	if d.Mount != "" {
		if err := unmount(d.Mount); err != nil {
			d.t.Errorf("unmounting: %v", err)
		}
		d.Mount = ""
	}
	if d.Device == "" {
		return
	}
	if out, err := exec.Command("losetup", "--detach", d.Device).CombinedOutput(); err != nil {
		d.t.Errorf("losetup --detach %s: %v\n%s", d.Device, err, out)
	}
	// The kernel lets go of the device when its last user has.
	backing := filepath.Join("/sys/block", filepath.Base(d.Device), "loop/backing_file")
	for range 500 {
		if _, err := os.Stat(backing); err != nil {
			d.Device = ""
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	d.t.Errorf("%s is still in use", d.Device)
}

// unmount unmounts a file system, which may be busy for a moment; at last, lazily.
func unmount(mount string) error {
	for range 100 {
		err := unix.Unmount(mount, 0)
		if !errors.Is(err, unix.EBUSY) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return errors.Join(fmt.Errorf("%s was busy for 2 s", mount), unix.Unmount(mount, unix.MNT_DETACH))
}
