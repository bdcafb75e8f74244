// SPDX-License-Identifier: Apache-2.0

package virtio9p

import (
	"bytes"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tasks tells of the process's threads, as the kernel shows them in /proc/self/task. Files of
// threads that were asked for stay open until forget.
type tasks struct {
	dir  int         // -1: there is no such directory
	stat map[int]int // descriptors, by thread
	path [32]byte
	buf  [64]byte
}

func (t *tasks) open() {
	fd, err := unix.Open("/proc/self/task", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		fd = -1
	}
	t.dir, t.stat = fd, map[int]int{}
}

func (t *tasks) close() {
	t.forget()
	if t.dir >= 0 {
		_ = unix.Close(t.dir)
	}
}

func (t *tasks) forget() {
	for _, fd := range t.stat {
		_ = unix.Close(fd)
	}
	clear(t.stat)
}

// waits reports whether a thread waits for something else than a processor. Where the kernel
// does not tell, it is taken for waiting.
func (t *tasks) waits(tid int) bool {
	fd, known := t.stat[tid]
	if !known {
		if fd = t.openStat(tid); fd < 0 {
			return true
		}
		t.stat[tid] = fd
	}
	n, err := unix.Pread(fd, t.buf[:], 0)
	if err != nil { // it has ended, and its number may be another's next time
		_ = unix.Close(fd)
		delete(t.stat, tid)
		return true
	}
	// pid (comm) state: the name of the program can have any byte in it.
	i := bytes.LastIndexByte(t.buf[:n], ')')
	return i < 0 || i+2 >= n || t.buf[i+2] != 'R'
}

// openStat opens the file that has a thread's state, -1 if there is none.
//
// Sound: the kernel reads the path, which ends with a NUL, during the call, while t keeps it
// alive.
func (t *tasks) openStat(tid int) int {
	path := append(strconv.AppendInt(t.path[:0], int64(tid), 10), "/stat\x00"...)
	fd, _, e := unix.Syscall6(unix.SYS_OPENAT, uintptr(t.dir), uintptr(unsafe.Pointer(&path[0])), unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0)
	if e != 0 {
		return -1
	}
	return int(fd)
}
