// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Mount mounts what needs no Disk, such as a tmpfs or an overlay, with the flags and the
// options of mount(2), until Unmount. The mount point is made if it is missing.
func Mount(t testing.TB, source, target, fsType string, flags uintptr, options string) {
	t.Helper()
	NeedRoot(t)
	if err := os.MkdirAll(target, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(source, target, fsType, flags, options); err != nil {
		t.Fatalf("mounting %s %s at %s: %v", fsType, source, target, err)
	}
}

// Unmount takes away what Mount has mounted, if it is still there.
func Unmount(t testing.TB, target string) {
	t.Helper()
	err := unmount(target)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) { // not there any more
		return
	}
	if err != nil {
		t.Errorf("unmounting: %v", err)
	}
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
