// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// maxRaces bounds how often a file may vanish or appear between two looks.
const maxRaces = 16

// Create implements ninep.File. Without O_EXCL, a file that is there already is
// opened by its node, as Open does it, so that nothing but a regular file is.
func (f *file) Create(c *ninep.Call, name ninep.Name, flags, mode, gid uint32) (ninep.QID, error) {
	host := hostFlags(flags)
	if f.open != nil {
		return ninep.QID{}, unix.EINVAL
	}
	t, fs := f.thread(c), f.at.fs
	if len(name) > 255 {
		return ninep.QID{}, unix.ENAMETOOLONG
	}
	// Every file that is created is an open one: O_DIRECTORY asks for what cannot be.
	if host&unix.O_DIRECTORY != 0 {
		return ninep.QID{}, unix.EINVAL
	}
	for try := 0; ; try++ {
		n, fd, e := fs.createNew(t, f.n, name, host, mode, c.UID, gid)
		if e == unix.EEXIST && flags&lExcl == 0 {
			n, fd, e = fs.openExisting(t, f.n, name, host, c.UID)
			if e == unix.ENOENT && try < maxRaces {
				continue
			}
		}
		if e != 0 {
			return ninep.QID{}, e
		}
		f.open = fs.newHandle(n, fd, host)
		f.open.lockMark = isLockMark(t.stx.Mode)
		dir := f.n
		f.n = n
		f.moved(dir, name)
		return n.qid(&t.stx), nil
	}
}

// createNew makes a file and leaves its QID's part in t.stx. The node is that of
// the descriptor that creation gave, whatever has become of the name by then.
func (fs *FS) createNew(t *thread, dir *node, name []byte, flags int, mode, uid, gid uint32) (*node, int32, unix.Errno) {
	// O_TRUNC would do nothing, and O_NOATIME needs the file's owner.
	flags &^= unix.O_TRUNC | unix.O_NOATIME
	flags |= unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	dirFD, e := dir.pin(t)
	if e != 0 {
		return nil, -1, e
	}
	defer dir.unpin()
	if e := t.become(fs, uid, gid); e != 0 {
		return nil, -1, e
	}
	if mode&unix.S_ISGID != 0 {
		t.keepSetIDs(fs, true)
	}
	fd, e := openat2(t, dirFD, t.cname(name), flags, mode&0o7777, resolveName)
	if e != 0 {
		return nil, -1, e
	}
	n, e := fs.nodeOfOpen(t, fd, dir, name)
	if e != 0 {
		// Nobody knows of the file: it must not stay.
		unmake(t, dirFD, name, fd)
		fs.fds.close(fd)
		return nil, -1, e
	}
	return n, fd, 0
}

// unmake takes its name off a file that was just made, and which fd is.
func unmake(t *thread, dir int32, name []byte, fd int32) {
	if statx(t, fd, empty, unix.AT_EMPTY_PATH, statxIdentity) != 0 {
		return
	}
	key, p := keyOf(&t.stx), t.cname(name)
	if statx(t, dir, p, statName, statxIdentity) == 0 && keyOf(&t.stx) == key {
		_ = unlinkat(dir, p, 0)
	}
}

// nodeOfOpen returns the node of an open file, with a reference, and leaves its
// QID's part in t.stx. It most likely stands under name in the directory dir.
func (fs *FS) nodeOfOpen(t *thread, fd int32, dir *node, name []byte) (*node, unix.Errno) {
	if e := statx(t, fd, empty, unix.AT_EMPTY_PATH, statxWalk); e != 0 {
		return nil, e
	}
	key := keyOf(&t.stx)
	n, cold, _ := fs.nodes.get(&key)
	switch {
	case cold:
		fs.nodes.put(n) // it may be another file that has had the number
	case n != nil:
		return n, 0
	}
	// By its name it takes the kernel two thirds of the time that it takes by /proc, with a look
	// at what that is; and a file that was made without a name is found by that later on.
	path, e := fs.openNamed(t, dir, name, &key)
	if e != 0 {
		path, e = t.opened(openat(t, fs.procFD, t.cfd(fd), unix.O_PATH|unix.O_CLOEXEC))
	}
	if e != 0 {
		return nil, e
	}
	return fs.adopt(t, path, dir)
}

