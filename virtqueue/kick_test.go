// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/virtqueue"
)

// soon is how long something may take that takes no time; forever is a Wait that only a
// kick can end within a test.
const (
	soon    = 5 * time.Second
	forever = -1
)

// kick signals fd as a driver does.
func kick(tb testing.TB, fd int) {
	tb.Helper()
	if _, err := unix.Write(fd, nativeEndian.AppendUint64(nil, 1)); err != nil {
		tb.Fatal(err)
	}
}

// within fails the test if f does not return soon.
func within(tb testing.TB, what string, f func()) {
	tb.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(soon):
		tb.Fatal(what + " does not return")
	}
}

func setKick(tb testing.TB, q *virtqueue.Queue, fd int) {
	tb.Helper()
	if err := q.SetKick(fd); err != nil {
		tb.Fatal(err)
	}
}

// quiet waits until nothing is left to end a Wait.
func quiet(tb testing.TB, q *virtqueue.Queue) {
	tb.Helper()
	for range 100 {
		began := time.Now()
		q.Wait(20)
		if time.Since(began) >= 20*time.Millisecond {
			return
		}
	}
	tb.Fatal("Wait returns early for ever")
}

// kickFiles are the kinds of file that kicks can come from: two ends of each.
var kickFiles = map[string]func(testing.TB) (device, driver int){
	"eventfd": func(tb testing.TB) (int, int) {
		fd := eventfd(tb)
		return fd, fd
	},
	"blocking eventfd": func(tb testing.TB) (int, int) {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err != nil {
			tb.Fatal(err)
		}
		closeAtEnd(tb, fd)
		return fd, fd
	},
	"pipe": func(tb testing.TB) (int, int) {
		p := pipe(tb, 0)
		return p[0], p[1]
	},
	"socket": func(tb testing.TB) (int, int) {
		p := socketpair(tb)
		return p[0], p[1]
	},
}

func pipe(tb testing.TB, flags int) (p [2]int) {
	tb.Helper()
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC|flags); err != nil {
		tb.Fatal(err)
	}
	closeAtEnd(tb, p[:]...)
	return p
}

func socketpair(tb testing.TB) (p [2]int) {
	tb.Helper()
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	closeAtEnd(tb, p[:]...)
	return p
}

func TestKick(t *testing.T) {
	for name, files := range kickFiles {
		t.Run(name, func(t *testing.T) {
			r := newRing(t, setup{})
			device, driver := files(t)
			kick(t, driver)
			setKick(t, r.q, device)
			within(t, "Wait with a kick from before SetKick", func() { r.q.Wait(forever) })
			quiet(t, r.q)

			// More than a pipe or socket holds; the driver's end blocks when it is full.
			const kicks = 10_000
			before := r.q.Stats().Kicks.Load()
			within(t, "kicking", func() {
				for range kicks {
					kick(t, driver)
					r.q.Wait(forever)
				}
			})
			if n := r.q.Stats().Kicks.Load() - before; n != kicks {
				t.Errorf("%d kicks counted, want %d", n, kicks)
			}
			quiet(t, r.q)
		})
	}
}

func TestKickFdReplacedWhileWaiting(t *testing.T) {
	for name, files := range kickFiles {
		t.Run(name, func(t *testing.T) {
			r := newRing(t, setup{})
			oldDevice, oldDriver := files(t)
			newDevice, newDriver := files(t)
			setKick(t, r.q, oldDevice)
			quiet(t, r.q)

			step := make(chan string)
			go func() {
				r.q.Wait(forever)
				step <- "the fd was replaced"
				for r.q.Stats().Kicks.Load() == 0 {
					r.q.Wait(forever)
				}
				step <- "the new fd was kicked"
			}()
			time.Sleep(5 * time.Millisecond) // likely waits by now; right either way
			setKick(t, r.q, newDevice)
			expect(t, step, "the fd was replaced")
			kick(t, oldDriver)
			select {
			case s := <-step:
				t.Fatalf("%s, but the old fd was kicked", s)
			case <-time.After(20 * time.Millisecond):
			}
			kick(t, newDriver)
			expect(t, step, "the new fd was kicked")
		})
	}
}

func expect(tb testing.TB, ch <-chan string, want string) {
	tb.Helper()
	select {
	case got := <-ch:
		if got != want {
			tb.Fatalf("%q, want %q", got, want)
		}
	case <-time.After(soon):
		tb.Fatalf("not seen: %q", want)
	}
}

