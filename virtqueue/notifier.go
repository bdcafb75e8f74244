// SPDX-License-Identifier: Apache-2.0

package virtqueue

import (
	"errors"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// notifyMode is how a notification can be written without blocking: the fds are the front
// end's, whose flags are not ours to change.
type notifyMode uint8

const (
	notifyWrite  notifyMode = iota // O_NONBLOCK: a plain write
	notifySocket                   // send with MSG_DONTWAIT
	notifyPoll                     // ask poll first
)

// notifier writes events to an eventfd, or to a pipe or socket that stands for one (User
// Mode Linux).
type notifier struct {
	fd   int // -1: nobody wants to know
	mode notifyMode
}

// one is an eventfd's increment, in host byte order; every host we run on is little-endian
// or does not care, since any non-zero value wakes.
var one = [8]byte{1}

func newNotifier(fd int) notifier {
	n := notifier{fd: fd, mode: notifyPoll}
	if fd < 0 {
		return n
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFSOCK {
		n.mode = notifySocket
	} else if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err == nil && flags&unix.O_NONBLOCK != 0 {
		n.mode = notifyWrite
	}
	return n
}

// signal never blocks and has no error worth telling: an event that is already pending is
// as good as two (EAGAIN), and a peer that has gone (EPIPE) does not wait.
func (n *notifier) signal() {
	switch {
	case n.fd < 0:
	case n.mode == notifyWrite:
		rawWrite(n.fd, &one)
	case n.mode == notifySocket:
		_ = unix.Sendto(n.fd, one[:], unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
	default:
		p := [1]unix.PollFd{{Fd: int32(n.fd), Events: unix.POLLOUT}}
		if ready, err := unix.Poll(p[:], 0); err == nil && ready == 1 && p[0].Revents&unix.POLLOUT != 0 {
			_, _ = unix.Write(n.fd, one[:])
		}
	}
}

// drainEvery is the number of kicks after which the kick fd is emptied. Its readiness is
// seen by edges, so that it need not be read at each kick; but what stands for an eventfd
// (a pipe, a socket) fills up.
const drainEvery = 256

// waiter waits for kicks. One thread at a time waits.
type waiter struct {
	epoll int
	wake  int          // eventfd of our own, for interrupt
	kick  atomic.Int32 // -1: none, the ring is polled
	seen  int          // kicks since the last drain
}

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
	w := &waiter{epoll: epoll, wake: wake}
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

func (w *waiter) close() {
	_ = unix.Close(w.wake)
	_ = unix.Close(w.epoll)
}

// setKick replaces the fd that kicks come from. A kick that is pending on the new one is
// seen.
func (w *waiter) setKick(fd int) error {
	if old := w.kick.Swap(-1); old >= 0 {
		// Fails only when the caller has closed the old fd already, which removed it.
		_ = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_DEL, int(old), nil)
	}
	if fd < 0 {
		return nil
	}
	if err := w.add(fd); err != nil {
		return err
	}
	w.kick.Store(int32(fd))
	return nil
}

// interrupt ends the present wait, or the next one at once.
func (w *waiter) interrupt() {
	n := notifier{fd: w.wake, mode: notifyWrite}
	n.signal()
}

// wait waits for a kick, an interrupt, or timeout milliseconds (-1: for ever).
func (w *waiter) wait(timeout int) {
	var events [2]unix.EpollEvent
	n, err := unix.EpollWait(w.epoll, events[:], timeout)
	if errors.Is(err, unix.EINTR) || n < 0 {
		return // the caller looks at the ring and comes back
	}
	for _, e := range events[:n] {
		if e.Fd == int32(w.wake) {
			continue // never read: each write is an edge
		}
		if w.seen++; w.seen >= drainEvery {
			w.seen = 0
			// Readiness was reported and nobody else reads, so that this cannot block.
			var sink [4096]byte
			_, _ = unix.Read(int(e.Fd), sink[:])
		}
	}
}
