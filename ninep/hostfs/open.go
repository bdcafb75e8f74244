// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// Flags of open(2) as 9P2000.L numbers them: octal, as on x86 and in asm-generic.
// Some other architectures have other numbers.
const (
	lAccMode   = 0o0000003
	lExcl      = 0o0000200
	lTrunc     = 0o0001000
	lAppend    = 0o0002000
	lDSync     = 0o0010000
	lDirectory = 0o0200000
	lNoATime   = 0o1000000
	lSync      = 0o4000000 // __O_SYNC: O_SYNC is this and lDSync
)

// hostFlags translates the flags of an open. Left out are those that mean nothing
// to a server (O_NONBLOCK, O_ASYNC, O_NOCTTY, O_NOFOLLOW, O_LARGEFILE), that are
// not for an existing file (O_CREAT, O_EXCL), and O_DIRECT, for which the guest's
// buffers would have to be aligned to the host's blocks.
//
// O_APPEND is kept for files that are only written, so that logs to which the host
// or another guest writes too do not lose lines. It is left out together with
// O_RDWR: a Linux client with a writeback cache turns O_WRONLY to O_RDWR and
// keeps O_APPEND, and then writes its pages through that fid, at their offsets and
// more than once. Appended, they would be there twice. The client works out the
// offset of an append itself.
func hostFlags(flags uint32) int {
	host := unix.O_CLOEXEC | unix.O_NOCTTY
	switch flags & lAccMode {
	case 0:
		host |= unix.O_RDONLY
	case 1:
		host |= unix.O_WRONLY
		if flags&lAppend != 0 {
			host |= unix.O_APPEND
		}
	default: // 2; and Linux' 3, for neither reading nor writing, takes the right to both
		host |= unix.O_RDWR
	}
	if flags&lTrunc != 0 {
		host |= unix.O_TRUNC
	}
	if flags&lDSync != 0 {
		host |= unix.O_DSYNC
	}
	if flags&lSync != 0 {
		host |= unix.O_SYNC
	}
	if flags&lDirectory != 0 {
		host |= unix.O_DIRECTORY
	}
	if flags&lNoATime != 0 {
		host |= unix.O_NOATIME
	}
	return host
}

// changes reports whether a file opened with the flags can be changed, or is.
func changes(flags int) bool {
	return flags&unix.O_ACCMODE != unix.O_RDONLY || flags&unix.O_TRUNC != 0
}

// Open implements ninep.File.
func (f *file) Open(c *ninep.Call, flags uint32) (ninep.QID, error) {
	host := hostFlags(flags)
	if f.open != nil {
		return ninep.QID{}, unix.EINVAL
	}
	t := f.thread(c)
	if e := t.cuts(f.at.fs, f.n, host, c.UID); e != 0 {
		return ninep.QID{}, e
	}
	fd, e := f.at.fs.openNode(t, f.n, host)
	if e != 0 {
		return ninep.QID{}, e
	}
	if e := statx(t, fd, empty, unix.AT_EMPTY_PATH, statxQID&^unix.STATX_MNT_ID|unix.STATX_MODE); e != 0 {
		f.at.fs.fds.close(fd)
		return ninep.QID{}, e
	}
	f.open = f.at.fs.newHandle(f.n, fd, host)
	f.open.lockMark = isLockMark(t.stx.Mode)
	return f.n.qid(&t.stx), nil
}

// openNode opens the inode that n holds, by descriptor and never by name. Only
// regular files and directories: opening others can block, or do things to devices.
func (fs *FS) openNode(t *thread, n *node, flags int) (int32, unix.Errno) {
	if fs.readOnly && changes(flags) {
		return -1, unix.EROFS
	}
	switch n.typ {
	case unix.S_IFREG, unix.S_IFDIR:
	case unix.S_IFLNK:
		return -1, unix.ELOOP
	default:
		return -1, unix.ENXIO
	}
	if flags&unix.O_TRUNC != 0 {
		if e := fs.shedCaps(t, n); e != 0 {
			return -1, e
		}
	}
	fd, e := fs.reopen(t, n, flags)
	if e == unix.EPERM && flags&unix.O_NOATIME != 0 {
		// That is for the file's owner, and only a wish.
		fd, e = fs.reopen(t, n, flags&^unix.O_NOATIME)
	}
	return fd, e
}

func (fs *FS) reopen(t *thread, n *node, flags int) (int32, unix.Errno) {
	path, e := n.pin(t)
	if e != 0 {
		return -1, e
	}
	defer n.unpin()
	flags |= unix.O_CLOEXEC | unix.O_NOCTTY
	if n.isDir() {
		// Cheaper, but it takes the right to search and not only to read.
		fd, e := openat(t, path, dot, flags)
		if e != unix.EACCES {
			return fd, e
		}
	}
	return openat(t, fs.procFD, t.cfd(path), flags)
}
