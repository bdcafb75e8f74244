// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/reuse"
)

// file is what a fid refers to. It holds a reference to each of its nodes.
type file struct {
	at *attach
	n  *node

	// Under which name in which directory n was reached; no parent if that was the
	// root of the attach, or "..". Only a hint: see locate.
	parent *node
	name   packed

	open *handle // nil until opened
}

var _ ninep.File = (*file)(nil)

var filePool reuse.Pool[file]

// newFile takes over the references to n and parent (which may be nil), copies
// name, and takes a reference to at.
func newFile(t *thread, at *attach, n, parent *node, name []byte) *file {
	f := filePool.Get(t.fileList())
	f.at, f.n, f.parent = at, n, parent
	f.name.set(name)
	at.hold()
	return f
}

// thread returns the thread of the worker that c runs on, with credentials that suit
// what is asked of f.
func (f *file) thread(c *ninep.Call) *thread {
	t := f.at.fs.thread(c)
	t.suit(f.at.fs, f.n)
	return t
}

// clone returns another reference to the same object.
func (f *file) clone(t *thread) *file {
	if f.parent != nil {
		f.parent.hold()
	}
	return newFile(t, f.at, f.n.hold(), f.parent, f.name.bytes())
}

// moved records where f's node is now. It takes over the reference to parent.
func (f *file) moved(parent *node, name []byte) {
	f.at.fs.nodes.put(f.parent)
	f.parent = parent
	f.name.set(name)
}

// Close implements ninep.File.
func (f *file) Close(th *ninep.Thread) { f.close(localOf(th)) }

// close is Close. t may be nil.
func (f *file) close(t *thread) {
	fs := f.at.fs
	if f.open != nil {
		fs.closeHandle(f.open)
	}
	fs.nodes.put(f.n)
	fs.nodes.put(f.parent)
	f.at.drop()
	name := f.name
	name.clear()
	*f = file{name: name}
	filePool.Put(t.fileList(), f)
}

// fileOf returns the file behind another file that a request names.
func fileOf(other ninep.File) (*file, unix.Errno) {
	switch f := other.(type) {
	case *file:
		return f, 0
	case *mapped:
		return f.file, 0
	}
	return nil, unix.EXDEV
}

// handle is an open file.
type handle struct {
	desc   descriptor // see pin
	ring   uint32     // see slot
	n      *node      // of the file that it is the handle of
	flags  int        // with which it is opened again
	access int32      // O_RDONLY, O_WRONLY or O_RDWR

	lockMark bool // the file had one when it was opened; see isLockMark

	noWaitRefused noWait
	dir           dirState

	locks atomic.Pointer[lockFile] // on which locks were taken through this
	used  atomic.Bool              // for reading or writing, since a lock was taken
	posix bool                     // its locks are fcntl's; guarded by lockFile.mu
}

var handlePool = sync.Pool{New: func() any { return new(handle) }}

// newHandle takes over fd, which is n opened with flags (of open(2)).
func (fs *FS) newHandle(n *node, fd int32, flags int) *handle {
	h := handlePool.Get().(*handle)
	h.n, h.access = n, int32(flags&unix.O_ACCMODE)
	h.flags = flags &^ (unix.O_CREAT | unix.O_EXCL | unix.O_TRUNC)
	h.ring = noSlot
	h.desc.word.Store(fdWord(fd))
	if fs.canReopen(n) {
		s := fs.nodes.shard(h.hash())
		s.mu.Lock()
		s.joinLocked(h)
		s.mu.Unlock()
	}
	return h
}

func (fs *FS) closeHandle(h *handle) {
	fs.locks.dropHandle(h)
	s := fs.nodes.shard(h.hash())
	s.mu.Lock()
	s.leaveLocked(h)
	fd := h.desc.dropLocked()
	s.mu.Unlock()
	if fd >= 0 {
		fs.fds.close(fd)
	}
	h.n = nil
	h.desc.word.Store(0)
	h.noWaitRefused.Store(false)
	h.dir.pos, h.dir.lost = 0, false
	handlePool.Put(h)
}

// canReopen reports whether an open file of n can be opened again, whatever has become of
// its mode meanwhile.
func (fs *FS) canReopen(n *node) bool {
	return n.traits&anyUser != 0 && fs.creds.caps.has(unix.CAP_DAC_OVERRIDE) && fs.creds.caps.has(unix.CAP_DAC_READ_SEARCH)
}

// Methods of holder.

func (h *handle) descriptor() *descriptor { return &h.desc }
func (h *handle) slot() *uint32           { return &h.ring }
func (h *handle) hash() uint64            { return h.n.hash() }
func (h *handle) baseLocked() *node       { return h.n }

// reopen opens h's file again. A directory's new descriptor stands at its beginning.
func (h *handle) reopen(t *thread, _ int32) (int32, unix.Errno) {
	fd, e := t.fs.openNode(t, h.n, h.flags)
	if e == 0 {
		h.dir.mu.Lock()
		h.dir.lost = true
		h.dir.mu.Unlock()
	}
	return fd, e
}
