// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// memo is what brings a cold node back: a file handle, or the directory in which it is and
// its name there.
type memo struct {
	birth  int64  // see birthOf; 0 if it does not tell the inode from others
	parent *node  // one reference; nil: where is a handle
	where  packed // stays, if it is a handle, when the node is warm
}

// found is a memo in the making. where lies in the thread.
type found struct {
	birth  int64
	parent *node
	where  []byte
}

func (m *memo) remember(f found) {
	m.birth, m.parent = f.birth, f.parent
	if len(f.where) > 0 {
		m.where.set(f.where)
	}
}

// birthOf returns when the inode was made, in nanoseconds, or 0 if that is not known. An
// inode that gets the number of one that is gone has another time, once the tick of the
// clock is over in which the first was made: nothing that could have been made in the
// present tick may be told by its time.
func birthOf(stx *unix.Statx_t) int64 {
	if stx.Mask&unix.STATX_BTIME == 0 {
		return 0
	}
	return stx.Btime.Sec*int64(time.Second) + int64(stx.Btime.Nsec)
}

// young reports whether other inodes may be made yet that have the same time.
func (tr traits) young(stx *unix.Statx_t) bool {
	window := otherTick
	if tr&anyUser != 0 && stx.Btime.Nsec != 0 {
		window = tick
	}
	age := time.Since(time.Unix(0, birthOf(stx)))
	return -window < age && age < window
}

// moves are the renames that do not look at what they move. The first node that becomes
// cold and is known by its name ends them: it would not be found under another one.
type moves struct {
	stopped  atomic.Bool
	underWay atomic.Int32
}

// begin reports whether what is moved need not be looked at, until end.
func (m *moves) begin() bool {
	if m.stopped.Load() {
		return false
	}
	m.underWay.Add(1)
	if m.stopped.Load() {
		m.end()
		return false
	}
	return true
}

func (m *moves) end() { m.underWay.Add(-1) }

// stop lets none begin any more. It reports whether none is under way.
func (m *moves) stop() bool {
	m.stopped.Store(true)
	return m.underWay.Load() == 0
}

// maxAsking bounds how many threads can hang because they make room where a server does
// not answer.
const maxAsking = 8

// memorize returns what brings n back when fd, its descriptor, has been closed. ENOENT
// means that nothing ever will, because n has no name left; EAGAIN, that something will
// soon.
//
// Preconditions: t's owner has claimed n.
func (fs *FS) memorize(t *thread, n *node, fd int32) (found, unix.Errno) {
	var m found
	if e := statx(t, fd, empty, unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_NLINK|unix.STATX_BTIME); e != 0 {
		return m, unix.EIO
	}
	if t.stx.Nlink == 0 {
		return m, unix.ENOENT
	}
	born, young := birthOf(&t.stx), n.traits.young(&t.stx)
	if !young {
		m.birth = born
	}
	if fs.handles.enter(t, n, fd) {
		if !n.where.empty() {
			return m, 0
		}
		e := nameToHandle(t, fd)
		if e == 0 {
			m.where = t.fh.pack()
			return m, 0
		}
		fs.handles.leave(n.mnt)
	}
	switch {
	case born == 0:
		return m, unix.EOPNOTSUPP // another file could take the name
	case young, !fs.moves.stop():
		return m, unix.EAGAIN
	}
	if n.traits&anyUser == 0 {
		// To look a name up there is to ask a server, which may not answer.
		defer fs.fds.asking.Add(-1)
		if fs.fds.asking.Add(1) > maxAsking {
			return m, unix.EAGAIN
		}
	}
	dir, name, e := fs.whereIs(t, fs.attaches.root.root, n, fd)
	if e != 0 {
		return m, unix.EIO
	}
	m.parent, m.where = dir, name
	return m, 0
}

// Methods of holder.

func (n *node) descriptor() *descriptor { return &n.desc }
func (n *node) slot() *uint32           { return &n.ring }
func (n *node) hash() uint64            { return n.nodeKey.hash() }
func (n *node) baseLocked() *node       { return n.parent }

// reopen finds a cold node's file again, by its handle or by its name.
func (n *node) reopen(t *thread, base int32) (int32, unix.Errno) {
	var fd int32
	var e unix.Errno
	if n.parent == nil {
		fd, e = openByHandle(t, t.fs.handles.mountFD(n.mnt), n.where.bytes())
	} else {
		fd, e = openat2(t, base, t.cname(n.where.bytes()), openPath, 0, resolveName)
	}
	switch e {
	case 0:
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.EXDEV:
		return -1, unix.ESTALE
	default:
		return -1, e
	}
	e = statx(t, fd, empty, unix.AT_EMPTY_PATH, statxWalk)
	if e == 0 && (keyOf(&t.stx) != n.nodeKey || t.stx.Mode&unix.S_IFMT != n.typ || n.parent != nil && birthOf(&t.stx) != n.birth) {
		e = unix.ESTALE
	}
	if e != 0 {
		t.fs.fds.close(fd)
		return -1, e
	}
	return fd, 0
}