// openNamed opens what stands under name in the directory dir as a node's descriptor, if it
// is the inode of the key, and leaves its QID's part in t.stx.
func (fs *FS) openNamed(t *thread, dir *node, name []byte, key *nodeKey) (int32, unix.Errno) {
	dirFD, e := dir.pin(t)
	if e != 0 {
		return -1, e
	}
	fd, e := t.opened(openat2(t, dirFD, t.cname(name), openPath, 0, resolveName))
	dir.unpin()
	if e == 0 && keyOf(&t.stx) != *key {
		fs.fds.close(fd)
		return -1, unix.ESTALE
	}
	return fd, e
}

// openExisting opens a file that is there, and leaves its QID's part in t.stx.
func (fs *FS) openExisting(t *thread, dir *node, name []byte, flags int, uid uint32) (*node, int32, unix.Errno) {
	n, e := fs.step(t, dir, name)
	if e != 0 {
		return nil, -1, e
	}
	fd := int32(-1)
	if n.isDir() {
		e = unix.EISDIR
	} else if e = t.cuts(fs, n, flags, uid); e == 0 {
		fd, e = fs.openNode(t, n, flags)
	}
	if e == 0 {
		// The version is that after O_TRUNC.
		if e = statx(t, fd, empty, unix.AT_EMPTY_PATH, statxQID|unix.STATX_MODE); e != 0 {
			fs.fds.close(fd)
		}
	}
	if e != 0 {
		fs.nodes.put(n)
		return nil, -1, e
	}
	return n, fd, 0
}

// Mkdir implements ninep.File.
func (f *file) Mkdir(c *ninep.Call, name ninep.Name, mode, gid uint32) (ninep.QID, error) {
	t, fs := f.thread(c), f.at.fs
	p := t.cname(name)
	if p == nil {
		return ninep.QID{}, unix.ENAMETOOLONG
	}
	dir, e := f.n.pin(t)
	if e != 0 {
		return ninep.QID{}, e
	}
	defer f.n.unpin()
	if e := t.become(fs, c.UID, gid); e != 0 {
		return ninep.QID{}, e
	}
	e = mkdirat(dir, p, mode&0o7777)
	if e != 0 {
		return ninep.QID{}, e
	}
	// Linux takes no set-id bits from mkdir; a set-group-id parent gives its own.
	if lost := mode & (unix.S_ISUID | unix.S_ISGID); lost != 0 {
		if e := fs.addSetID(t, f.n, name, lost); e != 0 {
			return ninep.QID{}, e
		}
	}
	return f.newEntry(t, t.cname(name))
}

// addSetID gives a directory set-id bits that it lacks.
func (fs *FS) addSetID(t *thread, dir *node, name []byte, bits uint32) unix.Errno {
	n, e := fs.step(t, dir, name)
	if e != 0 {
		return e
	}
	defer fs.nodes.put(n)
	if e := n.statx(t, unix.STATX_MODE); e != 0 {
		return e
	}
	mode := uint32(t.stx.Mode) & 0o7777
	if !n.isDir() || mode&bits == bits {
		return 0
	}
	return fs.chmod(t, n, mode|bits)
}

