// SPDX-License-Identifier: Apache-2.0

// Package vhosttest is a vhost-user front end for tests of back ends: it has guest memory
// (memfd), kick and call eventfds, a method for each message, and the orders of messages of
// QEMU and User Mode Linux. What it sends may also be raw bytes, of messages that no front end
// should send.
//
// The driver side of the ring is virtqueue/virtqtest, on top of the memory here:
//
//	fe := vhosttest.Start(t, dev, vhosttest.Options{})
//	if err := fe.Setup(); err != nil { ... }
//	d := fe.Driver
//	d.Add(out, in)
//	fe.Kick()
//	fe.WaitCall(time.Second)
package vhosttest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/vhostuser"
	"vhost-user-9p/virtqueue"
	"vhost-user-9p/virtqueue/virtqtest"
)

// Options are a front end's. The zero value is a QEMU with 24 MiB of memory in two regions
// and a ring of 128 entries.
type Options struct {
	// If set, the guest's memory. If not set, DefaultRegions.
	Regions []RegionSpec
	// If set, the number of entries of the ring. If not set, 128.
	RingSize int
	// If set, the index of the queue that has the ring. If not set, queue 0. No other queue
	// is started.
	Queue uint32
	// If set, the only features that are acknowledged if offered. If not set, all but
	// VHOST_F_LOG_ALL.
	Features virtqueue.Features
	// If set, the ring is packed, if VIRTIO_F_RING_PACKED is offered. If not set, it is not
	// acknowledged: the guest's driver does not know it.
	Packed bool
	// If set, the only protocol features that are acknowledged if offered. If not set, all.
	ProtocolFeatures vhostuser.ProtocolFeatures
	// If set, says which messages ask for an acknowledgement, once REPLY_ACK is
	// negotiated. If not set, all that have no answer of their own, so that each method
	// returns what became of its message.
	NeedReply func(vhostuser.Request) bool
	// If set, the call and error "eventfds" are the ends of socket pairs, as UML's.
	SocketCall bool
	// If set, called with every message before it is sent.
	Trace func(Message)
	// If set, where the back end that Start makes logs. If not set, nowhere.
	Logger *slog.Logger
	// If set, how long an answer is waited for. If not set, 10 seconds.
	Timeout time.Duration
}

// FrontEnd is one front end that uses one queue of a device. It is for one goroutine at a time.
type FrontEnd struct {
	Memory *Memory
	Driver *virtqtest.Driver // made anew, with an empty ring, by the Start of a driver
	Layout virtqtest.Layout  // of the ring, in the first region
	Server *vhostuser.Server // if made by Start

	// What the back end offered and was acknowledged.
	Offered  virtqueue.Features
	Features virtqueue.Features
	Protocol vhostuser.ProtocolFeatures

	tb      testing.TB
	conn    *net.UnixConn
	opts    Options
	kick    int
	call    [2]int // the front end's side, and what is sent; the same eventfd twice
	err     [2]int
	channel [2]int // back-end channel: our side, and what is sent
	done    chan error
}

// Start makes a back end for dev and a front end that is connected to it. Both end with the
// test.
func Start(tb testing.TB, dev vhostuser.Device, opts Options) *FrontEnd {
	tb.Helper()
	front, back := Pair(tb)
	srv := vhostuser.NewServer(dev, vhostuser.Config{Logger: opts.Logger})
	fe := New(tb, front, opts)
	fe.Server, fe.done = srv, make(chan error, 1)
	go func() { fe.done <- srv.ServeConn(context.Background(), back) }()
	tb.Cleanup(func() {
		if err := fe.Disconnect(); err != nil {
			tb.Errorf("back end: %v", err)
		}
	})
	return fe
}

// New makes a front end that speaks on conn, which it takes over. It is closed at the end of
// the test, with its memory and all else.
func New(tb testing.TB, conn *net.UnixConn, opts Options) *FrontEnd {
	tb.Helper()
	if opts.RingSize == 0 {
		opts.RingSize = 128
	}
	if opts.Timeout == 0 {
		opts.Timeout = 10 * time.Second
	}
	if opts.NeedReply == nil {
		opts.NeedReply = func(vhostuser.Request) bool { return true }
	}
	fe := &FrontEnd{tb: tb, conn: conn, opts: opts, kick: -1, call: none, err: none, channel: none}
	tb.Cleanup(fe.Close)
	fe.Memory = NewMemory(tb, opts.Regions...)
	fe.Layout, _ = virtqtest.LayoutAt(fe.Memory.Regions[0].GuestAddr+ringOffset, opts.RingSize)
	return fe
}

