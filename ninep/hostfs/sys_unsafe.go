// SPDX-License-Identifier: Apache-2.0

package hostfs

// System calls on memory that lies in a thread, in the peer's memory or in static
// variables. The pointers are sound because each is converted to uintptr in an
// argument list of a function that is marked go:uintptrescapes: that keeps the
// memory alive over the call, and off the stack, which could move (or in that of
// syscall.Syscall6, for which the compiler does the same). The kernel writes
// at most what the types say: sizes are those of the structs, lengths those of the
// slices.

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Static names, with their NUL.
var (
	emptyName  = [1]byte{0}
	dotName    = [2]byte{'.', 0}
	dotdotName = [3]byte{'.', '.', 0}

	empty  = &emptyName[0]
	dot    = &dotName[0]
	dotdot = &dotdotName[0]
)

// resolveName is how a single name is resolved: to what stands in that directory,
// or is mounted there, and nothing else. resolveUp lets ".." be followed.
const (
	resolveName = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_SYMLINKS
	resolveUp   = unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_SYMLINKS
)

// syscall6 makes a system call, again if a signal interrupted it: the runtime sends
// them, and FUSE servers do answer them. It is not RawSyscall: any call on a file can
// take long. The syscall package's Syscall6 has its arguments in registers, x/sys's on the stack.
//
//go:uintptrescapes
func syscall6(trap, a1, a2, a3, a4, a5, a6 uintptr) (uintptr, unix.Errno) {
	for {
		r, _, e := syscall.Syscall6(trap, a1, a2, a3, a4, a5, a6)
		if e != unix.EINTR {
			return r, e
		}
	}
}

// syscall3 is syscall6 for up to three arguments.
//
//go:uintptrescapes
func syscall3(trap, a1, a2, a3 uintptr) (uintptr, unix.Errno) {
	return syscall6(trap, a1, a2, a3, 0, 0, 0)
}

// statx fills t.stx. It is on the way of nearly all requests, and so makes the system call itself,
// and is written such that the compiler puts it into its callers: each function that has called it
// costs a return that the processor predicts wrong, where the kernel's own returns leave it no
// memory of them (Safe RET, a mitigation on AMD).
func statx(t *thread, dirfd int32, name *byte, flags uintptr, mask uint32) (e unix.Errno) {
	for {
		if _, _, e = syscall.Syscall6(unix.SYS_STATX, uintptr(dirfd), uintptr(unsafe.Pointer(name)),
			flags, uintptr(mask), uintptr(unsafe.Pointer(&t.stx)), 0); e != unix.EINTR {
			return
		}
	}
}

// maxAgain bounds how often openat2 is tried when a rename elsewhere made the
// kernel unsure that a lookup stayed beneath the directory (EAGAIN), or took what was
// looked up away before it could be opened (EXDEV; ".." aside, nothing else leads out).
const maxAgain = 64

func openat2(t *thread, dirfd int32, name *byte, flags int, mode uint32, resolve uint64) (int32, unix.Errno) {
	if e := t.fs.room(t); e != 0 {
		return -1, e
	}
	t.how = unix.OpenHow{Flags: uint64(flags), Mode: uint64(mode), Resolve: resolve}
	for try := 0; ; try++ {
		fd, e := syscall6(unix.SYS_OPENAT2, uintptr(dirfd), uintptr(unsafe.Pointer(name)),
			uintptr(unsafe.Pointer(&t.how)), unsafe.Sizeof(t.how), 0, 0)
		switch {
		case e == 0:
			t.fs.fds.used.Add(1)
			return int32(fd), 0
		case (e == unix.EAGAIN || e == unix.EXDEV) && try < maxAgain, e == unix.EMFILE && t.retryOpen(try):
		case e == unix.EXDEV:
			return -1, unix.ENOENT // there never, when looked for
		default:
			return -1, openError(e)
		}
	}
}

// openat is for what openat2 is too strict for: magic links, and "." of a
// directory that is held already.
func openat(t *thread, dirfd int32, name *byte, flags int) (int32, unix.Errno) {
	if e := t.fs.room(t); e != 0 {
		return -1, e
	}
	for try := 0; ; try++ {
		fd, e := syscall6(unix.SYS_OPENAT, uintptr(dirfd), uintptr(unsafe.Pointer(name)),
			uintptr(flags), 0, 0, 0)
		switch {
		case e == 0:
			t.fs.fds.used.Add(1)
			return int32(fd), 0
		case e == unix.EMFILE && t.retryOpen(try):
		default:
			return -1, openError(e)
		}
	}
}

