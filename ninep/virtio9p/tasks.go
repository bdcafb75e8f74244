// SPDX-License-Identifier: Apache-2.0

package virtio9p

import (
	"bytes"
	"fmt"

	"golang.org/x/sys/unix"
)

// keepTasks is the number of files in /proc that stay open: to open one takes memory.
const keepTasks = 16

// tasks tells of the process's threads, as the kernel shows them in /proc. Files of threads that
// were asked for stay open until there are too many, or forget.
type tasks struct {
	stat map[int]int // descriptors, by thread
	buf  [64]byte
}

func newTasks() tasks { return tasks{stat: map[int]int{}} }

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
		if len(t.stat) >= keepTasks {
			t.forget()
		}
		var err error
		fd, err = unix.Open(fmt.Sprintf("/proc/self/task/%d/stat", tid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
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
