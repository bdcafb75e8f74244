// SPDX-License-Identifier: Apache-2.0

package virtqueue

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawWrite writes an event to a non-blocking eventfd without telling the scheduler: the
// call cannot block, and this is on the path of every request. Sound: the kernel reads the
// 8 bytes during the call, while v keeps them alive.
func rawWrite(fd int, v *[8]byte) {
	_, _, _ = unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(v)), 8)
}
