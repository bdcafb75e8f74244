// SPDX-License-Identifier: Apache-2.0

package memfs

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// file is what a fid refers to: a node, and by which name it was reached.
type file struct {
	fs   *FS
	root *node // of the attach: ".." goes no higher

	closed atomic.Bool

	// Written under FS.mu, by exclusive methods.
	node  *node
	dir   *node  // where name is; nil for a root
	name  string // valid only while dir's entry of that name is node
	flags uint32 // of Open or Create
	open  bool
}

func (f *file) Walk(_ *ninep.Call, names []ninep.Name, qids []ninep.QID) (ninep.File, int, error) {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	at := &file{fs: f.fs, root: f.root, node: f.node, dir: f.dir, name: f.name}
	for i, name := range names {
		n := at.node
		if !n.isDir() {
			return nil, i, unix.ENOTDIR
		}
		if string(name) == ".." {
			if n != at.root {
				n = n.parent
			}
			// The name by which a directory is known to its parent is not at
			// hand, and Remove and Rename of one reached so are not meant.
			at.node, at.dir, at.name = n, nil, ""
		} else {
			child := n.byName[string(name)]
			if child == nil {
				return nil, i, unix.ENOENT
			}
			at.node, at.dir, at.name = child, n, string(name)
		}
		qids[i] = at.node.qid()
	}
	f.fs.files.Add(1)
	return at, len(names), nil
}

// accessMode is the part of open's flags that says what for.
const accessMode = unix.O_RDONLY | unix.O_WRONLY | unix.O_RDWR

func (f *file) Open(c *ninep.Call, flags uint32) (ninep.QID, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	n := f.node
	writes := flags&accessMode != unix.O_RDONLY
	switch n.mode & unix.S_IFMT {
	case unix.S_IFREG:
		if flags&unix.O_DIRECTORY != 0 {
			return ninep.QID{}, unix.ENOTDIR
		}
		if flags&unix.O_TRUNC != 0 && writes {
			f.truncate(c, 0)
		}
	case unix.S_IFDIR:
		if writes {
			return ninep.QID{}, unix.EISDIR
		}
	case unix.S_IFLNK:
		return ninep.QID{}, unix.ELOOP
	default:
		return ninep.QID{}, unix.ENXIO
	}
	f.flags, f.open = flags, true
	return n.qid(), nil
}

func (f *file) Create(c *ninep.Call, name ninep.Name, flags, mode, gid uint32) (ninep.QID, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	dir := f.node
	n := dir.byName[string(name)]
	switch {
	case n == nil:
		var err error
		if n, err = f.fs.insert(dir, name, unix.S_IFREG|mode, c.UID, gid); err != nil {
			return ninep.QID{}, err
		}
	case flags&unix.O_EXCL != 0:
		return ninep.QID{}, unix.EEXIST
	case n.isDir():
		return ninep.QID{}, unix.EISDIR
	case !n.isReg():
		return ninep.QID{}, unix.ENXIO
	}
	f.node, f.dir, f.name = n, dir, string(name)
	f.flags, f.open = flags, true
	if flags&unix.O_TRUNC != 0 && flags&accessMode != unix.O_RDONLY {
		f.truncate(c, 0)
	}
	return n.qid(), nil
}

func (f *file) Read(_ *ninep.Call, dst []unix.Iovec, off uint64) (int, error) {
	if f.flags&accessMode == unix.O_WRONLY {
		return 0, unix.EBADF
	}
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	if off >= uint64(len(f.node.data)) {
		return 0, nil
	}
	return ninep.CopyTo(dst, 0, f.node.data[off:]), nil
}

func (f *file) Write(c *ninep.Call, src []unix.Iovec, off uint64) (int, error) {
	if f.flags&accessMode == unix.O_RDONLY {
		return 0, unix.EBADF
	}
	n := ninep.Len(src)
	if n == 0 {
		return 0, nil
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	node := f.node
	if f.flags&unix.O_APPEND != 0 {
		off = uint64(len(node.data))
	}
	limit := uint64(f.fs.cfg.MaxFileSize)
	if off >= limit {
		return 0, unix.EFBIG
	}
	n = int(min(uint64(n), limit-off))
	if end := off + uint64(n); end > uint64(len(node.data)) {
		node.resize(int(end))
	}
	ninep.CopyFrom(node.data[off:off+uint64(n)], src, 0)
	f.wrote(c)
	return n, nil
}

// wrote notes that the content was changed on behalf of c: as on a local file
// system, that takes the set-id bits off, unless root does it.
func (f *file) wrote(c *ninep.Call) {
	n := f.node
	if c.UID != 0 {
		n.dropSetID()
	}
	n.modified()
}

func (n *node) dropSetID() {
	if !n.isReg() {
		return
	}
	n.mode &^= unix.S_ISUID
	if n.mode&unix.S_IXGRP != 0 {
		n.mode &^= unix.S_ISGID
	}
}

// resize sets the length of the data, filling with zeros.
func (n *node) resize(size int) {
	if size <= cap(n.data) {
		old := len(n.data)
		n.data = n.data[:size]
		if size > old {
			clear(n.data[old:])
		}
		return
	}
	data := make([]byte, size, max(size, min(2*cap(n.data), size+(1<<20))))
	copy(data, n.data)
	n.data = data
}

func (f *file) truncate(c *ninep.Call, size int) {
	f.node.resize(size)
	f.wrote(c)
}

func (f *file) ReadDir(_ *ninep.Call, off uint64, w *ninep.DirWriter) error {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	n := f.node
	parent := n.parent
	if n == f.root {
		parent = n
	}
	if off < cookieDot && !w.Add(n.qid(), cookieDot, unix.DT_DIR, []byte(".")) {
		return nil
	}
	if off < cookieDotDot && !w.Add(parent.qid(), cookieDotDot, unix.DT_DIR, []byte("..")) {
		return nil
	}
	for i := range n.entries {
		e := &n.entries[i]
		if e.cookie > off && !w.Add(e.node.qid(), e.cookie, uint8(e.node.mode>>12), []byte(e.name)) {
			break
		}
	}
	return nil
}

func (f *file) Sync(*ninep.Call, bool) error { return nil }

func (f *file) Close(*ninep.Thread) {
	if f.closed.Swap(true) {
		panic("memfs: File closed twice")
	}
	f.fs.files.Add(-1)
	f.fs.locks.dropFile(f)
}
