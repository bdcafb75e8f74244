// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"bytes"
	"errors"
	"log/slog"
	"runtime/debug"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// failing is a backend whose GetAttr a test says.
type failing struct {
	nullFile
	getattr func() error
}

func (f *failing) Attach(*Call, Name) (File, QID, error)         { return f, nullQID, nil }
func (f *failing) Reset()                                        {}
func (f *failing) GetAttr(*Call, AttrMask, *Attr) error          { return f.getattr() }
func (f *failing) Read(*Call, []unix.Iovec, uint64) (int, error) { return 0, f.getattr() }
func (f *failing) Rename(*Call, File, Name) error                { return f.getattr() }
func (f *failing) Walk(_ *Call, names []Name, _ []QID) (File, int, error) {
	return f, len(names), nil
}

func TestPanicInAnOperation(t *testing.T) {
	var logged bytes.Buffer
	f := &failing{getattr: func() error { var p *int; _ = *p; return nil }}
	r := newRigL(t, Config{Backend: f, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	r.do(&Twalk{NewFID: 1}, &Rwalk{})
	for range 3 {
		if err := r.try(&Tgetattr{}, &Rgetattr{}); err != unix.EIO {
			t.Errorf("got %v", err)
		}
		if err := r.try(&Trename{FID: 1, DFID: 0, Name: Name("x")}, &Rrename{}); err != unix.EIO {
			t.Errorf("got %v", err)
		}
	}
	if n := r.s.Stats().Panics; n != 6 {
		t.Errorf("%d panics were counted", n)
	}
	if s := logged.String(); !strings.Contains(s, "getattr") || !strings.Contains(s, "GetAttr") {
		t.Errorf("the log has no stack: %s", s)
	}
	if n := strings.Count(logged.String(), "level=ERROR"); n != 1 {
		t.Errorf("%d lines for panics of one moment", n)
	}
	// No lock is left held.
	f.getattr = func() error { return nil }
	r.do(&Trename{FID: 1, DFID: 0, Name: Name("x")}, &Rrename{})
	r.do(&Trename{FID: 0, DFID: 1, Name: Name("x")}, &Rrename{})
}

func TestErrorWithoutAnErrno(t *testing.T) {
	var logged bytes.Buffer
	f := &failing{getattr: func() error { return errors.New("something odd") }}
	r := newRigL(t, Config{Backend: f, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	for range 3 {
		if err := r.try(&Tgetattr{}, &Rgetattr{}); err != unix.EIO {
			t.Errorf("got %v", err)
		}
	}
	if n := strings.Count(logged.String(), "something odd"); n != 1 {
		t.Errorf("%d lines, want one", n)
	}
	if n := r.s.Stats().UnknownErrors; n != 3 {
		t.Errorf("%d counted", n)
	}
}

// gone returns memory that faults when it is touched.
func gone(t *testing.T, n int) []unix.Iovec {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(b) })
	return iovecs(b)
}

func TestMemoryThatIsGone(t *testing.T) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	f := &failing{getattr: func() error { return nil }}
	r := newRigL(t, Config{Backend: f})
	r.do(&Twalk{NewFID: 1}, &Rwalk{})
	faults := uint64(0)
	fault := func(name string) {
		t.Helper()
		if n := r.serve(); n != Fault {
			t.Errorf("%s: Serve returned %d", name, n)
		}
		faults++
	}

	aim(r.c, encode(t, 1, &Tgetattr{}), r.out)
	r.c.In = gone(t, 4096)
	fault("header")

	msg := encode(t, 1, &Tgetattr{})
	r.c.In = append(iovecs(msg[:7]), gone(t, 4096)...)
	r.c.InLen = len(msg)
	fault("rest of the message")

	aim(r.c, encode(t, 1, &Trename{FID: 1, DFID: 0, Name: Name("x")}), r.out)
	r.c.Out, r.c.OutLen = gone(t, 4096), 4096
	fault("reply")

	f.getattr = func() error { return unix.ENOENT }
	fault("Rlerror")

	f.getattr = func() error { panic("for another reason") }
	fault("Rlerror after a panic")

	f.getattr = func() error { return unix.EFAULT }
	r.do(&Tlopen{FID: 1}, &Rlopen{})
	aim(r.c, encode(t, 1, &Tread{FID: 1, Count: 100}), r.out)
	fault("EFAULT of a system call")

	if n := r.s.Stats().Faults; n != faults {
		t.Errorf("%d faults were counted, want %d", n, faults)
	}
	// No lock is left held.
	f.getattr = func() error { return nil }
	r.do(&Trename{FID: 1, DFID: 0, Name: Name("x")}, &Rrename{})
	r.do(&Trename{FID: 0, DFID: 1, Name: Name("x")}, &Rrename{})
}

func TestMemoryThatIsGoneWhenADeferredReplyComes(t *testing.T) {
	// The backend answers on a goroutine that does not know of such faults.
	l := newLockTest(t)
	lock := l.wait()
	lock.c.Out = gone(t, 4096)
	done := make(chan struct{})
	go func() {
		l.locker.FinishLock(LockSuccess, nil)
		close(done)
	}()
	<-done
	if !l.isDone(lock) || lock.n != Fault {
		t.Errorf("completed with %d", lock.n)
	}
}
