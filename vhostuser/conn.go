// SPDX-License-Identifier: Apache-2.0

package vhostuser

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

var (
	// errShutdown: the server is to stop.
	errShutdown = errors.New("shutdown")
	// errFraming: where the next message begins is not known any more.
	errFraming = errors.New("bytes that are no vhost-user message")
)

// conn is the main socket: messages in, replies out. It is for the session's goroutine,
// except for interrupt and hungUp.
type conn struct {
	buf [maxPayload]byte
	oob []byte // room for maxFDs file descriptors, and not one more

	wake int // eventfd, readable when the session is to end

	mu sync.Mutex
	fd int // -1: closed. Changed by close only, under mu
}

// newConn takes over the socket of uc, which is closed.
func newConn(uc *net.UnixConn) (*conn, error) {
	defer func() { _ = uc.Close() }()
	raw, err := uc.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, dupErr := -1, error(nil)
	if err := raw.Control(func(s uintptr) { fd, dupErr = unix.FcntlInt(s, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return nil, err
	}
	if dupErr != nil {
		return nil, fmt.Errorf("dup of the socket: %w", dupErr)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	return &conn{oob: make([]byte, unix.CmsgSpace(4*maxFDs)), fd: fd, wake: wake}, nil
}

func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return
	}
	_ = unix.Close(c.fd)
	_ = unix.Close(c.wake)
	c.fd = -1
}

// interrupt makes the session's goroutine see errShutdown. Any goroutine may call it.
func (c *conn) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd >= 0 {
		_, _ = unix.Write(c.wake, []byte{1, 1, 1, 1, 1, 1, 1, 1})
	}
}

// hungUp reports whether the front end has closed its end, even if some of its messages have
// not been read yet. Any goroutine may call it.
func (c *conn) hungUp() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fd < 0 || fdHungUp(c.fd)
}

func fdHungUp(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd)}}
	n, err := unix.Poll(p, 0)
	return err == nil && n == 1 && p[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0
}

// peerPID returns the process that connected, for the log; 0 if that is not known.
func (c *conn) peerPID() int {
	cred, err := unix.GetsockoptUcred(c.fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0
	}
	return int(cred.Pid)
}

// wait waits until the socket has events, and returns errShutdown if it is to end before
// that. If channel is not -1, it returns as well when that is closed by its peer.
func (c *conn) wait(events int16, channel int) (channelClosed bool, err error) {
	p := [...]unix.PollFd{
		{Fd: int32(c.fd), Events: events},
		{Fd: int32(c.wake), Events: unix.POLLIN},
		{Fd: int32(channel)}, // ignored if negative
	}
	for {
		_, err := unix.Poll(p[:], -1)
		switch {
		case passing(err):
			continue
		case err != nil:
			return false, fmt.Errorf("poll: %w", err)
		case p[1].Revents != 0:
			return false, errShutdown
		}
		// A front end that is going away closes both; what it said before is still to be read.
		return p[2].Revents != 0 && p[0].Revents&unix.POLLHUP == 0, nil
	}
}

// passing reports whether a system call is to be tried again. A host that is short of memory for
// a moment must not cost a virtual machine its device.
func passing(err error) bool {
	if errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.ENOBUFS) {
		time.Sleep(time.Millisecond)
		return true
	}
	return errors.Is(err, unix.EINTR)
}

// receive reads the next message. m.close is to be called whatever it returns; m.payload is
// valid until the next call. io.EOF: the front end has gone.
func (c *conn) receive(m *message) error {
	*m = message{}
	hdr := c.buf[:headerSize]
	n, err := c.recv(hdr, m)
	if err != nil {
		return err
	}
	if err := c.rest(hdr[n:], m); err != nil {
		return err
	}
	m.header = decodeHeader(hdr)
	if v := m.flags & flagVersionMask; v != flagVersion {
		return fmt.Errorf("%w: version %d", errFraming, v)
	}
	if m.size > maxPayload {
		return fmt.Errorf("%w: payload of %d bytes", errFraming, m.size)
	}
	m.payload = c.buf[:m.size]
	return c.rest(m.payload, m)
}

// rest fills p, with which no file descriptors may come.
func (c *conn) rest(p []byte, m *message) error {
	before := len(m.fds)
	for len(p) > 0 {
		n, err := c.recv(p, m)
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		p = p[n:]
	}
	if len(m.fds) != before {
		m.badFDs = true
	}
	return nil
}

// recv reads at least one byte, and adds the file descriptors that come with it to m.
func (c *conn) recv(p []byte, m *message) (int, error) {
	for {
		n, oobn, flags, _, err := unix.Recvmsg(c.fd, p, c.oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		switch {
		case passing(err):
			continue
		case errors.Is(err, unix.EAGAIN):
			if _, err := c.wait(unix.POLLIN, -1); err != nil {
				return 0, err
			}
			continue
		case errors.Is(err, unix.ECONNRESET):
			return 0, io.EOF // it closed without reading all of our replies
		case err != nil:
			return 0, fmt.Errorf("recvmsg: %w", err)
		}
		if oobn > 0 {
			fds, err := parseFDs(c.oob[:oobn])
			m.fds = append(m.fds, fds...)
			m.badFDs = m.badFDs || err != nil || len(m.fds) > maxFDs
		}
		if flags&unix.MSG_CTRUNC != 0 {
			m.badFDs = true
		}
		if n == 0 {
			return 0, io.EOF
		}
		return n, nil
	}
}

func parseFDs(oob []byte) ([]int, error) {
	cmsgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	var all []int
	for _, c := range cmsgs {
		if c.Header.Level != unix.SOL_SOCKET || c.Header.Type != unix.SCM_RIGHTS {
			continue
		}
		fds, err := unix.ParseUnixRights(&c)
		all = append(all, fds...)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// discard reads and drops what there is, file descriptors included.
func (c *conn) discard() error {
	n, _, err := unix.Recvfrom(c.fd, c.buf[:], unix.MSG_DONTWAIT)
	switch {
	case passing(err), errors.Is(err, unix.EAGAIN):
		return nil
	case errors.Is(err, unix.ECONNRESET):
		return io.EOF
	case err != nil:
		return fmt.Errorf("recvfrom: %w", err)
	case n == 0:
		return io.EOF
	}
	return nil
}

// reply answers request. A front end that has gone is not an error: its end of file comes.
func (c *conn) reply(request Request, payload []byte) error {
	// Flags exactly 0x5: QEMU takes nothing else for a reply.
	b := appendHeader(nil, header{request: request, flags: flagVersion | flagReply, size: uint32(len(payload))})
	b = slices.Concat(b, payload)
	for len(b) > 0 {
		n, err := unix.SendmsgN(c.fd, b, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		switch {
		case passing(err):
		case errors.Is(err, unix.EAGAIN):
			if _, err := c.wait(unix.POLLOUT, -1); err != nil {
				return err
			}
		case errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNRESET):
			return nil
		case err != nil:
			return fmt.Errorf("sendmsg: %w", err)
		default:
			b = b[n:]
		}
	}
	return nil
}
