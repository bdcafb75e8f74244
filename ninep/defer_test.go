// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"testing"

	"golang.org/x/sys/unix"
)

// lockTest is a hand with a Tlock that waits under the tag 5.
type lockTest struct {
	*hand
	file    *hookFile
	cancels int
	locker  *Call
}

func newLockTest(t *testing.T) *lockTest {
	l := &lockTest{file: &hookFile{}}
	l.hand = newHand(t, l.file)
	l.file.lock = func(c *Call) (LockStatus, error) {
		l.locker = c
		c.Defer(func() { l.cancels++ })
		return LockError, unix.EDOM // not to be looked at
	}
	return l
}

// wait begins and serves the Tlock.
func (l *lockTest) wait() *flight {
	f := l.begin(5, &Tlock{FID: 1, Lock: Lock{Flags: LockFlagBlock}})
	l.serve(f)
	return f
}

func (l *lockTest) status(f *flight, want LockStatus) {
	l.t.Helper()
	var r Rlock
	l.answered(f, &r)
	if r.Status != want {
		l.t.Errorf("status %d, want %d", r.Status, want)
	}
}

func TestDeferredLock(t *testing.T) {
	l := newLockTest(t)
	lock := l.wait()
	l.waiting(lock)
	if n := l.s.parked.Load(); n != 1 {
		t.Errorf("%d locks wait", n)
	}
	l.locker.FinishLock(LockSuccess, nil)
	l.status(lock, LockSuccess)
	if l.cancels != 0 {
		t.Error("cancelled")
	}
	lock = l.wait()
	l.locker.FinishLock(LockError, unix.ENOLCK)
	if _, err := ParseMessage(lock.out[:lock.n], &Rlock{}); err != unix.ENOLCK {
		t.Errorf("got %v", err)
	}
	if n := l.s.parked.Load(); n != 0 {
		t.Errorf("%d locks wait", n)
	}
	// A backend's mistake must not do harm.
	l.locker.FinishLock(LockSuccess, nil)
}

func TestDeferredLockThatIsAnsweredBeforeServeReturns(t *testing.T) {
	l := newLockTest(t)
	l.file.lock = func(c *Call) (LockStatus, error) {
		c.Defer(func() { t.Error("cancelled") })
		c.FinishLock(LockSuccess, nil)
		return LockError, unix.EDOM
	}
	lock := l.wait()
	l.status(lock, LockSuccess)
	l.s.End(lock.c)
}

func TestFlushOfADeferredLock(t *testing.T) {
	for _, c := range []struct {
		name   string
		status LockStatus
		reply  bool
	}{
		{"not_taken", LockBlocked, false},
		{"taken_meanwhile", LockSuccess, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLockTest(t)
			lock := l.wait()
			fl := l.flush(6, 5)
			fl2 := l.flush(7, 5)
			if l.cancels != 1 {
				t.Fatalf("cancelled %d times", l.cancels)
			}
			l.waiting(fl)
			l.waiting(lock)
			l.locker.FinishLock(c.status, nil)
			if c.reply {
				l.status(lock, c.status)
			} else if !l.isDone(lock) || lock.n != 0 {
				t.Errorf("ended with %d bytes", lock.n)
			}
			l.answered(fl, &Rflush{})
			l.answered(fl2, &Rflush{})
		})
	}
}

func TestFlushThatCancelsAtOnce(t *testing.T) {
	// cancel may finish the request itself.
	l := newLockTest(t)
	l.file.lock = func(c *Call) (LockStatus, error) {
		c.Defer(func() { c.FinishLock(LockBlocked, nil) })
		return LockBlocked, nil
	}
	lock := l.wait()
	fl := l.flush(6, 5)
	l.answered(fl, &Rflush{})
	if !l.isDone(lock) || lock.n != 0 {
		t.Errorf("ended with %d bytes", lock.n)
	}
}

func TestWhatComesBeforeALockWaits(t *testing.T) {
	// A Tflush, a Drain, a Reset that come while the backend is about to call
	// Defer are not lost.
	for name, event := range map[string]func(l *lockTest){
		"flush": func(l *lockTest) { l.flush(6, 5) },
		"drain": func(l *lockTest) { l.s.Drain() },
		"reset": func(l *lockTest) { l.s.Reset() },
	} {
		for _, when := range []string{"before_defer", "after_defer"} {
			t.Run(name+"_"+when, func(t *testing.T) {
				l := newLockTest(t)
				l.file.lock = func(c *Call) (LockStatus, error) {
					if when == "before_defer" {
						event(l)
					}
					c.Defer(func() { l.cancels++ })
					if when == "after_defer" {
						event(l)
					}
					return LockBlocked, nil
				}
				lock := l.wait()
				if l.cancels != 1 {
					t.Fatalf("cancelled %d times", l.cancels)
				}
				lock.c.FinishLock(LockBlocked, nil)
				if !l.isDone(lock) {
					t.Error("not ended")
				}
			})
		}
	}
}

// TestWaitingIsBounded: further requests must be answered, and room that was given up is
// room again, however the wait ended.
func TestWaitingIsBounded(t *testing.T) {
	l := newLockTest(t)
	var waiting []*Call
	refused := 0
	l.file.lock = func(c *Call) (LockStatus, error) {
		if c.Defer(func() { c.FinishLock(LockBlocked, nil) }) {
			waiting = append(waiting, c)
		} else {
			refused++
		}
		return LockBlocked, nil
	}
	l.s.LimitWaiting(2)
	ask := func(tag uint16) *flight {
		f := l.begin(tag, &Tlock{FID: 1, Lock: Lock{Flags: LockFlagBlock}})
		l.serve(f)
		return f
	}
	first, second := ask(5), ask(6)
	l.waiting(first)
	l.waiting(second)
	l.status(ask(7), LockBlocked)
	waiting[0].FinishLock(LockSuccess, nil)
	l.status(first, LockSuccess)
	third := ask(8)
	l.waiting(third)
	l.status(ask(9), LockBlocked)
	l.answered(l.flush(10, 8), &Rflush{})
	l.s.Drain()
	l.status(second, LockBlocked)
	l.waiting(ask(11))
	l.waiting(ask(12))
	l.s.Reset()
	if refused != 2 || l.s.waiting != 0 {
		t.Errorf("%d refused, %d are said to wait", refused, l.s.waiting)
	}
}

func TestDrain(t *testing.T) {
	l := newLockTest(t)
	lock := l.wait()
	l.s.Drain()
	l.s.Drain()
	if l.cancels != 1 {
		t.Fatalf("cancelled %d times", l.cancels)
	}
	l.locker.FinishLock(LockBlocked, nil)
	l.status(lock, LockBlocked)
	// What comes after may wait again.
	lock = l.wait()
	if l.cancels != 1 {
		t.Error("a lock that came after Drain was cancelled")
	}
	l.waiting(lock)
	l.locker.FinishLock(LockSuccess, nil)
	l.status(lock, LockSuccess)
}

func TestClunkEndsTheWaitOfItsLocks(t *testing.T) {
	l := newLockTest(t)
	l.wait()
	l.do(&Tclunk{FID: 0}, &Rclunk{})
	if l.cancels != 0 {
		t.Fatal("cancelled by the clunk of another fid")
	}
	l.do(&Tclunk{FID: 1}, &Rclunk{})
	if l.cancels != 1 {
		t.Fatalf("cancelled %d times", l.cancels)
	}
	if n := l.s.Stats().FIDs; n != 0 {
		t.Errorf("%d fids", n)
	}
	l.locker.FinishLock(LockBlocked, nil)
}