// nameToHandle sets t.fh to the handle of the file fd.
func nameToHandle(t *thread, fd int32) unix.Errno {
	t.fh.size = uint32(len(t.fh.data))
	_, e := syscall6(unix.SYS_NAME_TO_HANDLE_AT, uintptr(fd), uintptr(unsafe.Pointer(empty)),
		uintptr(unsafe.Pointer(&t.fh)), uintptr(unsafe.Pointer(&t.mountID)), unix.AT_EMPTY_PATH, 0)
	if e == 0 && (t.fh.typ < 0 || t.fh.typ > maxHandleType) {
		return unix.EOPNOTSUPP
	}
	return e
}

// openByHandle opens (O_PATH) the file with a packed handle on the mount that the
// directory mount is on.
func openByHandle(t *thread, mount int32, handle []byte) (int32, unix.Errno) {
	if e := t.fs.room(t); e != 0 {
		return -1, e
	}
	t.fh.unpack(handle)
	fd, e := syscall3(unix.SYS_OPEN_BY_HANDLE_AT, uintptr(mount), uintptr(unsafe.Pointer(&t.fh)), openPath)
	if e != 0 {
		return -1, openError(e)
	}
	t.fs.fds.used.Add(1)
	return int32(fd), 0
}

// retryOpen is asked when the process has no descriptor left, although there should
// be room: something else has taken more than its share.
func (t *thread) retryOpen(try int) bool { return try < maxAgain && !t.claiming && t.fs.evict(t) }

// openError hides from guests whose limit it is that no more files can be open.
func openError(e unix.Errno) unix.Errno {
	if e == unix.EMFILE {
		return unix.ENFILE
	}
	return e
}

// closeFD is not tried again: on Linux the descriptor is gone in any case. What
// openat and openat2 opened is closed by descriptors.close.
func closeFD(fd int32) { _, _, _ = unix.Syscall(unix.SYS_CLOSE, uintptr(fd), 0, 0) }

// preadv reads at off, with flags of preadv2(2), into as many pieces as it is told. It makes the
// system call itself, in its callers, as statx.
func preadv(fd int32, iov *unix.Iovec, pieces int, off uint64, flags uintptr) (n uintptr, e unix.Errno) {
	for {
		if n, _, e = syscall.Syscall6(unix.SYS_PREADV2, uintptr(fd), uintptr(unsafe.Pointer(iov)),
			uintptr(pieces), uintptr(off), 0, flags); e != unix.EINTR {
			return
		}
	}
}

// pwritev writes at off, as preadv reads.
func pwritev(fd int32, iov *unix.Iovec, pieces int, off uint64) (n uintptr, e unix.Errno) {
	for {
		if n, _, e = syscall.Syscall6(unix.SYS_PWRITEV, uintptr(fd), uintptr(unsafe.Pointer(iov)),
			uintptr(pieces), uintptr(off), 0, 0); e != unix.EINTR {
			return
		}
	}
}

// pwrite is pwritev for one piece, as a page is: that is written in less time if the kernel need not
// fetch the iovec.
func pwrite(fd int32, piece *unix.Iovec, off uint64) (n uintptr, e unix.Errno) {
	for {
		if n, _, e = syscall.Syscall6(unix.SYS_PWRITE64, uintptr(fd), uintptr(unsafe.Pointer(piece.Base)),
			uintptr(piece.Len), uintptr(off), 0, 0); e != unix.EINTR {
			return
		}
	}
}

// skip takes the first n bytes off v.
//
// Preconditions: n < v.Len.
func skip(v *unix.Iovec, n int) {
	v.Base = (*byte)(unsafe.Add(unsafe.Pointer(v.Base), n))
	v.SetLen(int(v.Len) - n)
}

