// SPDX-License-Identifier: Apache-2.0

package virtio9p

import (
	"bytes"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tasks tells of the process's threads, as the kernel shows them in /proc/self/task.
type tasks struct {
	dir  int // -1: there is no such directory
	path [32]byte
	buf  [64]byte
}

func (t *tasks) open() {
	fd, err := unix.Open("/proc/self/task", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		fd = -1
	}
	t.dir = fd
}

func (t *tasks) close() {
	if t.dir >= 0 {
		_ = unix.Close(t.dir)
	}
}

// waits reports whether a thread waits for something else than a processor. Where the kernel
// does not tell, it is taken for waiting.
//
// Sound: the kernel reads the path, which ends with a NUL, during the call, while t keeps it
// alive.
func (t *tasks) waits(tid int) bool {
	path := append(strconv.AppendInt(t.path[:0], int64(tid), 10), "/stat\x00"...)
	fd, _, e := unix.Syscall6(unix.SYS_OPENAT, uintptr(t.dir), uintptr(unsafe.Pointer(&path[0])), unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0)
	if e != 0 {
		return true
	}
	n, _ := unix.Read(int(fd), t.buf[:])
	_ = unix.Close(int(fd))
	// pid (comm) state: the name of the program can have any byte in it.
	stat := t.buf[:max(n, 0)]
	i := bytes.LastIndexByte(stat, ')')
	return i < 0 || i+2 >= len(stat) || stat[i+2] != 'R'
}