// Mknod implements ninep.File.
func (f *file) Mknod(c *ninep.Call, name ninep.Name, mode, major, minor, gid uint32) (ninep.QID, error) {
	t, fs := f.thread(c), f.at.fs
	p := t.cname(name)
	if p == nil {
		return ninep.QID{}, unix.ENAMETOOLONG
	}
	dev := uint64(0)
	if typ := mode & unix.S_IFMT; typ == unix.S_IFCHR || typ == unix.S_IFBLK {
		dev = ninep.EncodeDev(major, minor) // also what mknod(2) takes
	}
	dir, e := f.n.pin(t)
	if e != 0 {
		return ninep.QID{}, e
	}
	defer f.n.unpin()
	if e := t.become(fs, c.UID, gid); e != 0 {
		return ninep.QID{}, e
	}
	if mode&unix.S_ISGID != 0 {
		t.keepSetIDs(fs, true)
	}
	e = mknodat(dir, p, mode&(unix.S_IFMT|0o7777), dev)
	if e != 0 {
		return ninep.QID{}, e
	}
	return f.newEntry(t, p)
}

// Symlink implements ninep.File.
func (f *file) Symlink(c *ninep.Call, name, target ninep.Name, gid uint32) (ninep.QID, error) {
	t, fs := f.thread(c), f.at.fs
	p := t.cname(name)
	if p == nil || len(target) >= unix.PathMax {
		return ninep.QID{}, unix.ENAMETOOLONG
	}
	buf := t.buffer()
	buf[copy(buf, target)] = 0
	dir, e := f.n.pin(t)
	if e != 0 {
		return ninep.QID{}, e
	}
	defer f.n.unpin()
	if e := t.become(fs, c.UID, gid); e != 0 {
		return ninep.QID{}, e
	}
	e = symlinkat(&buf[0], dir, p)
	if e != 0 {
		return ninep.QID{}, e
	}
	return f.newEntry(t, p)
}

// newEntry returns the QID of what was made in the directory f.
func (f *file) newEntry(t *thread, name *byte) (ninep.QID, error) {
	if e := f.n.statxEntry(t, name, statxQID); e != 0 {
		return ninep.QID{}, e
	}
	key := keyOf(&t.stx)
	qid := ninep.QID{Type: qidType(t.stx.Mode), Version: f.n.traits.qidVersion(&t.stx)}
	path, e := f.at.fs.entryPath(t, f.n, name, &key)
	if e != 0 {
		return ninep.QID{}, e
	}
	f.at.fs.qidPaths.Settle()
	qid.Path = path
	return qid, nil
}

// Link implements ninep.File.
func (f *file) Link(c *ninep.Call, target ninep.File, name ninep.Name) error {
	t, fs := f.thread(c), f.at.fs
	from, e := fileOf(target)
	if e != 0 {
		return e
	}
	if len(name) > maxName {
		return unix.ENAMETOOLONG
	}
	return errorOf(fs.linkNode(t, from.n, f.n, name))
}

// linkNode makes name in the directory to another name of n.
func (fs *FS) linkNode(t *thread, n, to *node, name []byte) unix.Errno {
	old, e := n.pin(t)
	if e != 0 {
		return e
	}
	defer n.unpin()
	dir, e := to.pin(t)
	if e != 0 {
		return e
	}
	defer to.unpin()
	if fs.creds.linkByFD {
		return linkat(old, empty, dir, t.cname(name), unix.AT_EMPTY_PATH)
	}
	return linkat(fs.procFD, t.cfd(old), dir, t.cname(name), unix.AT_SYMLINK_FOLLOW)
}

// ReadLink implements ninep.File.
func (f *file) ReadLink(c *ninep.Call, buf []byte) (int, error) {
	if f.n.typ != unix.S_IFLNK {
		return 0, unix.EINVAL
	}
	t := f.thread(c)
	fd, e := f.n.pin(t)
	if e != 0 {
		return 0, e
	}
	defer f.n.unpin()
	// A target is at most PathMax-1 bytes long. A full buffer may mean a cut one.
	if len(buf) >= unix.PathMax {
		n, e := readlinkat(fd, empty, buf)
		if e != 0 {
			return 0, e
		}
		return n, nil
	}
	own := t.buffer()
	n, e := readlinkat(fd, empty, own)
	switch {
	case e != 0:
		return 0, e
	case n > len(buf):
		return 0, unix.ERANGE
	}
	return copy(buf, own[:n]), nil
}
