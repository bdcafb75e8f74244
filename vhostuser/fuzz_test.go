// SPDX-License-Identifier: Apache-2.0

package vhostuser_test

import (
	"context"
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/vhostuser"
	"vhost-user-9p/vhostuser/vhosttest"
	"vhost-user-9p/virtqueue"
)

// strictDevice fails the test when it is called in an order that no device expects. It does not
// touch its queue.
type strictDevice struct {
	t                 *testing.T
	realized, started bool
}

func (d *strictDevice) check(ok bool, what string) {
	if !ok {
		d.t.Errorf("%s with realized %t, started %t", what, d.realized, d.started)
	}
}

func (d *strictDevice) Features() virtqueue.Features { return fakeFeatures }
func (d *strictDevice) ReadConfig(p []byte, _ uint32) {
	d.check(len(p) <= 256, "ReadConfig of too much")
	clear(p)
}

func (d *strictDevice) Realize() {
	d.check(!d.realized && !d.started, "Realize")
	d.realized = true
}

func (d *strictDevice) Unrealize(string) {
	d.check(d.realized && !d.started, "Unrealize")
	d.realized = false
}

func (d *strictDevice) Reset() { d.check(d.realized && !d.started, "Reset") }

func (d *strictDevice) Start(index int, q *virtqueue.Queue) {
	d.check(d.realized && !d.started && index == 0 && q != nil, "Start")
	d.started = true
}

func (d *strictDevice) Stop(index int) {
	d.check(d.started && index == 0, "Stop")
	d.started = false
}

func (d *strictDevice) Suspended(int) { d.check(d.realized && !d.started, "Suspended") }

// FuzzMessages sends what the input says, and hangs up. The input is a list of
//
//	0x80|n, kind, request, flags, size, payload   a message with n fds
//	n, kind, size, bytes                          bytes with n fds
//
// with one byte each but for the last. kind says which of some fds that come first.
func FuzzMessages(f *testing.F) {
	fds := fuzzFDs(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		free := lowestFD(t)
		dev := &strictDevice{t: t}
		srv := vhostuser.NewServer(dev, vhostuser.Config{})
		front, back := vhosttest.Pair(t)
		raw, err := front.SyscallConn()
		must(t, err)
		must(t, raw.Control(func(s uintptr) { fuzzSend(int(s), data, fds) }))
		must(t, front.Close())
		// Errors are the connection's, and no wonder.
		_ = srv.ServeConn(context.Background(), back)
		if dev.realized || dev.started {
			t.Errorf("at the end realized %t, started %t", dev.realized, dev.started)
		}
		if n := srv.Stats().Panics; n != 0 {
			t.Errorf("%d panics", n)
		}
		if now := lowestFD(t); now > free {
			t.Errorf("fd %d is not free any more", free)
		}
	})
}

// fuzzSend sends data as far as the socket takes it.
func fuzzSend(s int, data []byte, fds []int) {
	for len(data) >= 3 {
		op, kind := data[0], data[1]
		b := data[2:]
		var msg []byte
		if op&0x80 != 0 {
			if len(b) < 3 {
				return
			}
			size := min(int(b[2]), len(b)-3)
			msg = binary.NativeEndian.AppendUint32(msg, uint32(b[0]))
			msg = binary.NativeEndian.AppendUint32(msg, uint32(b[1]))
			msg = binary.NativeEndian.AppendUint32(msg, uint32(size))
			msg = append(msg, b[3:3+size]...)
			data = b[3+size:]
		} else {
			size := min(int(b[0]), len(b)-1)
			msg = b[1 : 1+size]
			data = b[1+size:]
		}
		var with []int
		for i := range int(op&0xf) % 10 {
			with = append(with, fds[(int(kind&0xf)+i*int(kind>>4))%len(fds)])
		}
		var oob []byte
		if len(with) > 0 {
			oob = unix.UnixRights(with...)
		}
		if len(msg) == 0 {
			continue // fds need a byte to go with
		}
		if _, err := unix.SendmsgN(s, msg, oob, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL); err != nil {
			return
		}
	}
}

// fuzzFDs: 0 eventfd, 1 memory of 1 MiB, 2 an empty file, 3 socket, 4 pipe, 5 folder.
func fuzzFDs(f *testing.F) []int {
	var fds []int
	add := func(fd int, err error) {
		if err != nil {
			f.Fatal(err)
		}
		fds = append(fds, fd)
		f.Cleanup(func() { _ = unix.Close(fd) })
	}
	add(unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK))
	add(unix.MemfdCreate("guest", unix.MFD_CLOEXEC))
	if err := unix.Ftruncate(fds[1], 1<<20); err != nil {
		f.Fatal(err)
	}
	add(unix.MemfdCreate("empty", unix.MFD_CLOEXEC))
	add(unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))
	var p [2]int
	err := unix.Pipe2(p[:], unix.O_CLOEXEC)
	add(p[0], err)
	f.Cleanup(func() { _ = unix.Close(p[1]) })
	add(unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0))
	return fds
}

// lowestFD returns the number that the next fd would have.
func lowestFD(t *testing.T) int {
	fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
	must(t, err)
	must(t, unix.Close(fd))
	return fd
}
