// SPDX-License-Identifier: Apache-2.0

package virtqueue

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// waiter waits for kicks. Of several threads that wait each event wakes one, the last that came.
//
// The readiness of the kick fd is seen by edges, so that an eventfd need not be read at
// each kick. It is emptied all the same from time to time: the driver's write blocks, or
// fails, when its counter is full. What stands for an eventfd (a pipe, a socket) is
// emptied each time: it fills up sooner, and not every kernel reports a write to a pipe
// that has not been emptied.
type waiter struct {
	epoll int
	wake  int // eventfd of our own, for interrupt
	sink  [1][]byte

	kick    atomic.Int32 // -1: none, the ring is polled
	drainAt atomic.Int32 // kicks after which the kick fd is emptied
	seen    atomic.Int32 // kicks since then

	mu     sync.Mutex // orders changes of kick, and the use of wake, with close
	closed bool
}

// rawWait bounds, in milliseconds, a wait that the scheduler is not told of. It ends sooner,
// by a signal. A timer that is due before others would have to be set in the processor for
// each wait, which a hypervisor makes dear.
const rawWait = 1000

// drainEventfd is the number of kicks after which an eventfd is read.
const drainEventfd = 256

func newWaiter() (*waiter, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(epoll)
		return nil, err
	}
	w := &waiter{epoll: epoll, wake: wake, sink: [1][]byte{make([]byte, 512)}}
	w.kick.Store(-1)
	if err := w.add(wake); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *waiter) add(fd int) error {
	return unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | epollET, Fd: int32(fd)})
}

// epollET is unix.EPOLLET as an unsigned bit.
const epollET = 1 << 31

// close may be called again: the numbers of closed fds may be someone else's by then.
func (w *waiter) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	w.closed = true
	w.kick.Store(-1)
	_ = unix.Close(w.wake)
	_ = unix.Close(w.epoll)
}

// setKick replaces the fd that kicks come from. A kick that is pending on the new one is
// seen.
func (w *waiter) setKick(fd int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return unix.EBADF
	}
	if old := w.kick.Swap(-1); old >= 0 {
		_ = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_DEL, int(old), nil)
	}
	if fd < 0 {
		return nil
	}
	if err := w.add(fd); err != nil {
		return err
	}
	drainAt := int32(1)
	if fdType(fd) == typeAnonymous {
		drainAt = drainEventfd
	}
	w.drainAt.Store(drainAt)
	w.kick.Store(int32(fd))
	return nil
}

// interrupt ends the present wait, or the next one at once.
func (w *waiter) interrupt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	n := notifier{fd: w.wake, mode: notifyWrite}
	n.signal()
}

// wait waits for a kick, an interrupt, or timeout milliseconds (at most rawWait; -1: for ever),
// and reports whether it was a kick. It may return early.
func (w *waiter) wait(timeout int) (kicked bool) {
	var events [2]unix.EpollEvent
	// While there is work the next kick comes soon, and the scheduler is better not told of
	// each wait: its monitor would take this thread's P away in one of so many, and not go to
	// sleep itself. After some 10 ms, or when it needs the P, it interrupts this one by a signal.
	raw := rawWait
	if timeout >= 0 {
		raw = min(timeout, rawWait)
	}
	n := rawEpollWait(w.epoll, &events, raw)
	if n <= 0 {
		if timeout >= 0 {
			return false
		}
		var err error
		if n, err = unix.EpollWait(w.epoll, events[:], -1); err != nil {
			return false // EINTR: the caller looks at the ring and comes back
		}
	}
	for _, e := range events[:n] {
		if e.Fd == int32(w.wake) {
			continue // never read: each write is an edge
		}
		kicked = true
		if w.seen.Add(1) >= w.drainAt.Load() {
			w.seen.Store(0)
			w.drain(e.Fd)
		}
	}
	return kicked
}

// drain empties the kick fd, if that is still fd: once it was replaced, the number in an
// event that had been reported before may name any other file.
func (w *waiter) drain(fd int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if fd != w.kick.Load() {
		return
	}
	// The front end may read it too, and see to it that a plain read blocks for ever.
	for {
		n, err := unix.Preadv2(int(fd), w.sink[:], -1, unix.RWF_NOWAIT)
		if err == unix.EOPNOTSUPP { // pipes and sockets of old kernels
			p := [1]unix.PollFd{{Fd: fd, Events: unix.POLLIN}}
			if ready, err := unix.Poll(p[:], 0); err != nil || ready == 0 {
				return
			}
			n, err = unix.Read(int(fd), w.sink[0])
		}
		if err != nil || n < len(w.sink[0]) {
			return
		}
	}
}
