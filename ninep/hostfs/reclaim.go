// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// There can be more nodes and open files than the process may have descriptors. So
// descriptors are counted, and where there would be more than the limit allows, what
// has not been used for long loses its own: it becomes cold, and gets another when it
// is pinned. A sweep goes around the descriptors of each part of the node table and takes
// the first that was not pinned since it last came by (the second-chance, or clock,
// algorithm).
//
// A thread that takes a descriptor away or brings it back has claimed its owner (busy)
// for the time of the system calls that takes. Others wait for it, but not one that has
// a claim itself, nor does that make room for what it opens: so nobody waits in a circle.

// holder is what has a descriptor: a node, or an open file that can be opened again.
type holder interface {
	descriptor() *descriptor
	slot() *uint32 // in nodeShard.ring, or noSlot; guarded by nodeShard.mu
	hash() uint64  // says in which shard

	// baseLocked returns the node that must be pinned for reopen, or nil.
	baseLocked() *node
	// reopen returns a new descriptor. base is that of the base, and t's owner has
	// claimed the holder.
	reopen(t *thread, base int32) (int32, unix.Errno)
}

const noSlot = math.MaxUint32

// descriptors counts those of an FS.
type descriptors struct {
	max    int64 // from which room has to be made
	used   atomic.Int64
	hand   atomic.Uint32 // the shard that is swept next
	asking atomic.Int32  // see maxAsking

	cold     atomic.Int64  // nodes without
	evicted  atomic.Uint64 // taken away
	reopened atomic.Uint64 // brought back
	stale    atomic.Uint64 // could not be: the file was gone
}

// close closes a descriptor that openat, openat2 or openByHandle returned.
func (ds *descriptors) close(fd int32) {
	closeFD(fd)
	ds.used.Add(-1)
}

func (ds *descriptors) stats() DescriptorStats {
	return DescriptorStats{
		Used:     int(ds.used.Load()),
		Max:      int(ds.max),
		Cold:     int(ds.cold.Load()),
		Evicted:  ds.evicted.Load(),
		Reopened: ds.reopened.Load(),
		Stale:    ds.stale.Load(),
	}
}

// Of the process's limit, so many descriptors are left to what the process has besides
// the export: sockets, eventfds, the guest's memory, the runtime.
const (
	maxReserve   = 256
	minBudget    = 32
	reservePart  = 4 // at most one in so many
	unlimitedFDs = 1 << 30
)

// descriptorBudget returns how many descriptors an FS may use.
func descriptorBudget() int {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return minBudget
	}
	n := int(min(limit.Cur, unlimitedFDs))
	return max(n-min(n/reservePart, maxReserve), minBudget)
}

// room makes sure that one more descriptor can be opened.
func (fs *FS) room(t *thread) unix.Errno {
	// A directory may be opened for what is in it to become cold: so it can take a few.
	for range maxRestores {
		if fs.fds.used.Load() < fs.fds.max || t.claiming {
			return 0
		}
		if fs.lingering.dropAll() {
			continue
		}
		if !fs.evict(t) {
			break
		}
	}
	return unix.ENFILE
}

// evict closes one descriptor. It reports false if all are in use.
func (fs *FS) evict(t *thread) bool {
	young := false
	for range 2 {
		first := fs.fds.hand.Add(1)
		for i := range uint32(nodeShards) {
			ok, y := fs.evictFrom(t, &fs.nodes.shards[(first+i)%nodeShards])
			if ok {
				return true
			}
			young = young || y
		}
		if !young {
			break
		}
		// They are told from others by their age, which they are about to reach. Or
		// others are about to make room.
		time.Sleep(tick)
	}
	return false
}

// evictFrom closes one of the descriptors of a shard. If it cannot, it reports whether
// it was because files are too young.
func (fs *FS) evictFrom(t *thread, s *nodeShard) (ok, young bool) {
	s.mu.Lock()
	tries := len(s.ring)
	s.mu.Unlock()
	for range tries {
		s.mu.Lock()
		x, fd := s.victimLocked()
		s.mu.Unlock()
		if x == nil {
			return false, young
		}
		n, isNode := x.(*node)
		if !isNode {
			fs.fds.evicted.Add(1)
			fs.fds.close(fd)
			return true, false
		}
		m, e := fs.memorize(t.claim(), n, fd)
		s.mu.Lock()
		if e == 0 {
			n.remember(m)
			fs.fds.cold.Add(1)
		} else {
			n.desc.word.Add(fdWord(fd))
			if e != unix.ENOENT {
				s.joinLocked(n)
				n.desc.word.Or(referenced)
			}
		}
		n.desc.word.And(^uint64(busy))
		s.idle.Broadcast()
		s.mu.Unlock()
		if e == 0 {
			fs.fds.evicted.Add(1)
			fs.fds.close(fd)
		}
		fs.nodes.put(n)
		if e == 0 {
			return true, false
		}
		young = young || e == unix.EAGAIN
	}
	return false, young
}

