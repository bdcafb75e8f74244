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

// disk is an image with an ext4 file system.
type disk struct {
	t      testing.TB
	image  string
	mount  string // where it is mounted; empty: nowhere
	device string // the loop device that it is attached to; empty: none
}

// MountDisk makes a file system in an image and mounts it for the rest of the test. The
// mount point is made if it is missing.
func MountDisk(t testing.TB, mount string) {
	t.Helper()
	NeedRoot(t)
	d := &disk{t: t, image: filepath.Join(Dir(t), "image")}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, 64<<20); err != nil {
		t.Fatal(err)
	}
	d.run("mkfs.ext4", "-q", "-F", "-b", "4096", d.image)
	t.Cleanup(d.detach)
	d.device = d.run("losetup", "--find", "--show", d.image)
	if err := os.MkdirAll(mount, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(d.device, mount, "ext4", 0, ""); err != nil {
		t.Fatalf("mounting %s: %v", d.device, err)
	}
	d.mount = mount
}

func (d *disk) run(name string, args ...string) string {
	d.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		d.t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return strings.TrimSpace(string(out))
}

// detach takes the file system and the loop device away, if they are there.
func (d *disk) detach() {
	d.t.Helper()
	if d.mount != "" {
		if err := unmount(d.mount); err != nil {
			d.t.Errorf("unmounting: %v", err)
		}
		d.mount = ""
	}
	if d.device == "" {
		return
	}
	if out, err := exec.Command("losetup", "--detach", d.device).CombinedOutput(); err != nil {
		d.t.Errorf("losetup --detach %s: %v\n%s", d.device, err, out)
	}
	// The kernel lets go of the device when its last user has.
	backing := filepath.Join("/sys/block", filepath.Base(d.device), "loop/backing_file")
	for range 500 {
		if _, err := os.Stat(backing); err != nil {
			d.device = ""
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	d.t.Errorf("%s is still in use", d.device)
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
