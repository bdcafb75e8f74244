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
	return errorOf(renameat2(f.n.fd, from, to.n.fd, name, 0))
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
	if e := renameat2(f.parent.fd, t.cname(f.name), to.n.fd, newName, 0); e != 0 {
		return e
	}
	f.moved(to.n.hold(), name)
	return nil
}

// UnlinkAt implements ninep.File.
func (f *file) UnlinkAt(c *ninep.Call, name ninep.Name, flags uint32) error {
	p := f.thread(c).cname(name)
	if p == nil {
		return unix.ENAMETOOLONG
	}
	return errorOf(unlinkat(f.n.fd, p, flags))
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
	return errorOf(unlinkat(f.parent.fd, t.cname(f.name), flags))
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
	if e := statx(t, f.n.fd, empty, unix.AT_EMPTY_PATH, unix.STATX_NLINK); e != 0 {
		return e
	}
	if !f.n.isDir() && t.stx.Nlink != 1 {
		return unix.ENOENT
	}
	buf := t.buffer()
	n, e := readlinkat(fs.procFD, t.cfd(f.at.root.fd), buf[:unix.PathMax])
	if e != 0 {
		return e
	}
	root := buf[:n:n]
	rest := buf[unix.PathMax:]
	if n, e = readlinkat(fs.procFD, t.cfd(f.n.fd), rest[:unix.PathMax]); e != 0 {
		return e
	}
	// A root of "/" is the prefix of every path, like that of any other with its "/".
	path, ok := bytes.CutPrefix(rest[:n], bytes.TrimSuffix(root, []byte{'/'}))
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
