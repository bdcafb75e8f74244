// SPDX-License-Identifier: Apache-2.0

package hostfs

import "golang.org/x/sys/unix"

// traits are what must be known of a file system, which a mount has one of.
type traits uint8

const (
	// anyUser: with the daemon's capabilities, it does not matter which user asks
	// for something that makes no file. Servers can judge that themselves.
	anyUser traits = 1 << iota
	// subvolumes: directories can have another device than the one they are in.
	subvolumes
	// ownNumbers: the inode numbers of directory entries are not those of stat.
	ownNumbers
)

const (
	zfsMagic      = 0x2fc12fc1
	bcachefsMagic = 0xca451a4e
)

// traitsOf returns the traits of the file system that fd is on: of one that is not
// known, or does not answer, the least is expected.
func traitsOf(t *thread, fd int32) traits {
	if e := fstatfs(t, fd); e != 0 {
		return ownNumbers
	}
	switch uint32(t.sfs.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.F2FS_SUPER_MAGIC, zfsMagic:
		return anyUser
	case unix.BTRFS_SUPER_MAGIC, bcachefsMagic:
		return anyUser | subvolumes
	case unix.OVERLAYFS_SUPER_MAGIC: // which asks below as the one who mounted it
		return anyUser | ownNumbers
	}
	return 0
}
