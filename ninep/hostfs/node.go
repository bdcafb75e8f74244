// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"math/bits"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// node is one inode as seen through one mount. The fields without a comment on that are
// written once, before the node is in the table. There can be a million nodes.
type node struct {
	next *node // in its bucket; guarded by nodeShard.mu
	nodeKey
	path uint64     // of the QID
	desc descriptor // O_PATH; see pin
	memo            // what brings a cold node back; guarded by nodeShard.mu and by busy
	ring uint32     // see slot
	refs atomic.Int32
	born uint32 // nodeTable.births after it was added
	nodeType
}

// nodeKey is a node's identity.
type nodeKey struct {
	ino      uint64
	dev, mnt uint32
}

func keyOf(stx *unix.Statx_t) nodeKey {
	return nodeKey{stx.Ino, kernelDev(stx.Dev_major, stx.Dev_minor), uint32(stx.Mnt_id)}
}

// nodeType is what else never changes about a node.
type nodeType struct {
	typ       uint16 // S_IFMT of the mode
	mountRoot bool   // this is where the mount begins
	traits    traits // of its file system
}

// kernelDev is a device number as the kernel has it: 12 and 20 bits.
func kernelDev(major, minor uint32) uint32 { return major<<20 | minor&0xfffff }

// devOf turns a kernelDev to st_dev.
func devOf(dev uint32) uint64 { return unix.Mkdev(dev>>20, dev&0xfffff) }

func (k *nodeKey) hash() uint64 {
	return mix(k.ino + uint64(k.dev)<<40 + uint64(k.mnt)*0x9e3779b97f4a7c15)
}

func (n *node) isDir() bool { return n.typ == unix.S_IFDIR }

// hold takes another reference. The caller has one.
func (n *node) hold() *node {
	n.refs.Add(1)
	return n
}

const nodeShards = 64

// nodeTable finds nodes by their keys.
type nodeTable struct {
	fs     *FS
	births atomic.Uint32
	shards [nodeShards]nodeShard
}

// nodeShard is a hash table with chains through the nodes themselves: 6 to 10 bytes a
// node besides.
type nodeShard struct {
	mu      sync.Mutex
	count   int
	buckets []*node // nil at first

	ring []holder // those that have a descriptor, and can lose it
	hand int      // where the sweep goes on
	idle sync.Cond

	_ [192 - 144]byte
}

const minBuckets = 16

func (t *nodeTable) init(fs *FS) {
	t.fs = fs
	for i := range t.shards {
		s := &t.shards[i]
		s.idle.L = &s.mu
	}
}

var nodePool = sync.Pool{New: func() any { return new(node) }}

func (t *nodeTable) shard(hash uint64) *nodeShard { return &t.shards[hash%nodeShards] }

func (s *nodeShard) bucket(hash uint64) **node {
	i, _ := bits.Mul64(hash, uint64(len(s.buckets))) // the low bits have chosen the shard
	return &s.buckets[i]
}

// get returns the node with the key, with a reference for the caller, or nil; and, if
// the node is cold, what it was when it became so.
func (t *nodeTable) get(key *nodeKey) (n *node, cold bool, m memo) {
	h := key.hash()
	s := t.shard(h)
	s.mu.Lock()
	if n = s.findLocked(h, key); n != nil && !n.desc.has() {
		cold = true
		if !n.desc.is(busy) {
			m = n.memo
		}
	}
	s.mu.Unlock()
	return n, cold, m
}

func (s *nodeShard) findLocked(hash uint64, key *nodeKey) *node {
	if s.count == 0 {
		return nil
	}
	for n := *s.bucket(hash); n != nil; n = n.next {
		if n.nodeKey == *key {
			n.refs.Add(1)
			return n
		}
	}
	return nil
}

