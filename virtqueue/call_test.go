// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"testing"

	"golang.org/x/sys/unix"
)

// callFiles are the kinds of file that notifications can go to: two ends of each, the
// first of which is the device's.
var callFiles = map[string]func(testing.TB) (device, driver int){
	"eventfd":          kickFiles["eventfd"],
	"blocking eventfd": kickFiles["blocking eventfd"],
	"pipe": func(tb testing.TB) (int, int) {
		p := pipe(tb, unix.O_NONBLOCK)
		return p[1], p[0]
	},
	"blocking pipe": func(tb testing.TB) (int, int) {
		p := pipe(tb, 0)
		return p[1], p[0]
	},
	"socket": kickFiles["socket"],
}

// readable reports whether fd has something to read.
func readable(tb testing.TB, fd int) bool {
	tb.Helper()
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(p, 0)
	if err != nil {
		tb.Fatal(err)
	}
	return n == 1 && p[0].Revents&unix.POLLIN != 0
}

// serve lets one chain go round.
func (r *ring) serve() {
	r.Helper()
	r.drv.Add(nil, buffers(r.data, 1))
	r.q.Push(r.pop(), 0)
	r.q.Notify()
	if _, _, ok := r.drv.Take(); !ok {
		r.Fatal("no used chain")
	}
}

func TestCall(t *testing.T) {
	for name, files := range callFiles {
		t.Run(name, func(t *testing.T) {
			r := newRing(t, setup{})
			device, driver := files(t)
			r.q.SetCall(device)
			var b [64]byte
			for _, why := range []string{"a new call fd", "a used chain"} {
				if !readable(t, driver) {
					t.Fatalf("%s is not signalled", why)
				}
				if n, err := unix.Read(driver, b[:]); n != 8 || err != nil {
					t.Fatalf("%s: %d bytes, %v; want 8", why, n, err)
				}
				r.serve()
			}
			interrupts := r.q.Stats().Interrupts.Load()
			if interrupts != 2 {
				t.Errorf("%d interrupts counted, want 2", interrupts)
			}
			r.q.SetCall(-1)
			r.serve()
			if n := r.q.Stats().Interrupts.Load() - interrupts; n != 0 {
				t.Errorf("%d interrupts counted without a call fd", n)
			}
		})
	}
}

// A driver that does not read what it is told never blocks the device.
func TestCallFull(t *testing.T) {
	for name, files := range callFiles {
		t.Run(name, func(t *testing.T) {
			r := newRing(t, setup{})
			device, driver := files(t)
			if device == driver { // a full eventfd
				if _, err := unix.Write(device, nativeEndian.AppendUint64(nil, ^uint64(0)-1)); err != nil {
					t.Fatal(err)
				}
			}
			// Small ones are full sooner; each call fails for the other kinds.
			_, _ = unix.FcntlInt(uintptr(device), unix.F_SETPIPE_SZ, page)
			_ = unix.SetsockoptInt(device, unix.SOL_SOCKET, unix.SO_SNDBUF, 1)
			within(t, "notifying a driver that does not read", func() {
				r.q.SetCall(device)
				for range 1000 {
					r.serve()
				}
			})
			if !readable(t, driver) {
				t.Error("nothing is there for the driver")
			}
		})
	}
}

// A reader that has gone is no error, and no SIGPIPE.
func TestCallPeerGone(t *testing.T) {
	for _, name := range []string{"pipe", "blocking pipe", "socket"} {
		t.Run(name, func(t *testing.T) {
			r := newRing(t, setup{})
			var device, driver int
			switch name {
			case "socket":
				device, driver = callFiles[name](t)
				if err := unix.Shutdown(driver, unix.SHUT_RDWR); err != nil {
					t.Fatal(err)
				}
			default:
				var p [2]int
				flags := unix.O_CLOEXEC
				if name == "pipe" {
					flags |= unix.O_NONBLOCK
				}
				if err := unix.Pipe2(p[:], flags); err != nil {
					t.Fatal(err)
				}
				_ = unix.Close(p[0])
				closeAtEnd(t, p[1])
				device = p[1]
			}
			within(t, "notifying a driver that has gone", func() {
				r.q.SetCall(device)
				for range 100 {
					r.serve()
				}
			})
		})
	}
}

// A call fd that is closed behind the queue's back costs notifications, and nothing else.
func TestCallClosed(t *testing.T) {
	r := newRing(t, setup{})
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(fd)
	r.q.SetCall(fd)
	r.serve()
}
