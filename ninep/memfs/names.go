// SPDX-License-Identifier: Apache-2.0

package memfs

import (
	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// create makes a node in f for the methods that do just that.
func (f *file) create(c *ninep.Call, name ninep.Name, mode, gid uint32, fill func(*node)) (ninep.QID, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	n, err := f.fs.insert(f.node, name, mode, c.UID, gid)
	if err != nil {
		return ninep.QID{}, err
	}
	fill(n)
	return n.qid(), nil
}

func (f *file) Mkdir(c *ninep.Call, name ninep.Name, mode, gid uint32) (ninep.QID, error) {
	return f.create(c, name, unix.S_IFDIR|mode, gid, func(*node) {})
}

func (f *file) Mknod(c *ninep.Call, name ninep.Name, mode, major, minor, gid uint32) (ninep.QID, error) {
	return f.create(c, name, mode, gid, func(n *node) {
		if t := mode & unix.S_IFMT; t == unix.S_IFCHR || t == unix.S_IFBLK {
			n.rdev = ninep.EncodeDev(major, minor)
		}
	})
}

func (f *file) Symlink(c *ninep.Call, name, target ninep.Name, gid uint32) (ninep.QID, error) {
	return f.create(c, name, unix.S_IFLNK|0o777, gid, func(n *node) { n.target = string(target) })
}

func (f *file) Link(_ *ninep.Call, target ninep.File, name ninep.Name) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	t, ok := target.(*file)
	if !ok {
		return unix.EXDEV
	}
	dir, n := f.node, t.node
	switch {
	case !dir.isDir():
		return unix.ENOTDIR
	case n.isDir():
		return unix.EPERM
	case dir.nlink == 0 || n.nlink == 0:
		return unix.ENOENT
	case dir.byName[string(name)] != nil:
		return unix.EEXIST
	}
	n.nlink++
	n.changed()
	dir.enter(string(name), n)
	return nil
}

func (f *file) ReadLink(_ *ninep.Call, buf []byte) (int, error) {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	n := f.node
	switch {
	case n.mode&unix.S_IFMT != unix.S_IFLNK:
		return 0, unix.EINVAL
	case len(n.target) > len(buf):
		return 0, unix.ERANGE
	}
	return copy(buf, n.target), nil
}

func (f *file) Rename(_ *ninep.Call, dir ninep.File, name ninep.Name) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	to, ok := dir.(*file)
	if !ok {
		return unix.EXDEV
	}
	if err := f.place(); err != nil {
		return err
	}
	if err := f.fs.rename(f.dir, f.name, to.node, string(name)); err != nil {
		return err
	}
	f.dir, f.name = to.node, string(name)
	return nil
}

func (f *file) RenameAt(_ *ninep.Call, oldName ninep.Name, newDir ninep.File, newName ninep.Name) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	to, ok := newDir.(*file)
	switch {
	case !ok:
		return unix.EXDEV
	case !f.node.isDir():
		return unix.ENOTDIR
	case f.node.byName[string(oldName)] == nil:
		return unix.ENOENT
	}
	return f.fs.rename(f.node, string(oldName), to.node, string(newName))
}

// rename is rename(2).
//
// Preconditions: fs.mu is held for writing; dir is a directory and has the name.
func (fs *FS) rename(dir *node, name string, newDir *node, newName string) error {
	n := dir.byName[name]
	if !newDir.isDir() {
		return unix.ENOTDIR
	}
	if newDir.nlink == 0 {
		return unix.ENOENT
	}
	if n.isDir() {
		// A directory does not go below itself.
		for d := newDir; ; d = d.parent {
			if d == n {
				return unix.EINVAL
			}
			if d == d.parent {
				break
			}
		}
	}
	if old := newDir.byName[newName]; old != nil {
		switch {
		case old == n:
			return nil
		case n.isDir() && !old.isDir():
			return unix.ENOTDIR
		case !n.isDir() && old.isDir():
			return unix.EISDIR
		case len(old.entries) != 0:
			return unix.ENOTEMPTY
		}
		fs.unlink(newDir, newName)
	}
	dir.leave(name)
	newDir.enter(newName, n)
	n.changed()
	return nil
}

func (f *file) UnlinkAt(_ *ninep.Call, name ninep.Name, flags uint32) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if !f.node.isDir() {
		return unix.ENOTDIR
	}
	return f.fs.remove(f.node, string(name), flags&unix.AT_REMOVEDIR != 0)
}

func (f *file) Remove(*ninep.Call) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.place(); err != nil {
		return err
	}
	return f.fs.remove(f.dir, f.name, f.node.isDir())
}

// remove is unlinkat(2).
//
// Preconditions: fs.mu is held for writing; dir is a directory.
func (fs *FS) remove(dir *node, name string, rmdir bool) error {
	n := dir.byName[name]
	switch {
	case n == nil:
		return unix.ENOENT
	case rmdir && !n.isDir():
		return unix.ENOTDIR
	case !rmdir && n.isDir():
		return unix.EISDIR
	case len(n.entries) != 0:
		return unix.ENOTEMPTY
	}
	fs.unlink(dir, name)
	return nil
}