// The number of a kick fd that was replaced and closed may be taken by another file before
// the waiting thread looks at an event that was reported for the old one. It must not read
// that file.
func TestKickFdNumberTakenByAnotherFile(t *testing.T) {
	r := newRing(t, setup{})
	p := pipe(t, unix.O_NONBLOCK)
	number, err := unix.FcntlInt(uintptr(eventfd(t)), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, number)
	setKick(t, r.q, number)
	virtqueue.DrainKick(r.q, number) // while it is the kick fd
	setKick(t, r.q, -1)
	if err := unix.Dup3(p[0], number, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	kick(t, p[1])
	virtqueue.DrainKick(r.q, number)
	if !readable(t, p[0]) {
		t.Fatal("the file that took the kick fd's number was read from")
	}
}

func TestNoKickFdIsPolled(t *testing.T) { layouts(t, testNoKickFdIsPolled) }

func testNoKickFdIsPolled(t *testing.T, layout virtqueue.Features) {
	r := newRing(t, setup{features: layout})
	fd := eventfd(t)
	for _, replaced := range []bool{false, true} {
		if replaced {
			setKick(t, r.q, fd)
			setKick(t, r.q, -1)
		}
		within(t, "serving a ring that nobody kicks", func() {
			for range 20 {
				head := r.drv.Add(nil, buffers(r.data, 1))
				var c virtqueue.Chain
				for {
					ok, err := r.q.Pop(&c)
					if err != nil {
						t.Error(err)
						return
					}
					if ok {
						break
					}
					r.q.Wait(forever)
				}
				r.q.Push(&c, 0)
				r.take(head, 0)
				r.q.Wait(forever)
			}
		})
	}
	if n := r.q.Stats().Kicks.Load(); n != 0 {
		t.Errorf("%d kicks counted on a ring without a kick fd", n)
	}
}

func TestKickEndsWait(t *testing.T) {
	r := newRing(t, setup{})
	setKick(t, r.q, eventfd(t))
	quiet(t, r.q)
	r.q.Kick()
	within(t, "Wait after Kick", func() { r.q.Wait(forever) })
	quiet(t, r.q)
	go func() {
		time.Sleep(5 * time.Millisecond)
		r.q.Kick()
	}()
	within(t, "Wait during Kick", func() { r.q.Wait(forever) })
	if n := r.q.Stats().Kicks.Load(); n != 0 {
		t.Errorf("%d kicks counted, but the driver sent none", n)
	}
}

// A front end that has gone is no reason to spin.
func TestKickPeerGone(t *testing.T) {
	for _, name := range []string{"pipe", "socket"} {
		t.Run(name, func(t *testing.T) {
			r := newRing(t, setup{})
			device, driver := kickFiles[name](t)
			copied, err := unix.FcntlInt(uintptr(device), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			closeAtEnd(t, copied)
			setKick(t, r.q, copied)
			quiet(t, r.q)
			if err := unix.Shutdown(driver, unix.SHUT_RDWR); name == "socket" && err != nil {
				t.Fatal(err)
			}
			if name == "pipe" { // the number stays taken, so that cleanup closes no other's
				null, err := unix.Open("/dev/null", unix.O_RDWR|unix.O_CLOEXEC, 0)
				if err != nil {
					t.Fatal(err)
				}
				closeAtEnd(t, null)
				if err := unix.Dup3(null, driver, unix.O_CLOEXEC); err != nil {
					t.Fatal(err)
				}
			}
			quiet(t, r.q)
		})
	}
}

func TestSetKickError(t *testing.T) {
	r := newRing(t, setup{})
	if err := r.q.SetKick(r.fd); err == nil { // a regular file
		t.Error("a file that cannot be waited for is taken as kick fd")
	}
	within(t, "Wait after an error", func() { r.q.Wait(forever) }) // polled
}

// The numbers of the fds of a closed queue are soon those of other files.
func TestClosedQueueTouchesNoFile(t *testing.T) {
	r := newRing(t, setup{})
	setKick(t, r.q, eventfd(t))
	_ = r.q.Close()
	var others []int
	for range 8 {
		others = append(others, eventfd(t))
	}
	r.q.Kick()
	if err := r.q.SetKick(others[0]); err == nil {
		t.Error("SetKick succeeds on a closed queue")
	}
	_ = r.q.Close()
	for _, fd := range others {
		if n := events(t, fd); n != 0 { // fails if it was closed
			t.Error("a closed queue wrote to a file that is not its own")
		}
	}
}

// The kick fd is emptied before long: an eventfd that nobody reads fills up.
func TestKickFdIsEmptied(t *testing.T) {
	for _, name := range []string{"eventfd", "blocking eventfd"} {
		r := newRing(t, setup{})
		fd, _ := kickFiles[name](t)
		setKick(t, r.q, fd)
		const kicks = 1000
		for range kicks {
			kick(t, fd)
			r.q.Wait(forever)
		}
		kick(t, fd) // so that a blocking one can be read
		if n := events(t, fd); n > kicks/2 {
			t.Errorf("%s: still %d of %d kicks in it", name, n, kicks)
		}
	}
}