var none = [2]int{-1, -1}

// ringOffset is where the ring begins in the first region.
const ringOffset = 0x10000

// Pair returns a connected pair of sockets.
func Pair(tb testing.TB) (a, b *net.UnixConn) {
	tb.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatalf("socketpair: %v", err)
	}
	return unixConn(tb, fds[0]), unixConn(tb, fds[1])
}

func unixConn(tb testing.TB, fd int) *net.UnixConn {
	f := os.NewFile(uintptr(fd), "socket")
	defer func() { _ = f.Close() }()
	c, err := net.FileConn(f)
	if err != nil {
		tb.Fatalf("socket: %v", err)
	}
	return c.(*net.UnixConn)
}

// Close hangs up and closes all fds. It may be called more than once; the memory stays until
// the end of the test.
func (fe *FrontEnd) Close() {
	_ = fe.conn.Close()
	fe.closeRingFDs()
	fe.CloseChannel()
	closePair(&fe.err)
}

// Disconnect closes the front end, and returns what the back end that Start made returns then.
func (fe *FrontEnd) Disconnect() error {
	fe.Close()
	if fe.done == nil {
		return nil
	}
	select {
	case err, open := <-fe.done:
		if open {
			close(fe.done)
		}
		return err
	case <-time.After(fe.opts.Timeout):
		return errors.New("back end does not end")
	}
}

func (fe *FrontEnd) closeRingFDs() {
	if fe.kick >= 0 {
		_ = unix.Close(fe.kick)
		fe.kick = -1
	}
	closePair(&fe.call)
}

// CloseChannel closes the front end's side of the back-end channel.
func (fe *FrontEnd) CloseChannel() { closePair(&fe.channel) }

func closePair(p *[2]int) {
	if p[0] >= 0 {
		_ = unix.Close(p[0])
	}
	if p[1] >= 0 && p[1] != p[0] {
		_ = unix.Close(p[1])
	}
	*p = none
}

// event makes an eventfd, or a socket pair that stands for one.
func (fe *FrontEnd) event(initial uint, socket bool) [2]int {
	fe.tb.Helper()
	if socket {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			fe.tb.Fatalf("socketpair: %v", err)
		}
		return fds
	}
	fd, err := unix.Eventfd(initial, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		fe.tb.Fatalf("eventfd: %v", err)
	}
	return [2]int{fd, fd}
}

// KickFD returns the eventfd that a write to kicks the device; -1 before the driver starts.
func (fe *FrontEnd) KickFD() int { return fe.kick }

// CallFD returns the fd that notifications of the driver are read from; -1 before the device is
// realized.
func (fe *FrontEnd) CallFD() int { return fe.call[0] }

// Kick tells the device that there is something on the ring.
func (fe *FrontEnd) Kick() {
	if _, err := unix.Write(fe.kick, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		fe.tb.Errorf("kick: %v", err)
	}
}

// WaitCall waits up to timeout for a notification of the driver, and takes it.
func (fe *FrontEnd) WaitCall(timeout time.Duration) bool { return waitEvent(fe.call[0], timeout) }

// WaitErr waits up to timeout for the error event, and takes it.
func (fe *FrontEnd) WaitErr(timeout time.Duration) bool { return waitEvent(fe.err[0], timeout) }

func waitEvent(fd int, timeout time.Duration) bool {
	if fd < 0 {
		return false
	}
	end := time.Now().Add(timeout)
	for {
		left := max(time.Until(end), 0)
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, int((left+time.Millisecond-1)/time.Millisecond))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || n == 0:
			return false
		}
		var b [4096]byte
		_, err = unix.Read(fd, b[:])
		return err == nil
	}
}

// AckError is what a message's method returns when the back end answers with an error.
type AckError struct {
	Request vhostuser.Request
	Value   uint64 // 0: the answer was an empty payload
}

func (e *AckError) Error() string {
	if e.Value == 0 {
		return fmt.Sprintf("%v: empty answer", e.Request)
	}
	return fmt.Sprintf("%v: answer %d", e.Request, e.Value)
}
