// SPDX-License-Identifier: Apache-2.0

package virtqueue

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawEpollWait waits for at most so many milliseconds without telling the scheduler. It
// returns the number of events, -1 if a signal came. Sound: the kernel writes to events
// during the call, while the caller keeps them alive.
func rawEpollWait(fd int, events *[2]unix.EpollEvent, timeout int) int {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(fd), uintptr(unsafe.Pointer(events)), uintptr(len(events)), uintptr(timeout), 0, 0)
	if errno != 0 {
		return -1
	}
	return int(n)
}

// rawWrite writes an event to a non-blocking eventfd without telling the scheduler: the
// call cannot block, and this is on the path of every request. Sound: the kernel reads the
// 8 bytes during the call, while v keeps them alive.
func rawWrite(fd int, v *[8]byte) {
	_, _, _ = unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(v)), 8)
}
