// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// A lock that is waited for blocks no thread: F_OFD_SETLKW cannot be cancelled. One
// goroutine tries for all waiters, in their order, whenever a lock is dropped in
// this process, and from time to time, for it is not told what others drop.

// Bounds of the time between two tries.
const (
	minLockPause = time.Millisecond
	maxLockPause = 20 * time.Millisecond
)

// lockWait is the waiting part of a lockTable. All but the channel is guarded by
// lockTable.mu.
type lockWait struct {
	waiters []*lockWaiter
	running bool
	again   chan struct{} // room for one
}

// lockWaiter is a request that waits for a lock. The session keeps its fid, and so h,
// until it is answered.
type lockWaiter struct {
	c         *ninep.Call
	lf        *lockFile // in use
	h         *handle
	id        ownerID
	span      lockSpan
	cancelled bool
}

func (w *lockWait) init() { w.again = make(chan struct{}, 1) }

// retry makes the goroutine try at once.
func (w *lockWait) retry() {
	select {
	case w.again <- struct{}{}:
	default:
	}
}

// await lets c wait for a lock, if not too many do. Then the use of w.lf is w's.
func (lt *lockTable) await(c *ninep.Call, w *lockWaiter) bool {
	deferred := c.Defer(func() {
		lt.mu.Lock()
		w.cancelled = true
		lt.mu.Unlock()
		lt.wait.retry()
	})
	if !deferred {
		return false
	}
	// Not before Defer: from here on the answer can be given.
	lt.mu.Lock()
	lt.wait.waiters = append(lt.wait.waiters, w)
	start := !lt.wait.running
	lt.wait.running = true
	lt.mu.Unlock()
	if start {
		go lt.serveWaiters()
	}
	lt.wait.retry()
	return true
}

func (lt *lockTable) cancelAll() {
	lt.mu.Lock()
	for _, w := range lt.wait.waiters {
		w.cancelled = true
	}
	lt.mu.Unlock()
	lt.wait.retry()
}

// serveWaiters runs until nobody waits.
func (lt *lockTable) serveWaiters() {
	pause := minLockPause
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-lt.wait.again:
			pause = minLockPause
		case <-timer.C:
			pause = min(2*pause, maxLockPause)
		}
		lt.mu.Lock()
		round := slices.Clone(lt.wait.waiters)
		lt.mu.Unlock()
		for _, w := range round {
			lt.try(w)
		}
		lt.mu.Lock()
		done := len(lt.wait.waiters) == 0
		if done {
			lt.wait.running = false
		}
		lt.mu.Unlock()
		if done {
			return
		}
		timer.Reset(pause)
	}
}

// try answers w if there is an answer by now.
func (lt *lockTable) try(w *lockWaiter) {
	lt.mu.Lock()
	cancelled := w.cancelled
	lt.mu.Unlock()
	status, e := ninep.LockBlocked, unix.Errno(0)
	if !cancelled {
		w.lf.mu.Lock()
		e = w.lf.acquire(w.h, w.id, w.span)
		w.lf.mu.Unlock()
		switch e {
		case 0:
			status = ninep.LockSuccess
		case unix.EAGAIN:
			return
		default:
			status = ninep.LockError
		}
	}
	lt.mu.Lock()
	lt.wait.waiters = slices.DeleteFunc(lt.wait.waiters, func(other *lockWaiter) bool { return other == w })
	lt.mu.Unlock()
	lt.leave(w.lf)
	w.c.FinishLock(status, errorOf(e))
}