// add makes a node that takes over fd, with a reference for the caller. If there
// is one with the key by now, it returns that, and fd is still the caller's.
func (t *nodeTable) add(key *nodeKey, typ nodeType, fd int32, path uint64) (n *node, took bool) {
	h := key.hash()
	s := t.shard(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.findLocked(h, key); n != nil {
		return n, false
	}
	if 4*s.count >= 5*len(s.buckets) {
		s.resizeLocked(max(minBuckets, len(s.buckets)+len(s.buckets)/2))
	}
	n = nodePool.Get().(*node)
	n.nodeKey, n.nodeType, n.path = *key, typ, path
	n.desc.word.Store(fdWord(fd))
	n.born = t.births.Add(1)
	n.refs.Store(1)
	b := s.bucket(h)
	n.next = *b
	*b = n
	s.count++
	s.joinLocked(n)
	return n, true
}

func (s *nodeShard) resizeLocked(size int) {
	old := s.buckets
	s.buckets = make([]*node, size)
	for _, n := range old {
		for n != nil {
			next := n.next
			b := s.bucket(n.hash())
			n.next = *b
			*b = n
			n = next
		}
	}
}

// put gives back a reference; the last one lets the node linger, or closes it. It takes nil.
func (t *nodeTable) put(n *node) {
	n, last := t.putOne(n, true)
	if last {
		n = t.fs.lingering.add(n)
	}
	t.drop(n)
}

// drop gives back a reference; the last one closes the node. It takes nil.
func (t *nodeTable) drop(n *node) {
	for n != nil {
		n, _ = t.putOne(n, false)
	}
}

// putOne returns a node of which n has had a reference; or n, if it may linger and the
// reference would be the last, which it has not given back then. It takes nil.
func (t *nodeTable) putOne(n *node, linger bool) (next *node, last bool) {
	if n == nil {
		return nil, false
	}
	for r := n.refs.Load(); r > 1; r = n.refs.Load() {
		if n.refs.CompareAndSwap(r, r-1) {
			return nil, false
		}
	}
	// It may be the last: decided under the lock under which others find it.
	s := t.shard(n.hash())
	s.mu.Lock()
	if linger && n.refs.Load() == 1 && t.mayLinger(n) {
		s.mu.Unlock()
		return n, true
	}
	if n.refs.Add(-1) > 0 {
		s.mu.Unlock()
		return nil, false
	}
	return t.endLocked(s, n), false
}

// putIfLast gives back a reference if it is the last, which closes the node, and reports
// whether it was.
func (t *nodeTable) putIfLast(n *node) bool {
	s := t.shard(n.hash())
	s.mu.Lock()
	if !n.refs.CompareAndSwap(1, 0) {
		s.mu.Unlock()
		return false
	}
	t.drop(t.endLocked(s, n))
	return true
}

// endLocked closes n, of which there are no references, and unlocks its shard. It returns a
// node of which n has had a reference.
func (t *nodeTable) endLocked(s *nodeShard, n *node) (parent *node) {
	s.removeLocked(n)
	s.leaveLocked(n)
	fd := n.desc.dropLocked()
	s.mu.Unlock()
	parent = n.parent
	if fd >= 0 {
		t.fs.fds.close(fd)
	} else {
		t.fs.warmed(n, parent)
	}
	where := n.where
	where.clear()
	*n = node{memo: memo{where: where}}
	nodePool.Put(n)
	return parent
}

// mayLinger reports whether a node that nobody uses any more is worth keeping.
func (t *nodeTable) mayLinger(n *node) bool {
	w := n.desc.word.Load()
	l := &t.fs.lingering
	return n.mnt == l.mnt && n.dev == l.dev && w&(dead|removed|busy) == 0 && wordFD(w) >= 0
}

// remove makes sure that n is not found any more: its inode is gone, and the number
// another one's.
func (t *nodeTable) remove(n *node) {
	s := t.shard(n.hash())
	s.mu.Lock()
	s.removeLocked(n)
	s.mu.Unlock()
}

func (s *nodeShard) removeLocked(n *node) {
	if n.desc.word.Or(dead)&dead != 0 {
		return
	}
	for p := s.bucket(n.nodeKey.hash()); ; p = &(*p).next {
		if *p == n {
			*p = n.next
			break
		}
	}
	n.next = nil
	s.count--
	if s.count < len(s.buckets)/4 && len(s.buckets) > minBuckets {
		s.resizeLocked(max(minBuckets, len(s.buckets)/2))
	}
}

// bornSince reports whether n was added after births was now.
func (n *node) bornSince(now uint32) bool { return int32(n.born-now) > 0 }

// len returns the number of nodes.
func (t *nodeTable) len() int {
	n := 0
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += s.count
		s.mu.Unlock()
	}
	return n
}

// adopt returns the node that fd (O_PATH) is, and which t.stx describes. It takes
// fd over, in any case. from is a node near by, or nil.
func (fs *FS) adopt(t *thread, fd int32, from *node) (*node, unix.Errno) {
	key := keyOf(&t.stx)
	typ := nodeType{typ: t.stx.Mode & unix.S_IFMT, mountRoot: t.stx.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0}
	for {
		n, cold, m := fs.nodes.get(&key)
		if cold {
			same, e := fs.isStill(t, n, &m)
			switch {
			case same && !t.claiming && fs.warm(n, fd): // which is to make room otherwise
				return n, 0
			case !same:
				fs.nodes.put(n)
				n = nil
			}
			if e != 0 {
				fs.fds.close(fd)
				return nil, e
			}
		}
		if n != nil {
			fs.fds.close(fd)
			if n.typ != typ.typ {
				// A server's file system that has given the number away although we hold it.
				fs.nodes.put(n)
				return nil, unix.ESTALE
			}
			return n, 0
		}
		path, e := fs.path(fd, &key, from)
		if e != 0 {
			fs.fds.close(fd)
			return nil, e
		}
		fs.qidPaths.Settle() // before the node can be found
		if from != nil && from.mnt == key.mnt {
			typ.traits = from.traits
		} else {
			typ.traits = traitsOf(t, fd)
		}
		n, took := fs.nodes.add(&key, typ, fd, path)
		if took {
			return n, 0
		}
		fs.nodes.put(n) // somebody was faster: which may be cold again by now
	}
}
