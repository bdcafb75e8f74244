// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"bytes"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// attach is a directory that a Tattach selected, and above which its files cannot
// walk.
type attach struct {
	fs   *FS
	root *node        // one reference, and pinned: no other directory may take its number
	refs atomic.Int64 // not counted for the export's root
}

// attaches are those in use.
type attaches struct {
	root attach // the export itself, which is what nearly all use: stays

	rootMu sync.Mutex
	rootFD int32 // O_PATH, until it is root's node; then -1

	mu   sync.Mutex
	subs map[*node]*attach
}

// Attach implements ninep.Backend. aname is the path of a directory below the
// export, no part of it a symlink.
func (fs *FS) Attach(c *ninep.Call, aname ninep.Name) (ninep.File, ninep.QID, error) {
	t := fs.thread(c)
	n, e := fs.exportRoot(t)
	if e != 0 {
		return nil, ninep.QID{}, e
	}
	t.suit(fs, n)
	for rest := []byte(aname); len(rest) > 0; {
		var name []byte
		name, rest, _ = bytes.Cut(rest, []byte{'/'})
		if len(name) == 0 || string(name) == "." {
			continue
		}
		if string(name) == ".." || bytes.IndexByte(name, 0) >= 0 {
			fs.nodes.put(n)
			return nil, ninep.QID{}, unix.ENOENT
		}
		if fs.hidesName(name) {
			fs.nodes.put(n)
			return nil, ninep.QID{}, unix.EINVAL
		}
		next, e := fs.step(t, n, name)
		fs.nodes.put(n)
		if e != 0 {
			return nil, ninep.QID{}, e
		}
		n = next
	}
	if !n.isDir() {
		fs.nodes.put(n)
		return nil, ninep.QID{}, unix.ENOTDIR
	}
	fd, e := n.pin(t)
	if e != 0 {
		fs.nodes.put(n)
		return nil, ninep.QID{}, e
	}
	e = statx(t, fd, empty, unix.AT_EMPTY_PATH, statxQID)
	if e != 0 {
		n.unpin()
		fs.nodes.put(n)
		return nil, ninep.QID{}, e
	}
	qid := n.qid(&t.stx)
	at := fs.attaches.find(fs, n)
	n.unpin()
	f := newFile(t, at, n, nil, nil)
	at.drop()
	if fs.meta != nil {
		m := fs.asMapped(f)
		md, _, e := m.loadType(t)
		if e != 0 {
			m.close(t)
			return nil, ninep.QID{}, e
		}
		return m, m.qid(qid, &md), nil
	}
	return f, qid, nil
}

// exportRoot returns the node of the export's root, with a reference. It is made at the first
// attach and not in New: a QID path may have to be stored, and nothing is until a guest
// uses the export.
func (fs *FS) exportRoot(t *thread) (*node, unix.Errno) {
	as := &fs.attaches
	as.rootMu.Lock()
	defer as.rootMu.Unlock()
	if as.root.root == nil {
		if e := statx(t, as.rootFD, empty, unix.AT_EMPTY_PATH, statxWalk); e != 0 {
			return nil, e
		}
		fd, e := openat(t, as.rootFD, dot, openPath)
		if e != 0 {
			return nil, e
		}
		root, e := fs.adopt(t, fd, nil) // takes fd over, also when it fails
		if e != 0 {
			return nil, e
		}
		if _, e := root.pin(t); e != 0 {
			fs.nodes.put(root)
			return nil, e
		}
		fs.fds.close(as.rootFD)
		as.root.root, as.rootFD = root, -1
	}
	return as.root.root.hold(), 0
}

// find returns the attach with the root n, with a reference for the caller, who
// has one to n and has pinned it.
func (as *attaches) find(fs *FS, n *node) *attach {
	if n == as.root.root {
		return &as.root
	}
	as.mu.Lock()
	defer as.mu.Unlock()
	at := as.subs[n]
	if at == nil {
		at = &attach{fs: fs, root: n.hold()}
		n.desc.tryPin()
		if as.subs == nil {
			as.subs = make(map[*node]*attach)
		}
		as.subs[n] = at
	}
	at.refs.Add(1)
	return at
}

// hold takes another reference. The caller has one.
func (at *attach) hold() {
	if at != &at.fs.attaches.root {
		at.refs.Add(1)
	}
}

// drop gives a reference back.
func (at *attach) drop() {
	as := &at.fs.attaches
	if at == &as.root {
		return
	}
	for r := at.refs.Load(); r > 1; r = at.refs.Load() {
		if at.refs.CompareAndSwap(r, r-1) {
			return
		}
	}
	as.mu.Lock()
	last := at.refs.Add(-1) == 0
	if last {
		delete(as.subs, at.root)
	}
	as.mu.Unlock()
	if last {
		at.root.unpin()
		at.fs.nodes.put(at.root)
	}
}
