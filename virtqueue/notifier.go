// SPDX-License-Identifier: Apache-2.0

package virtqueue

import "golang.org/x/sys/unix"

// notifyMode is how a notification can be written without blocking: the fds are the front
// end's, whose flags are not ours to change.
type notifyMode uint8

const (
	notifyWrite  notifyMode = iota // eventfd or pipe with O_NONBLOCK: a plain write
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
	switch fdType(fd) {
	case unix.S_IFSOCK:
		n.mode = notifySocket
	case typeAnonymous, unix.S_IFIFO:
		// Only for these does O_NONBLOCK mean what it says: a write to a file can block
		// all the same, and then hold up more than this thread (rawWrite).
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err == nil && flags&unix.O_NONBLOCK != 0 {
			n.mode = notifyWrite
		}
	}
	return n
}

// typeAnonymous is the file type of an eventfd: it has none.
const typeAnonymous = 0

// fdType returns the type bits of a file's mode, ^0 if there is no such file.
func fdType(fd int) uint32 {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return ^uint32(0)
	}
	return st.Mode & unix.S_IFMT
}

// Signal writes an event to fd, which is an eventfd, or a pipe or socket that stands for one;
// -1: nobody wants to know. It never blocks, whatever the fd's flags are.
func Signal(fd int) {
	n := newNotifier(fd)
	n.signal()
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