// joinLocked lets the sweep find x, which has a descriptor.
func (s *nodeShard) joinLocked(x holder) {
	*x.slot() = uint32(len(s.ring))
	s.ring = append(s.ring, x)
}

// leaveLocked takes x out of the sweep's way, if it is there.
func (s *nodeShard) leaveLocked(x holder) {
	i := *x.slot()
	if i == noSlot {
		return
	}
	*x.slot() = noSlot
	last := len(s.ring) - 1
	if moved := s.ring[last]; moved != x {
		s.ring[i] = moved
		*moved.slot() = i
	}
	s.ring[last] = nil
	s.ring = s.ring[:last]
}

// victimLocked takes a descriptor away from who needs it least. A node is claimed then,
// and the caller gets a reference. It returns nil if all are in use.
func (s *nodeShard) victimLocked() (holder, int32) {
	for range 2 * len(s.ring) {
		if s.hand >= len(s.ring) {
			s.hand = 0
		}
		x := s.ring[s.hand]
		s.hand++
		d := x.descriptor()
		w := d.word.Load()
		if w&pinsMask != 0 {
			continue
		}
		if w&referenced != 0 {
			d.word.And(^uint64(referenced))
			continue
		}
		n, isNode := x.(*node)
		next := w & math.MaxUint32
		if isNode {
			next |= busy
		}
		if !d.word.CompareAndSwap(w, next) {
			continue
		}
		if isNode {
			n.refs.Add(1)
		}
		s.leaveLocked(x)
		return x, wordFD(w)
	}
	return nil, -1
}

// restore is pin for what had no descriptor a moment ago. The pin has been counted.
func (fs *FS) restore(t *thread, x holder) (int32, unix.Errno) {
	for {
		fd, e, done := fs.tryRestore(t, x)
		if !done {
			continue
		}
		if e != 0 {
			x.descriptor().unpin()
			if e == unix.ESTALE {
				fs.fds.stale.Add(1)
			}
		}
		return fd, e
	}
}

// maxRestores bounds how many directories are brought back for one file: no path that
// can be told has more names.
const maxRestores = unix.PathMax / 2

// tryRestore reports false if x has changed meanwhile.
func (fs *FS) tryRestore(t *thread, x holder) (fd int32, e unix.Errno, done bool) {
	d, s := x.descriptor(), fs.nodes.shard(x.hash())
	s.mu.Lock()
	for d.is(busy) {
		if t.claiming {
			s.mu.Unlock()
			return -1, unix.EBUSY, true
		}
		s.idle.Wait()
	}
	w := d.word.Load()
	base := x.baseLocked()
	if base != nil {
		base.hold()
	}
	s.mu.Unlock()
	if base != nil {
		defer fs.nodes.put(base)
	}
	switch {
	case wordFD(w) >= 0:
		return wordFD(w), 0, true
	case w&dead != 0 || t.restores > maxRestores:
		return -1, unix.ESTALE, true
	}
	baseFD := int32(-1)
	if base != nil {
		t.restores++
		baseFD, e = base.pin(t)
		t.restores--
		if e != 0 {
			return -1, e, true
		}
		defer base.unpin()
	}
	if e := fs.room(t); e != 0 {
		return -1, e, true
	}
	s.mu.Lock()
	if d.is(busy|dead) || d.has() || x.baseLocked() != base {
		s.mu.Unlock()
		return 0, 0, false
	}
	d.word.Or(busy)
	s.mu.Unlock()
	fd, e = x.reopen(t.claim(), baseFD)
	n, isNode := x.(*node)
	s.mu.Lock()
	if e == 0 {
		d.word.Add(fdWord(fd))
		s.joinLocked(x)
		if isNode && base != nil {
			n.parent = nil
			n.where.clear()
		}
	}
	d.word.And(^uint64(busy))
	s.idle.Broadcast()
	s.mu.Unlock()
	if e == 0 {
		fs.fds.reopened.Add(1)
		if isNode {
			fs.warmed(n, base)
			fs.nodes.put(base)
		}
	}
	return fd, e, true
}
