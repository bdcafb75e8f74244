// SPDX-License-Identifier: Apache-2.0

package fsid

// ioctl(2) with structs that package unix does not have. The pointers are sound: each
// is converted in the argument list of the system call, and the struct is as large as
// the number of the ioctl says (the 14 bits from bit 16), which the kernel keeps to.

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// From linux/fs.h, fs/ext4/ext4.h and xfs_fs.h.
const (
	fsIocGetFSUUID   = 0x80111500 // _IOR(0x15, 0, struct fsuuid2)
	ext4IocGetFSUUID = 0x8008662c // _IOR('f', 44, struct fsuuid), and its bytes behind it
	xfsIocFSGeometry = 0x8100587e // _IOR('X', 126, struct xfs_fsop_geom)
)

// fsuuid2 is struct fsuuid2.
type fsuuid2 struct {
	len  uint8
	uuid [16]byte
}

// getFSUUID is how any file system is asked.
func getFSUUID(fd int) (Identity, bool) {
	var u fsuuid2
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), fsIocGetFSUUID, uintptr(unsafe.Pointer(&u))); e != 0 || u.len != 16 {
		return Identity{}, false
	}
	return u.uuid, true
}

// ext4UUID is how ext4 is asked since Linux 6.0.
func ext4UUID(fd int) (Identity, bool) {
	u := struct {
		len, flags uint32
		uuid       [16]byte
	}{len: 16}
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), ext4IocGetFSUUID, uintptr(unsafe.Pointer(&u))); e != 0 || u.len != 16 {
		return Identity{}, false
	}
	return u.uuid, true
}

// xfsGeometry is struct xfs_fsop_geom.
type xfsGeometry struct {
	_    [64]byte
	uuid [16]byte
	_    [176]byte
}

// xfsUUID is how XFS is asked, on any kernel since 5.2.
func xfsUUID(fd int) (Identity, bool) {
	var g xfsGeometry
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), xfsIocFSGeometry, uintptr(unsafe.Pointer(&g))); e != 0 {
		return Identity{}, false
	}
	return g.uuid, true
}
