// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// file is what a fid refers to. It holds a reference to each of its nodes.
type file struct {
	at *attach
	n  *node

	// Under which name in which directory n was reached; no parent if that was the
	// root of the attach, or "..". Only a hint: see locate.
	parent *node
	name   []byte

	open *handle // nil until opened
}

var _ ninep.File = (*file)(nil)

// maxKeptName bounds the name buffers that stay with unused files.
const maxKeptName = 64

var filePool = sync.Pool{New: func() any { return new(file) }}

// newFile takes over the references to n and parent (which may be nil), copies
// name, and takes a reference to at.
func newFile(at *attach, n, parent *node, name []byte) *file {
	f := filePool.Get().(*file)
	f.at, f.n, f.parent = at, n, parent
	f.name = append(f.name[:0], name...)
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
func (f *file) clone() *file {
	if f.parent != nil {
		f.parent.hold()
	}
	return newFile(f.at, f.n.hold(), f.parent, f.name)
}

// moved records where f's node is now. It takes over the reference to parent.
func (f *file) moved(parent *node, name []byte) {
	f.at.fs.nodes.put(f.parent)
	f.parent = parent
	f.name = append(f.name[:0], name...)
}

// Close implements ninep.File.
func (f *file) Close() {
	fs := f.at.fs
	if f.open != nil {
		fs.closeHandle(f.open)
	}
	fs.nodes.put(f.n)
	fs.nodes.put(f.parent)
	f.at.drop()
	name := f.name[:0]
	if cap(name) > maxKeptName {
		name = nil
	}
	*f = file{name: name}
	filePool.Put(f)
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
	access int32      // O_RDONLY, O_WRONLY or O_RDWR

	noWaitRefused noWait
	dir           dirState

	locks atomic.Pointer[lockFile] // on which locks were taken through this
	used  atomic.Bool              // for reading or writing, since a lock was taken
	posix bool                     // its locks are fcntl's; guarded by lockFile.mu
}

var handlePool = sync.Pool{New: func() any { return new(handle) }}

func newHandle(fd int32, access int) *handle {
	h := handlePool.Get().(*handle)
	h.access = int32(access)
	h.desc.set(fd)
	return h
}

func (fs *FS) closeHandle(h *handle) {
	fs.locks.dropHandle(h)
	fs.fds.close(h.desc.take())
	h.noWaitRefused.Store(false)
	h.dir.pos, h.dir.lost = 0, false
	handlePool.Put(h)
}
