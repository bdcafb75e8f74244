// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"sync"
	"time"
)

// lingering keeps nodes that no fid refers to any more, for a moment. A guest that does not
// cache names walks to a file, asks something about it and clunks the fid, again and again:
// while the node lingers, the next walk to it costs one system call instead of four.
//
// It is for a moment only because the descriptor keeps the inode of a file that is removed on
// the host. The files that the guest removes do not linger, nor do those of other mounts,
// which could not be unmounted meanwhile, and of subvolumes, which could not be deleted.
type lingering struct {
	fs  *FS
	mnt uint32 // whose nodes linger
	dev uint32 // and of which file system or, on btrfs, subvolume

	dropping sync.Mutex // held by tick and dropAll: all are gone when the latter returns

	// mu is the last in the order of locks.
	mu sync.Mutex
	// ring has the nodes from tail to head, numbers whose low bits are the index. Places
	// of those that were taken out early are nil.
	ring       [lingerers]*node
	head, tail uint32
	aged       uint32 // those before it are from before the last tick
	timer      *time.Timer
	ticking    bool
	closed     bool
}

const (
	// lingerers is the most nodes that linger: as many as a guest's path lookups go
	// through in a moment. A power of two.
	lingerers = 512
	// lingerTick is the least time that a node lingers, if there are not too many, and half
	// the longest.
	lingerTick = 500 * time.Millisecond
)

func (l *lingering) init(fs *FS) {
	l.fs = fs
	l.timer = time.AfterFunc(time.Hour, l.tick)
	l.timer.Stop()
}

// add takes over the last reference to n. It returns a node whose last one may be given back
// for it, or nil.
func (l *lingering) add(n *node) (out *node) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return n
	}
	if l.head-l.tail == lingerers {
		out = l.popLocked()
	}
	l.ring[l.head%lingerers] = n
	l.head++
	n.desc.word.Or(lingers)
	if !l.ticking {
		l.ticking = true
		l.aged = l.tail
		l.timer.Reset(lingerTick)
	}
	return out
}

// popLocked takes out the first one. It returns nil if that had been taken out before.
func (l *lingering) popLocked() *node {
	p := &l.ring[l.tail%lingerers]
	l.tail++
	n := *p
	*p = nil
	if n != nil {
		n.desc.word.And(^uint64(lingers))
	}
	return n
}

// remove lets n, to which the caller has a reference, linger no more.
func (l *lingering) remove(n *node) {
	if !n.desc.is(lingers) {
		return
	}
	found := false
	l.mu.Lock()
	for i := l.head; i != l.tail && !found; i-- { // most often one that has just come
		if p := &l.ring[(i-1)%lingerers]; *p == n {
			*p = nil
			n.desc.word.And(^uint64(lingers))
			found = true
		}
	}
	l.mu.Unlock()
	if found {
		l.fs.nodes.drop(n)
	}
}

// tick lets go those that were there at the last tick.
func (l *lingering) tick() {
	l.dropping.Lock()
	defer l.dropping.Unlock()
	l.mu.Lock()
	until := l.aged
	l.mu.Unlock()
	l.drop(until)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.aged = l.head
	if l.ticking = l.head != l.tail && !l.closed; l.ticking {
		l.timer.Reset(lingerTick)
	}
}

// drop lets go those before a number. It reports whether there were any.
func (l *lingering) drop(until uint32) (any bool) {
	for {
		l.mu.Lock()
		if int32(until-l.tail) <= 0 {
			l.mu.Unlock()
			return any
		}
		n := l.popLocked()
		l.mu.Unlock()
		if n != nil {
			any = true
			l.fs.nodes.drop(n)
		}
	}
}

// dropAll lets all go.
func (l *lingering) dropAll() (any bool) {
	l.dropping.Lock()
	defer l.dropping.Unlock()
	l.mu.Lock()
	until := l.head
	l.mu.Unlock()
	return l.drop(until)
}

// close lets all go, and none linger any more.
func (l *lingering) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.timer.Stop()
	l.dropAll()
}
