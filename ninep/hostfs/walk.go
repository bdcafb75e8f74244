// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"slices"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// Walk implements ninep.File. A name whose node is held already costs one system
// call, another one three.
func (f *file) Walk(c *ninep.Call, names []ninep.Name, qids []ninep.QID) (ninep.File, int, error) {
	if len(names) == 0 {
		return f.clone(threadOf(c)), 0, nil
	}
	t, fs := f.thread(c), f.at.fs
	n := f.n.hold()
	var parent *node
	for i, name := range names {
		up := string(name) == ".."
		var next *node
		var e unix.Errno
		if up {
			next, e = fs.stepUp(t, f.at, n)
		} else {
			next, e = fs.step(t, n, name)
		}
		fs.nodes.put(parent)
		if e != 0 {
			fs.nodes.put(n)
			return nil, i, e
		}
		qids[i] = next.qid(&t.stx)
		parent, n = n, next
		if up {
			fs.nodes.put(parent)
			parent = nil
		}
	}
	var last []byte
	if parent != nil {
		last = names[len(names)-1]
	}
	return newFile(t, f.at, n, parent, last), len(names), nil
}

// statxWalk is what is to be known of what is walked to.
const statxWalk = statxQID | unix.STATX_BTIME

const statName = unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT

// openPath are the flags by which nodes are opened.
const openPath = unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC

// step returns the node that name is in the directory dir, with a reference, and
// leaves its QID's part in t.stx.
func (fs *FS) step(t *thread, dir *node, name []byte) (*node, unix.Errno) {
	p := t.cname(name)
	if p == nil {
		return nil, unix.ENAMETOOLONG
	}
	dirFD, e := dir.pin(t)
	if e != 0 {
		return nil, e
	}
	t.suit(fs, dir)
	now := fs.nodes.births.Load()
	if e := statx(t, dirFD, p, statName, statxWalk); e != 0 {
		dir.unpin()
		return nil, e
	}
	// As long as a node has the inode number, no other inode can get it. So if the
	// node was there before statx, what statx saw is the node. If it came later, the
	// inode that statx saw may have gone before, and left its number to another.
	n, e := fs.known(t, dir, name)
	if e != 0 {
		dir.unpin()
		return nil, e
	}
	if n != nil {
		if !n.bornSince(now) && n.typ == t.stx.Mode&unix.S_IFMT {
			dir.unpin()
			return n, 0
		}
		fs.nodes.put(n)
	}
	// What is opened may be another file than what statx saw.
	fd, e := t.opened(openat2(t, dirFD, p, openPath, 0, resolveName))
	dir.unpin()
	if e != 0 {
		return nil, e
	}
	return fs.adopt(t, fd, dir)
}

// opened takes what an open of a node's descriptor returned, and leaves in t.stx what was opened,
// for adopt.
func (t *thread) opened(fd int32, e unix.Errno) (int32, unix.Errno) {
	if e != 0 {
		return -1, e
	}
	if e = statx(t, fd, empty, unix.AT_EMPTY_PATH, statxWalk); e != 0 {
		t.fs.fds.close(fd)
		return -1, e
	}
	return fd, 0
}

// stepUp returns the directory above n, with a reference, and leaves its QID's part
// in t.stx. The root's is the root itself.
//
// The directory can have been moved out of the export on the host, and then
// leads elsewhere: so the root must be among the ancestors of what it leads to.
// Clients do not walk up much (Linux does it by names it remembers), so this may
// cost what it does.
func (fs *FS) stepUp(t *thread, at *attach, n *node) (*node, unix.Errno) {
	if !n.isDir() {
		return nil, unix.ENOTDIR
	}
	if n == at.root {
		if e := n.statx(t, statxQID); e != 0 {
			return nil, e
		}
		return n.hold(), 0
	}
	from, e := n.pin(t)
	if e != 0 {
		return nil, e
	}
	defer n.unpin()
	fd, e := openat2(t, from, dotdot, openPath|unix.O_DIRECTORY, 0, resolveUp)
	if e != 0 {
		return nil, e
	}
	// Each look at the ancestors takes a while, in which they can change. If two
	// looks saw the same, it was like that between them.
	first, e := fs.ancestors(t, at, fd)
	var second []nodeKey
	if e == 0 {
		second, e = fs.ancestors(t, at, fd)
	}
	if e == 0 && !slices.Equal(first, second) {
		e = unix.ENOENT
	}
	if e == 0 {
		e = statx(t, fd, empty, unix.AT_EMPTY_PATH, statxWalk)
	}
	if e != 0 {
		fs.fds.close(fd)
		return nil, e
	}
	return fs.adopt(t, fd, n)
}

// ancestors returns the directory fd and those above it, up to the root of the
// attach; ENOENT if that is not there.
func (fs *FS) ancestors(t *thread, at *attach, fd int32) ([]nodeKey, unix.Errno) {
	var keys []nodeKey
	for cur := fd; ; {
		e := statx(t, cur, empty, unix.AT_EMPTY_PATH, statxIdentity)
		key := keyOf(&t.stx)
		done := e == 0 && key == at.root.nodeKey
		if e == 0 && len(keys) > 0 && keys[len(keys)-1] == key {
			e = unix.ENOENT // the top of the file tree
		}
		next := int32(-1)
		if e == 0 && !done {
			next, e = openat2(t, cur, dotdot, openPath|unix.O_DIRECTORY, 0, resolveUp)
		}
		if cur != fd {
			fs.fds.close(cur)
		}
		if e != 0 {
			return nil, e
		}
		keys = append(keys, key)
		if done {
			return keys, 0
		}
		cur = next
	}
}

// entryIs reports whether name in the directory dir is n, whose inode number no other
// inode can have: it is pinned.
func (fs *FS) entryIs(t *thread, dir *node, name *byte, n *node) bool {
	if dir.statxEntry(t, name, statxIdentity) != 0 {
		return false
	}
	return keyOf(&t.stx) == n.nodeKey
}
