// SPDX-License-Identifier: Apache-2.0

package memfs

import (
	"math"
	"slices"
	"sync"

	"vhost-user-9p/ninep"
)

// lockTable holds the byte-range locks of all files, as fcntl(2) has them: an
// owner's later lock replaces what it holds of the range, and locks of one owner
// do not stand in one another's way.
type lockTable struct {
	mu      sync.Mutex
	held    []lock
	waiting []*waiter
}

type owner struct {
	client string
	proc   uint32
}

type lock struct {
	node       *node
	owner      owner
	typ        ninep.LockType
	start, end uint64 // inclusive
	via        *file  // whose Close drops it
}

// waiter is a request that is answered when its lock can be had.
type waiter struct {
	call *ninep.Call
	lock lock
}

func newLock(f *file, l *ninep.Lock) lock {
	end := uint64(math.MaxInt64)
	if l.Length != 0 {
		end = l.Start + l.Length - 1
	}
	return lock{f.node, owner{string(l.ClientID), l.ProcID}, l.Type, l.Start, end, f}
}

func (l *lock) overlaps(m *lock) bool {
	return l.node == m.node && l.start <= m.end && m.start <= l.end
}

// conflict returns the lowest lock that stands in l's way.
//
// Preconditions: t.mu is held.
func (t *lockTable) conflict(l *lock) *lock {
	var first *lock
	for i := range t.held {
		h := &t.held[i]
		if h.owner != l.owner && h.overlaps(l) && (h.typ == ninep.LockWrite || l.typ == ninep.LockWrite) &&
			(first == nil || h.start < first.start) {
			first = h
		}
	}
	return first
}

// set makes the range of l what l says.
//
// Preconditions: t.mu is held; nothing stands in l's way.
func (t *lockTable) set(l lock) {
	var kept []lock
	for _, h := range t.held {
		if h.owner != l.owner || !h.overlaps(&l) {
			kept = append(kept, h)
			continue
		}
		if h.start < l.start {
			left := h
			left.end = l.start - 1
			kept = append(kept, left)
		}
		if h.end > l.end {
			right := h
			right.start = l.end + 1
			kept = append(kept, right)
		}
	}
	if l.typ != ninep.LockUnlock {
		kept = append(kept, l)
	}
	t.held = kept
}

// grant takes the locks that waiters can have now, and returns those waiters for
// the caller to answer when it has released t.mu.
//
// Preconditions: t.mu is held.
func (t *lockTable) grant() []*waiter {
	var granted []*waiter
	t.waiting = slices.DeleteFunc(t.waiting, func(w *waiter) bool {
		if t.conflict(&w.lock) != nil {
			return false
		}
		t.set(w.lock)
		granted = append(granted, w)
		return true
	})
	return granted
}

func finish(ws []*waiter, st ninep.LockStatus) {
	for _, w := range ws {
		w.call.FinishLock(st, nil)
	}
}

func (f *file) Lock(c *ninep.Call, l *ninep.Lock) (ninep.LockStatus, error) {
	t := &f.fs.locks
	want := newLock(f, l)
	t.mu.Lock()
	if want.typ != ninep.LockUnlock && t.conflict(&want) != nil {
		defer t.mu.Unlock()
		if l.Flags&ninep.LockFlagBlock != 0 {
			w := &waiter{c, want}
			if c.Defer(func() { t.cancel(w) }) {
				t.waiting = append(t.waiting, w)
			}
		}
		return ninep.LockBlocked, nil
	}
	t.set(want)
	granted := t.grant()
	t.mu.Unlock()
	finish(granted, ninep.LockSuccess)
	return ninep.LockSuccess, nil
}

// cancel ends the wait of w, unless it has ended.
func (t *lockTable) cancel(w *waiter) {
	t.mu.Lock()
	i := slices.Index(t.waiting, w)
	if i >= 0 {
		t.waiting = slices.Delete(t.waiting, i, i+1)
	}
	t.mu.Unlock()
	if i >= 0 {
		w.call.FinishLock(ninep.LockBlocked, nil)
	}
}

func (f *file) GetLock(_ *ninep.Call, l *ninep.Lock) error {
	t := &f.fs.locks
	want := newLock(f, l)
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.conflict(&want)
	if h == nil {
		l.Type = ninep.LockUnlock
		return nil
	}
	l.Type, l.Start, l.Length = h.typ, h.start, 0
	if h.end != math.MaxInt64 {
		l.Length = h.end - h.start + 1
	}
	l.ProcID, l.ClientID = h.owner.proc, ninep.Name(h.owner.client)
	return nil
}

// dropFile drops the locks that were taken through f.
func (t *lockTable) dropFile(f *file) {
	t.mu.Lock()
	t.held = slices.DeleteFunc(t.held, func(l lock) bool { return l.via == f })
	granted := t.grant()
	t.mu.Unlock()
	finish(granted, ninep.LockSuccess)
}

func (t *lockTable) reset() {
	t.mu.Lock()
	waiting := t.waiting
	t.held, t.waiting = nil, nil
	t.mu.Unlock()
	finish(waiting, ninep.LockBlocked)
}