// warmed gives back what n needed as long as it was cold, but the reference to parent.
func (fs *FS) warmed(n, parent *node) {
	fs.fds.cold.Add(-1)
	if parent == nil {
		fs.handles.leave(n.mnt)
	}
}

// warm gives a cold node fd. It reports false if somebody else was faster.
func (fs *FS) warm(n *node, fd int32) bool {
	s := fs.nodes.shard(n.hash())
	s.mu.Lock()
	if n.desc.has() || n.desc.is(busy) {
		s.mu.Unlock()
		return false
	}
	n.desc.word.Add(fdWord(fd))
	s.joinLocked(n)
	parent := n.parent
	if parent != nil {
		n.parent = nil
		n.where.clear()
	}
	s.mu.Unlock()
	fs.warmed(n, parent)
	fs.nodes.put(parent)
	return true
}

// isStill reports whether a node that was cold, with the memo m, is the file that t.stx
// describes, which has its key. As long as a node has a descriptor its inode number cannot
// be another inode's; a cold node's can. Then it is told by the time at which the inode was
// made, and if that does not tell either, it is the node if that can be brought back. If it
// is not, the node is not found any more.
func (fs *FS) isStill(t *thread, n *node, m *memo) (bool, unix.Errno) {
	if m.birth != 0 && m.birth == birthOf(&t.stx) && n.typ == t.stx.Mode&unix.S_IFMT {
		return true, 0
	}
	if m.parent == nil {
		_, e := n.pin(t)
		if e == 0 {
			n.unpin()
			return true, 0
		}
		if e != unix.ESTALE {
			return false, e
		}
	}
	fs.nodes.remove(n)
	return false, 0
}

// known returns the node of the file that t.stx describes and that stands under name in
// the directory dir, with a reference, or nil if there is none.
func (fs *FS) known(t *thread, dir *node, name []byte) (*node, unix.Errno) {
	key := keyOf(&t.stx)
	n, cold, m := fs.nodes.get(&key)
	if !cold {
		return n, 0
	}
	same, e := fs.isStill(t, n, &m)
	if !same {
		fs.nodes.put(n)
		return nil, e
	}
	if m.parent != nil {
		fs.relocate(n, dir, name)
	}
	return n, 0
}

// relocate makes sure that n, if it is cold and known by a name, is looked for where it
// was just seen.
func (fs *FS) relocate(n, dir *node, name []byte) {
	s := fs.nodes.shard(n.hash())
	s.mu.Lock()
	old := n.parent
	if old == nil || n.desc.is(busy) || old == dir && string(n.where.bytes()) == string(name) {
		s.mu.Unlock()
		return
	}
	n.parent = dir.hold()
	n.where.set(name)
	s.mu.Unlock()
	fs.nodes.put(old)
}

// keep returns the node that stands under name in the directory dir, with a reference
// and a pin, or nil if no fid refers to it. The name is about to be taken from it, and
// might be its last: without a descriptor, the node would be lost.
func (fs *FS) keep(t *thread, dir *node, name *byte, text []byte) (*node, unix.Errno) {
	if dir.statxEntry(t, name, statxWalk) != 0 {
		return nil, 0
	}
	n, e := fs.known(t, dir, text)
	if n == nil {
		return nil, e
	}
	// One that only lingers is let go first: the file system need not set aside a file that
	// loses its last name while it is open.
	fs.lingering.remove(n)
	if fs.nodes.putIfLast(n) {
		return nil, 0
	}
	if _, e := n.pin(t); e != 0 {
		fs.nodes.put(n)
		if e == unix.ESTALE {
			e = 0
		}
		return nil, e
	}
	return n, 0
}

// lostName says that n, which keep returned, has one name less: if that was the last, what
// it takes on the disk is to be free as soon as no fid refers to it. It takes nil.
func (fs *FS) lostName(n *node) {
	if n != nil {
		n.desc.word.Or(removed)
		fs.lingering.remove(n)
	}
}

// letGo ends what keep began. It takes nil.
func (fs *FS) letGo(n *node) {
	if n != nil {
		n.unpin()
		fs.nodes.put(n)
	}
}
