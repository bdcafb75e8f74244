// SPDX-License-Identifier: Apache-2.0

package virtio9p

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// parking lets one thread sleep until another wakes it. A wake that comes first is kept. It
// is a futex, because a worker owns its thread: through a channel the scheduler would
// first have to find a running thread that wakes this one.
//
// Sound: the kernel reads the word at a fixed address (the heap does not move) that its
// owner keeps alive.
type parking struct{ permit atomic.Uint32 }

const (
	futexWaitPrivate = 0 | 128 // FUTEX_WAIT | FUTEX_PRIVATE_FLAG
	futexWakePrivate = 1 | 128 // FUTEX_WAKE | FUTEX_PRIVATE_FLAG
)

// sleep returns when wake has been called since it last returned.
func (p *parking) sleep() {
	for !p.permit.CompareAndSwap(1, 0) {
		_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&p.permit)), futexWaitPrivate, 0, 0, 0, 0)
	}
}

// nap sleeps for a fraction of a millisecond, less if a signal comes, without telling the
// scheduler: its monitor would take this thread's P away each time, and come back every few
// microseconds because it had found something to do. It interrupts this by a signal when it
// needs the P. Sound: the kernel reads d during the call, while the caller keeps it alive.
func nap(d *unix.Timespec) {
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(d)), 0, 0)
}

// wake lets the sleeper go, now or at its next sleep. It never blocks.
func (p *parking) wake() {
	if p.permit.Swap(1) == 0 {
		_, _, _ = unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&p.permit)), futexWakePrivate, 1, 0, 0, 0)
	}
}