func getdents64(fd int32, buf []byte) (int, unix.Errno) {
	n, e := syscall3(unix.SYS_GETDENTS64, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
	return int(n), e
}

func fstatfs(t *thread, fd int32) unix.Errno {
	_, e := syscall3(unix.SYS_FSTATFS, uintptr(fd), uintptr(unsafe.Pointer(&t.sfs)), 0)
	return e
}

func readlinkat(dirfd int32, name *byte, buf []byte) (int, unix.Errno) {
	n, e := syscall6(unix.SYS_READLINKAT, uintptr(dirfd), uintptr(unsafe.Pointer(name)),
		uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0)
	return int(n), e
}

func fchownat(dirfd int32, name *byte, uid, gid uint32, flags int) unix.Errno {
	_, e := syscall6(unix.SYS_FCHOWNAT, uintptr(dirfd), uintptr(unsafe.Pointer(name)),
		uintptr(uid), uintptr(gid), uintptr(flags), 0)
	return e
}

func fchmodat2(dirfd int32, name *byte, mode uint32, flags int) unix.Errno {
	_, e := syscall6(unix.SYS_FCHMODAT2, uintptr(dirfd), uintptr(unsafe.Pointer(name)),
		uintptr(mode), uintptr(flags), 0, 0)
	return e
}

// fchmodat follows symlinks.
func fchmodat(dirfd int32, name *byte, mode uint32) unix.Errno {
	_, e := syscall3(unix.SYS_FCHMODAT, uintptr(dirfd), uintptr(unsafe.Pointer(name)), uintptr(mode))
	return e
}

// utimensat sets t.ts.
func utimensat(t *thread, dirfd int32, name *byte, flags int) unix.Errno {
	_, e := syscall6(unix.SYS_UTIMENSAT, uintptr(dirfd), uintptr(unsafe.Pointer(name)),
		uintptr(unsafe.Pointer(&t.ts[0])), uintptr(flags), 0, 0)
	return e
}

func mkdirat(dirfd int32, name *byte, mode uint32) unix.Errno {
	_, e := syscall3(unix.SYS_MKDIRAT, uintptr(dirfd), uintptr(unsafe.Pointer(name)), uintptr(mode))
	return e
}

func mknodat(dirfd int32, name *byte, mode uint32, dev uint64) unix.Errno {
	_, e := syscall6(unix.SYS_MKNODAT, uintptr(dirfd), uintptr(unsafe.Pointer(name)),
		uintptr(mode), uintptr(dev), 0, 0)
	return e
}

func symlinkat(target *byte, dirfd int32, name *byte) unix.Errno {
	_, e := syscall3(unix.SYS_SYMLINKAT, uintptr(unsafe.Pointer(target)), uintptr(dirfd), uintptr(unsafe.Pointer(name)))
	return e
}

func linkat(oldDir int32, oldName *byte, newDir int32, newName *byte, flags int) unix.Errno {
	_, e := syscall6(unix.SYS_LINKAT, uintptr(oldDir), uintptr(unsafe.Pointer(oldName)),
		uintptr(newDir), uintptr(unsafe.Pointer(newName)), uintptr(flags), 0)
	return e
}

func unlinkat(dirfd int32, name *byte, flags uint32) unix.Errno {
	_, e := syscall3(unix.SYS_UNLINKAT, uintptr(dirfd), uintptr(unsafe.Pointer(name)), uintptr(flags))
	return e
}

func renameat2(oldDir int32, oldName *byte, newDir int32, newName *byte, flags uint32) unix.Errno {
	_, e := syscall6(unix.SYS_RENAMEAT2, uintptr(oldDir), uintptr(unsafe.Pointer(oldName)),
		uintptr(newDir), uintptr(unsafe.Pointer(newName)), uintptr(flags), 0)
	return e
}

// ppollNow reports whether anything is to be said about p, without waiting.
func ppollNow(p *unix.PollFd) (bool, unix.Errno) {
	p.Revents = 0
	n, e := syscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(p)), 1,
		uintptr(unsafe.Pointer(&noTime)), 0, 0, 0)
	return e == 0 && n > 0, e
}

var noTime unix.Timespec

func ftruncate(fd int32, size uint64) unix.Errno {
	_, e := syscall3(unix.SYS_FTRUNCATE, uintptr(fd), uintptr(size), 0)
	return e
}

func lseek(fd int32, off uint64) unix.Errno {
	_, e := syscall3(unix.SYS_LSEEK, uintptr(fd), uintptr(off), unix.SEEK_SET)
	return e
}

func fsync(fd int32, dataOnly bool) unix.Errno {
	trap := uintptr(unix.SYS_FSYNC)
	if dataOnly {
		trap = unix.SYS_FDATASYNC
	}
	_, e := syscall3(trap, uintptr(fd), 0, 0)
	return e
}

func syncFileRange(fd int32, off uint64, n int, flags int) unix.Errno {
	_, e := syscall6(unix.SYS_SYNC_FILE_RANGE, uintptr(fd), uintptr(off), uintptr(n), uintptr(flags), 0, 0)
	return e
}
