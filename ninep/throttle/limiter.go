// SPDX-License-Identifier: Apache-2.0

package throttle

import (
	"sync"
	"sync/atomic"
	"time"
)

// Limiter keeps requests within Limits. Its methods may be called from any number of
// goroutines at once.
type Limiter struct {
	on atomic.Bool // there are limits

	mu      sync.Mutex
	limits  Limits
	buckets *buckets
	waiting [classes]queue // Read and Write
	turn    Class          // which of them is looked at first
	timer   timer
	stats   [classes]Stats

	now func() int64 // nanoseconds
}

// timer is what a time.Timer does.
type timer interface {
	Reset(time.Duration) bool
	Stop() bool
}

// Waiter is a request, or memory for one. It is in use from an Admit that returns false
// until Resume is called or Cancel returns true.
type Waiter struct {
	// Resume is called when the request may go on, with no lock of the Limiter's held.
	Resume func()

	next  *Waiter
	size  uint64
	since int64
}

// queue is a list of Waiters in the order in which they came.
type queue struct{ first, last *Waiter }

// Stats are what a Limiter has counted of a class.
type Stats struct {
	Requests uint64        // that had to wait
	Waited   time.Duration // by all of them
	Waiting  int           // now
}

// New returns a Limiter. The limits must be valid.
func New(l Limits) *Limiter {
	start := time.Now()
	return newLimiter(l, func() int64 { return int64(time.Since(start)) },
		func(f func()) timer { return time.AfterFunc(time.Hour, f) })
}

func newLimiter(l Limits, now func() int64, newTimer func(func()) timer) *Limiter {
	lim := &Limiter{now: now, turn: Read}
	lim.timer = newTimer(lim.wake)
	lim.timer.Stop()
	lim.Set(l)
	return lim
}

// Set replaces the limits, which must be valid. Requests that wait go on as the new ones
// have it.
func (lim *Limiter) Set(l Limits) {
	lim.mu.Lock()
	lim.limits = l
	lim.buckets = newBuckets(&l)
	lim.on.Store(l != Limits{})
	ready := lim.admitLocked()
	lim.mu.Unlock()
	resume(ready)
}

// Limits returns the limits that are in force.
func (lim *Limiter) Limits() Limits {
	lim.mu.Lock()
	defer lim.mu.Unlock()
	return lim.limits
}

// Stats returns what was counted of Read or Write.
func (lim *Limiter) Stats(c Class) Stats {
	lim.mu.Lock()
	defer lim.mu.Unlock()
	return lim.stats[c]
}

// Admit reports whether a request of the class (Read or Write) that moves size bytes may
// go on. If not, w.Resume is called when it may, perhaps before Admit returns, unless
// Cancel is called first.
func (lim *Limiter) Admit(c Class, size int, w *Waiter) bool {
	if !lim.on.Load() {
		return true
	}
	lim.mu.Lock()
	defer lim.mu.Unlock()
	now := lim.now()
	q := &lim.waiting[c]
	if q.first == nil && lim.buckets.wait(now, c) == 0 {
		lim.buckets.pour(now, c, uint64(size))
		return true
	}
	w.size, w.since, w.next = uint64(size), now, nil
	if q.first == nil {
		q.first = w
	} else {
		q.last.next = w
	}
	q.last = w
	lim.stats[c].Requests++
	lim.stats[c].Waiting++
	lim.setTimerLocked(now)
	return false
}

// Cancel ends the wait of w, and reports whether it waited: then Resume will not be
// called. The request counts all the same: it may go on at once.
func (lim *Limiter) Cancel(w *Waiter) bool {
	lim.mu.Lock()
	defer lim.mu.Unlock()
	for _, c := range [...]Class{Read, Write} {
		q := &lim.waiting[c]
		var before *Waiter
		for v := q.first; v != nil; before, v = v, v.next {
			if v != w {
				continue
			}
			if before == nil {
				q.first = w.next
			} else {
				before.next = w.next
			}
			if q.last == w {
				q.last = before
			}
			lim.leaveLocked(c, w, lim.now())
			return true
		}
	}
	return false
}

// leaveLocked counts w, which waits no longer.
func (lim *Limiter) leaveLocked(c Class, w *Waiter, now int64) {
	w.next = nil
	lim.buckets.pour(now, c, w.size)
	lim.stats[c].Waiting--
	lim.stats[c].Waited += time.Duration(now - w.since)
}

// wake is called when the timer fires.
func (lim *Limiter) wake() {
	lim.mu.Lock()
	ready := lim.admitLocked()
	lim.mu.Unlock()
	resume(ready)
}

// admitLocked takes those out of the queues who may go on, and returns them as a list. The
// directions take turns, so that with a limit on both neither starves.
func (lim *Limiter) admitLocked() *Waiter {
	var ready queue
	now := lim.now()
	for stuck := 0; stuck < 2; {
		c := lim.turn
		lim.turn = Read + Write - c
		q := &lim.waiting[c]
		w := q.first
		if w == nil || lim.buckets.wait(now, c) > 0 {
			stuck++
			continue
		}
		stuck = 0
		if q.first = w.next; q.first == nil {
			q.last = nil
		}
		lim.leaveLocked(c, w, now)
		if ready.first == nil {
			ready.first = w
		} else {
			ready.last.next = w
		}
		ready.last = w
	}
	lim.setTimerLocked(now)
	return ready.first
}

// setTimerLocked sets the timer to when the first that waits may go on.
func (lim *Limiter) setTimerLocked(now int64) {
	next := int64(forever)
	for _, c := range [...]Class{Read, Write} {
		if lim.waiting[c].first != nil {
			next = min(next, lim.buckets.wait(now, c))
		}
	}
	if next == forever {
		lim.timer.Stop()
		return
	}
	lim.timer.Reset(time.Duration(next))
}

// resume lets the requests of a list go on, each of which may be used again then.
func resume(w *Waiter) {
	for w != nil {
		next := w.next
		w.next = nil
		w.Resume()
		w = next
	}
}
