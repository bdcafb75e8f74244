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
	root *node        // one reference
	refs atomic.Int64 // not counted for the export's root
}

// attaches are those in use.
type attaches struct {
	root attach // the export itself, which is what nearly all use: stays

	mu   sync.Mutex
	subs map[*node]*attach
}

// Attach implements ninep.Backend. aname is the path of a directory below the
// export, no part of it a symlink.
func (fs *FS) Attach(c *ninep.Call, aname ninep.Name) (ninep.File, ninep.QID, error) {
	t := threadOf(c)
	n := fs.attaches.root.root.hold()
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
	if e := statx(t, n.fd, empty, unix.AT_EMPTY_PATH, statxQID); e != 0 {
		fs.nodes.put(n)
		return nil, ninep.QID{}, e
	}
	qid := n.qid(&t.stx)
	at := fs.attaches.find(fs, n)
	f := newFile(at, n, nil, nil)
	at.drop()
	return f, qid, nil
}

// find returns the attach with the root n, with a reference for the caller, who
// has one to n.
func (as *attaches) find(fs *FS, n *node) *attach {
	if n == as.root.root {
		return &as.root
	}
	as.mu.Lock()
	defer as.mu.Unlock()
	at := as.subs[n]
	if at == nil {
		at = &attach{fs: fs, root: n.hold()}
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
		at.fs.nodes.put(at.root)
	}
}
