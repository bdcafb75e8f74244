// SPDX-License-Identifier: Apache-2.0

package hostfs

// Extended attributes of a node, which no system call reaches through an O_PATH
// descriptor, not even with AT_EMPTY_PATH. But the name N in /proc/self/fd is a
// symlink that leads to what descriptor N holds itself, be that a symlink. Linux 6.13
// has system calls that take a name in a directory; before, a thread makes
// /proc/self/fd its working directory.
//
// The pointers are sound as those in sys_unsafe.go. The one in xattrArgs is kept
// alive by its field's type, and what it points to does not move: it is the
// thread's buffer, or a slice that escapes by being put there.

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// xattrArgs is struct xattr_args.
type xattrArgs struct {
	value unsafe.Pointer
	size  uint32
	flags uint32
}

func (fs *FS) getXattr(t *thread, f *file, name *byte, buf []byte) (int, unix.Errno) {
	fd, e := f.n.pin(t)
	if e != 0 {
		return 0, e
	}
	defer f.n.unpin()
	if !fs.noXattrAt.Load() {
		t.xattr = xattrArgs{value: unsafe.Pointer(&buf[0]), size: uint32(len(buf))}
		n, e := syscall6(unix.SYS_GETXATTRAT, uintptr(fs.procFD), uintptr(unsafe.Pointer(t.cfd(fd))),
			0, uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&t.xattr)), unsafe.Sizeof(t.xattr))
		if e != unix.ENOSYS {
			return int(n), e
		}
		fs.noXattrAt.Store(true)
	}
	if h := f.open; h != nil {
		open, e := h.pin(t)
		if e != 0 {
			return 0, e
		}
		defer h.unpin()
		n, e := syscall6(unix.SYS_FGETXATTR, uintptr(open), uintptr(unsafe.Pointer(name)),
			uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0)
		return int(n), e
	}
	path, e := t.enterProc(fs, fd)
	if e != 0 {
		return 0, e
	}
	n, e := syscall6(unix.SYS_GETXATTR, uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(name)),
		uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0)
	return int(n), e
}

func (fs *FS) listXattr(t *thread, f *file, buf []byte) (int, unix.Errno) {
	fd, e := f.n.pin(t)
	if e != 0 {
		return 0, e
	}
	defer f.n.unpin()
	if !fs.noXattrAt.Load() {
		n, e := syscall6(unix.SYS_LISTXATTRAT, uintptr(fs.procFD), uintptr(unsafe.Pointer(t.cfd(fd))),
			0, uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0)
		if e != unix.ENOSYS {
			return int(n), e
		}
		fs.noXattrAt.Store(true)
	}
	if h := f.open; h != nil {
		open, e := h.pin(t)
		if e != 0 {
			return 0, e
		}
		defer h.unpin()
		n, e := syscall3(unix.SYS_FLISTXATTR, uintptr(open), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
		return int(n), e
	}
	path, e := t.enterProc(fs, fd)
	if e != 0 {
		return 0, e
	}
	n, e := syscall3(unix.SYS_LISTXATTR, uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
	return int(n), e
}

func (fs *FS) setXattr(t *thread, f *file, name *byte, value []byte, flags int) unix.Errno {
	fd, e := f.n.pin(t)
	if e != 0 {
		return e
	}
	defer f.n.unpin()
	data := unsafe.Pointer(unsafe.SliceData(value))
	if !fs.noXattrAt.Load() {
		t.xattr = xattrArgs{value: data, size: uint32(len(value)), flags: uint32(flags)}
		_, e := syscall6(unix.SYS_SETXATTRAT, uintptr(fs.procFD), uintptr(unsafe.Pointer(t.cfd(fd))),
			0, uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&t.xattr)), unsafe.Sizeof(t.xattr))
		t.xattr.value = nil
		if e != unix.ENOSYS {
			return e
		}
		fs.noXattrAt.Store(true)
	}
	if h := f.open; h != nil {
		open, e := h.pin(t)
		if e != 0 {
			return e
		}
		defer h.unpin()
		_, e = syscall6(unix.SYS_FSETXATTR, uintptr(open), uintptr(unsafe.Pointer(name)),
			uintptr(data), uintptr(len(value)), uintptr(flags), 0)
		return e
	}
	path, e := t.enterProc(fs, fd)
	if e != 0 {
		return e
	}
	_, e = syscall6(unix.SYS_SETXATTR, uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(name)),
		uintptr(data), uintptr(len(value)), uintptr(flags), 0)
	return e
}

func (fs *FS) removeXattr(t *thread, f *file, name *byte) unix.Errno {
	fd, e := f.n.pin(t)
	if e != 0 {
		return e
	}
	defer f.n.unpin()
	if !fs.noXattrAt.Load() {
		_, e := syscall6(unix.SYS_REMOVEXATTRAT, uintptr(fs.procFD), uintptr(unsafe.Pointer(t.cfd(fd))),
			0, uintptr(unsafe.Pointer(name)), 0, 0)
		if e != unix.ENOSYS {
			return e
		}
		fs.noXattrAt.Store(true)
	}
	if h := f.open; h != nil {
		open, e := h.pin(t)
		if e != 0 {
			return e
		}
		defer h.unpin()
		_, e = syscall3(unix.SYS_FREMOVEXATTR, uintptr(open), uintptr(unsafe.Pointer(name)), 0)
		return e
	}
	path, e := t.enterProc(fs, fd)
	if e != 0 {
		return e
	}
	_, e = syscall3(unix.SYS_REMOVEXATTR, uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(name)), 0)
	return e
}

// enterProc returns the path of a descriptor, on a thread whose working directory
// is /proc/self/fd from then on, and no longer that of the process.
//
// Preconditions: the goroutine is locked to its thread.
func (t *thread) enterProc(fs *FS, fd int32) (*byte, unix.Errno) {
	if t.cwd != fs {
		if _, e := syscall3(unix.SYS_UNSHARE, unix.CLONE_FS, 0, 0); e != 0 {
			return nil, e
		}
		if _, e := syscall3(unix.SYS_FCHDIR, uintptr(fs.procFD), 0, 0); e != 0 {
			return nil, e
		}
		t.cwd = fs
	}
	return t.cfd(fd), 0
}
