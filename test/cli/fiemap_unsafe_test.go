// SPDX-License-Identifier: Apache-2.0

package cli

// The kernel writes to a struct of the size that it is told, which outlives the call.

import (
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fiemap is struct fiemap of linux/fiemap.h with room for some extents.
type fiemap struct {
	start, length                    uint64
	flags, mapped, extents, reserved uint32
	extent                           [16]struct {
		logical, physical, length uint64
		_                         [2]uint64
		flags                     uint32
		_                         [3]uint32
	}
}

const (
	fsIocFiemap    = 0xc020660b // FS_IOC_FIEMAP
	extentDelalloc = 0x4        // FIEMAP_EXTENT_DELALLOC: it has no place on the disk yet
)

// delayed reports whether a part of a file waits in memory for a place on the disk.
func delayed(t *testing.T, path string) bool {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m := fiemap{length: ^uint64(0), extents: 16}
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, f.Fd(), fsIocFiemap, uintptr(unsafe.Pointer(&m))); e != 0 {
		t.Fatal(e)
	}
	if m.mapped == 0 {
		t.Fatal("the file is empty")
	}
	for _, e := range m.extent[:m.mapped] {
		if e.flags&extentDelalloc != 0 {
			return true
		}
	}
	return false
}
