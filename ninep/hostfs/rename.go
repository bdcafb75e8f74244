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
	return errorOf(t.fs.rename(t, f.n, oldName, to.n, newName))
}

// Rename implements ninep.File.
func (f *file) Rename(c *ninep.Call, dir ninep.File, name ninep.Name) error {
	t := f.thread(c)
	to, e := fileOf(dir)
	if e != 0 {
		return e
	}
	if e := f.locate(t); e != 0 {
		return e
	}
	if e := t.fs.rename(t, f.parent, f.name.bytes(), to.n, name); e != 0 {
		return e
	}
	f.moved(to.n.hold(), name)
	return nil
}

// rename moves an entry over what may be there, with its metadata if that stands beside it.
func (fs *FS) rename(t *thread, from *node, oldName []byte, to *node, newName []byte) unix.Errno {
	if k := fs.files; k != nil {
		return k.rename(t, from, oldName, to, newName)
	}
	return renameEntry(t, from, oldName, to, newName)
}

// renameEntry is renameat(2), by which a file can lose its name.
//
// To a name that is free nothing needs to be looked at before, unless cold nodes are known by
// their names.
func renameEntry(t *thread, from *node, oldName []byte, to *node, newName []byte) unix.Errno {
	old, name := t.cname(oldName), t.cname2(newName)
	if old == nil || name == nil {
		return unix.ENAMETOOLONG
	}
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
	moves := &t.fs.moves
	if moves.begin() {
		e = renameat2(fromFD, old, toFD, name, unix.RENAME_NOREPLACE)
		moves.end()
		if e == 0 {
			return 0
		}
		// There is one, or the file system cannot tell, which FUSE servers have their own words
		// for. Or it fails, and will once more.
	}
	replaced, e := t.fs.keep(t, to, name, newName)
	if e != 0 {
		return e
	}
	defer t.fs.letGo(replaced)
	var moved *node
	if replaced == nil && moves.begin() {
		defer moves.end()
	} else {
		if moved, e = t.fs.keep(t, from, old, oldName); e != 0 {
			return e
		}
		defer t.fs.letGo(moved)
	}
	e = renameat2(fromFD, old, toFD, name, 0)
	if e == 0 && replaced != moved {
		t.fs.lostName(replaced)
	}
	return e
}

// UnlinkAt implements ninep.File.
func (f *file) UnlinkAt(c *ninep.Call, name ninep.Name, flags uint32) error {
	return errorOf(f.at.fs.unlink(f.thread(c), f.n, name, flags))
}

// unlink removes an entry, and its metadata if that stands beside it.
func (fs *FS) unlink(t *thread, dir *node, name []byte, flags uint32) unix.Errno {
	if k := fs.files; k != nil {
		return k.unlink(t, dir, name, flags)
	}
	return unlinkEntry(t, dir, name, flags)
}

// unlinkEntry is unlinkat(2), by which a file loses a name.
func unlinkEntry(t *thread, dir *node, name []byte, flags uint32) unix.Errno {
	p := t.cname(name)
	if p == nil {
		return unix.ENAMETOOLONG
	}
	fd, e := dir.pin(t)
	if e != 0 {
		return e
	}
	defer dir.unpin()
	n, e := t.fs.keep(t, dir, p, name)
	if e != 0 {
		return e
	}
	defer t.fs.letGo(n)
	if e = unlinkat(fd, p, flags); e == 0 {
		t.fs.lostName(n)
	}
	return e
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
	return errorOf(t.fs.unlink(t, f.parent, f.name.bytes(), flags))
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
	if f.parent != nil && f.at.fs.entryIs(t, f.parent, t.cname(f.name.bytes()), f.n) {
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
	fd, e := f.n.pin(t)
	if e != 0 {
		return e
	}
	defer f.n.unpin()
	dir, name, e := fs.whereIs(t, f.at.root, f.n, fd)
	if e != 0 {
		return e
	}
	f.moved(dir, name)
	return 0
}

// whereIs returns the directory in which n is, with a reference, and its name there, by
// the path that the kernel has for fd, which is n's descriptor, if that leads through
// root. The name lies in t.
func (fs *FS) whereIs(t *thread, root, n *node, fd int32) (*node, []byte, unix.Errno) {
	rootFD, e := root.pin(t)
	if e != 0 {
		return nil, nil, e
	}
	defer root.unpin()
	buf := t.buffer()
	top, e := fs.hostPath(t, rootFD, buf[:unix.PathMax])
	if e != 0 {
		return nil, nil, e
	}
	full, e := fs.hostPath(t, fd, buf[unix.PathMax:2*unix.PathMax])
	if e != 0 {
		return nil, nil, e
	}
	// A root of "/" is the prefix of every path, like that of any other with its "/".
	path, ok := bytes.CutPrefix(full, bytes.TrimSuffix(top, []byte{'/'}))
	if !ok || len(path) < 2 || path[0] != '/' {
		return nil, nil, unix.ENOENT
	}
	slash := bytes.LastIndexByte(path, '/')
	name := path[slash+1:]
	p := t.cname(name)
	if p == nil {
		return nil, nil, unix.ENOENT
	}
	if slash == 0 {
		if statx(t, rootFD, p, statName, statxIdentity) != 0 || keyOf(&t.stx) != n.nodeKey {
			return nil, nil, unix.ENOENT
		}
		return root.hold(), name, 0
	}
	path[slash] = 0
	dirFD, e := openat2(t, rootFD, &path[1], openPath|unix.O_DIRECTORY, 0, resolveName)
	if e != 0 {
		return nil, nil, e
	}
	if statx(t, dirFD, p, statName, statxIdentity) != 0 || keyOf(&t.stx) != n.nodeKey {
		fs.fds.close(dirFD)
		return nil, nil, unix.ENOENT
	}
	if e := statx(t, dirFD, empty, unix.AT_EMPTY_PATH, statxWalk); e != 0 {
		fs.fds.close(dirFD)
		return nil, nil, e
	}
	dir, e := fs.adopt(t, dirFD, nil)
	return dir, name, e
}

// hostPath returns the path that the kernel has for fd, in buf.
func (fs *FS) hostPath(t *thread, fd int32, buf []byte) ([]byte, unix.Errno) {
	size, e := readlinkat(fs.procFD, t.cfd(fd), buf)
	if e != 0 {
		return nil, e
	}
	return buf[:size], 0
}
