// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"bytes"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// RenameAt implements ninep.File.
func (f *file) RenameAt(c *ninep.Call, oldName ninep.Name, newDir ninep.File, newName ninep.Name) error {
	t := f.thread(c)
	to, e := fileOf(newDir)
	if e != 0 {
		return e
	}
	from, name := t.cname(oldName), t.cname2(newName)
	if from == nil || name == nil {
		return unix.ENAMETOOLONG
	}
	return errorOf(renameEntry(t, f.n, from, to.n, name))
}

// Rename implements ninep.File.
func (f *file) Rename(c *ninep.Call, dir ninep.File, name ninep.Name) error {
	t := f.thread(c)
	to, e := fileOf(dir)
	if e != 0 {
		return e
	}
	newName := t.cname2(name)
	if newName == nil {
		return unix.ENAMETOOLONG
	}
	if e := f.locate(t); e != 0 {
		return e
	}
	if e := renameEntry(t, f.parent, t.cname(f.name), to.n, newName); e != 0 {
		return e
	}
	f.moved(to.n.hold(), name)
	return nil
}

func renameEntry(t *thread, from *node, oldName *byte, to *node, newName *byte) unix.Errno {
	fromFD, e := from.pin(t)
	if e != 0 {
		return e
	}
	defer from.unpin()
	toFD, e := to.pin(t)
	if e != 0 {
		return e
	}
	defer to.unpin()
	return renameat2(fromFD, oldName, toFD, newName, 0)
}

// UnlinkAt implements ninep.File.
func (f *file) UnlinkAt(c *ninep.Call, name ninep.Name, flags uint32) error {
	t := f.thread(c)
	p := t.cname(name)
	if p == nil {
		return unix.ENAMETOOLONG
	}
	return errorOf(unlinkEntry(t, f.n, p, flags))
}

func unlinkEntry(t *thread, dir *node, name *byte, flags uint32) unix.Errno {
	fd, e := dir.pin(t)
	if e != 0 {
		return e
	}
	defer dir.unpin()
	return unlinkat(fd, name, flags)
}

// Remove implements ninep.File.
func (f *file) Remove(c *ninep.Call) error {
	t := f.thread(c)
	if e := f.locate(t); e != 0 {
		return e
	}
	flags := uint32(0)
	if f.n.isDir() {
		flags = unix.AT_REMOVEDIR
	}
	return errorOf(unlinkEntry(t, f.parent, t.cname(f.name), flags))
}

// locate makes sure that f's parent and name lead to its node. If they no longer
// do, because it was renamed through another fid or on the host, they are set to
// what the kernel says.
//
// Between this and what is done with the name, it can still be given to another
// file, as with every name in a file system.
func (f *file) locate(t *thread) unix.Errno {
	if f.n == f.at.root {
		return unix.EBUSY
	}
	if f.parent != nil && f.at.fs.entryIs(t, f.parent, t.cname(f.name), f.n) {
		return 0
	}
	return f.search(t)
}

// search finds f by the path that the kernel has for its descriptor, if that leads
// through the root of the attach. The descriptor may come from a walk by another name,
// so what has more than one is not looked for.
func (f *file) search(t *thread) unix.Errno {
	fs := f.at.fs
	if e := f.n.statx(t, unix.STATX_NLINK); e != 0 {
		return e
	}
	if !f.n.isDir() && t.stx.Nlink != 1 {
		return unix.ENOENT
	}
	buf := t.buffer()
	root, e := f.at.root.hostPath(t, buf[:unix.PathMax])
	if e != 0 {
		return e
	}
	full, e := f.n.hostPath(t, buf[unix.PathMax:2*unix.PathMax])
	if e != 0 {
		return e
	}
	// A root of "/" is the prefix of every path, like that of any other with its "/".
	path, ok := bytes.CutPrefix(full, bytes.TrimSuffix(root, []byte{'/'}))
	if !ok || len(path) < 2 || path[0] != '/' {
		return unix.ENOENT
	}
	dir := f.at.root.hold()
	for path = path[1:]; ; {
		name, more, found := bytes.Cut(path, []byte{'/'})
		if !found {
			break
		}
		next, e := fs.step(t, dir, name)
		fs.nodes.put(dir)
		if e != 0 {
			return e
		}
		dir, path = next, more
	}
	p := t.cname(path)
	if p == nil || !fs.entryIs(t, dir, p, f.n) {
		fs.nodes.put(dir)
		return unix.ENOENT
	}
	f.moved(dir, path)
	return 0
}

// hostPath returns the path that the kernel has for n, in buf.
func (n *node) hostPath(t *thread, buf []byte) ([]byte, unix.Errno) {
	fd, e := n.pin(t)
	if e != 0 {
		return nil, e
	}
	defer n.unpin()
	size, e := readlinkat(t.fs.procFD, t.cfd(fd), buf)
	if e != 0 {
		return nil, e
	}
	return buf[:size], 0
}
