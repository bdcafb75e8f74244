// SPDX-License-Identifier: Apache-2.0

package main

// System calls on memory of a slot, which is on the heap. The pointers are sound because
// each is converted to uintptr in the argument list of the call; the kernel writes at most
// what the types and lengths say. RawSyscall: the process has nothing else to do meanwhile,
// and Go's scheduler is not to be measured.

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	openPath    = unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC
	resolveName = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_SYMLINKS
	statxMask   = unix.STATX_BASIC_STATS | unix.STATX_BTIME | unix.STATX_MNT_ID
)

var (
	empty = []byte{0}
	dot   = []byte{'.', 0}
)

// memory is what system calls of a slot read and write.
type memory struct {
	stx unix.Statx_t
	how unix.OpenHow
}

// entries is where directories are read to, of all slots.
var entries [1 << 20]byte

// failed is the first error: it ends the process after the case.
var failed error

func failure(call string, e unix.Errno) {
	if failed == nil {
		failed = fmt.Errorf("%s: %w", call, e)
	}
}

func (s *slot) statx(fd int, name []byte) {
	_, _, e := unix.RawSyscall6(unix.SYS_STATX, uintptr(fd), uintptr(unsafe.Pointer(&name[0])),
		unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW, statxMask, uintptr(unsafe.Pointer(&s.stx)), 0)
	if e != 0 {
		failure("statx", e)
	}
}

func (s *slot) statxMissing(fd int, name []byte) {
	_, _, e := unix.RawSyscall6(unix.SYS_STATX, uintptr(fd), uintptr(unsafe.Pointer(&name[0])),
		unix.AT_SYMLINK_NOFOLLOW, statxMask, uintptr(unsafe.Pointer(&s.stx)), 0)
	if e != unix.ENOENT {
		failure("statx of a name that is missing", e)
	}
}

func (s *slot) openat2(dir int, name []byte, flags, mode uint64) int {
	s.how = unix.OpenHow{Flags: flags, Mode: mode, Resolve: resolveName}
	fd, _, e := unix.RawSyscall6(unix.SYS_OPENAT2, uintptr(dir), uintptr(unsafe.Pointer(&name[0])),
		uintptr(unsafe.Pointer(&s.how)), unsafe.Sizeof(s.how), 0, 0)
	if e != 0 {
		failure("openat2", e)
	}
	return int(fd)
}

func (s *slot) openat(dir int, name []byte, flags int) int {
	fd, _, e := unix.RawSyscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(&name[0])),
		uintptr(flags|unix.O_CLOEXEC), 0, 0, 0)
	if e != 0 {
		failure("openat", e)
	}
	return int(fd)
}

func (s *slot) closeFD(fd int) {
	if _, _, e := unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0); e != 0 {
		failure("close", e)
	}
}

func (s *slot) unlinkat(dir int, name []byte, flags uintptr) {
	if _, _, e := unix.RawSyscall(unix.SYS_UNLINKAT, uintptr(dir), uintptr(unsafe.Pointer(&name[0])), flags); e != 0 {
		failure("unlinkat", e)
	}
}

func (s *slot) mkdirat(dir int, name []byte) {
	if _, _, e := unix.RawSyscall(unix.SYS_MKDIRAT, uintptr(dir), uintptr(unsafe.Pointer(&name[0])), 0o755); e != 0 {
		failure("mkdirat", e)
	}
}

func (s *slot) renameat2(dir int, from, to []byte) {
	_, _, e := unix.RawSyscall6(unix.SYS_RENAMEAT2, uintptr(dir), uintptr(unsafe.Pointer(&from[0])),
		uintptr(dir), uintptr(unsafe.Pointer(&to[0])), 0, 0)
	if e != 0 {
		failure("renameat2", e)
	}
}

func (s *slot) getdents64(fd int) {
	_, _, e := unix.RawSyscall(unix.SYS_GETDENTS64, uintptr(fd), uintptr(unsafe.Pointer(&entries[0])), uintptr(len(entries)))
	if e != 0 {
		failure("getdents64", e)
	}
}

// preadv2 has the flag that the daemon has: what is cached is read at once. If not all is,
// it reads again, and waits.
func (s *slot) preadv2(fd int, off uint64) {
	n, _, e := unix.RawSyscall6(unix.SYS_PREADV2, uintptr(fd), uintptr(unsafe.Pointer(&s.iov[0])), 1, uintptr(off), 0, unix.RWF_NOWAIT)
	if e == unix.EAGAIN || e == 0 && uint64(n) < s.iov[0].Len {
		n, _, e = unix.RawSyscall6(unix.SYS_PREADV2, uintptr(fd), uintptr(unsafe.Pointer(&s.iov[0])), 1, uintptr(off), 0, 0)
	}
	if e != 0 || uint64(n) != s.iov[0].Len {
		failure("preadv2", e)
	}
}

func (s *slot) pwrite(fd int, off uint64) {
	n, _, e := unix.RawSyscall6(unix.SYS_PWRITE64, uintptr(fd), uintptr(unsafe.Pointer(s.iov[0].Base)), uintptr(s.iov[0].Len), uintptr(off), 0, 0)
	if e != 0 || uint64(n) != s.iov[0].Len {
		failure("pwrite", e)
	}
}

func (s *slot) fsync(fd int) {
	if _, _, e := unix.RawSyscall(unix.SYS_FSYNC, uintptr(fd), 0, 0); e != 0 {
		failure("fsync", e)
	}
}
