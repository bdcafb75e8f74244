// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

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
	// ownClock: change times are by this machine's clock, in its ticks at worst.
	ownClock
	// exactTimes: a change that follows a look has another change time.
	exactTimes
	// ownFlock: locks of flock(2) and of fcntl(2) are two things. Servers' file systems
	// turn one into the other.
	ownFlock
	// volatileHandles: file handles are good only as long as the inode is in memory.
	volatileHandles
)

const (
	zfsMagic      = 0x2fc12fc1
	fuseMagic     = 0x65735546
	bcachefsMagic = 0xca451a4e
)

// traitsOf returns the traits of the file system that fd is on: of one that is not
// known, or does not answer, the least is expected.
func traitsOf(t *thread, fd int32) traits {
	if e := fstatfs(t, fd); e != 0 {
		return ownNumbers
	}
	switch uint32(t.sfs.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.TMPFS_MAGIC:
		return anyUser | ownClock | ownFlock | multigrain
	case unix.BTRFS_SUPER_MAGIC:
		return anyUser | ownClock | ownFlock | multigrain | subvolumes
	case unix.F2FS_SUPER_MAGIC, zfsMagic:
		return anyUser | ownClock | ownFlock
	case bcachefsMagic:
		return anyUser | ownClock | ownFlock | subvolumes
	case unix.OVERLAYFS_SUPER_MAGIC: // which asks below as the one who mounted it
		return anyUser | ownNumbers | ownFlock
	case fuseMagic, unix.MSDOS_SUPER_MAGIC:
		return volatileHandles
	}
	return 0
}

// multigrain is exactTimes where the kernel has multigrain timestamps (inode.i_ctime with
// FS_MGTIME), else nothing. That cannot be asked for. The same four file systems have had
// them from the beginning.
var multigrain = func() traits {
	var u unix.Utsname
	if unix.Uname(&u) == nil && releaseAtLeast(unix.ByteSliceToString(u.Release[:]), 6, 13) {
		return exactTimes
	}
	return 0
}()

// releaseAtLeast reports whether a kernel's release, such as 6.12.5-arch, is a version or
// a later one.
func releaseAtLeast(release string, major, minor int) bool {
	first, rest, _ := strings.Cut(release, ".")
	if i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		rest = rest[:i]
	}
	have, err := strconv.Atoi(first)
	if err != nil || have != major {
		return err == nil && have > major
	}
	have, err = strconv.Atoi(rest)
	return err == nil && have >= minor
}
