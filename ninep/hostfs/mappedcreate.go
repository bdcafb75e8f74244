// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// checkName is for names that are to be made.
func (fs *FS) checkName(name []byte) unix.Errno {
	switch {
	case fs.hidesName(name):
		return unix.EINVAL
	case len(name) > maxName:
		return unix.ENAMETOOLONG
	}
	return 0
}

// made returns the metadata of what the user of c makes in the directory m. A set-group-id
// directory gives its group on, and to directories the bit.
func (m *mapped) made(c *ninep.Call, t *thread, mode, gid uint32) (metadata, unix.Errno) {
	md := metadata{mode: mode, has: metaMode}
	if c.UID != noID {
		md.uid, md.has = c.UID, md.has|metaUID
	}
	if gid != noID {
		md.gid, md.has = gid, md.has|metaGID
	}
	dir, e := m.at.fs.meta.load(t, m, metaMode|metaGID)
	if e != 0 {
		return md, e
	}
	if dir.has&metaMode != 0 && dir.mode&unix.S_ISGID != 0 {
		if dir.has&metaGID != 0 {
			md.gid, md.has = dir.gid, md.has|metaGID
		} else {
			md.has &^= metaGID
		}
		if mode&unix.S_IFMT == unix.S_IFDIR {
			md.mode |= unix.S_ISGID
		}
	}
	return md, 0
}

// make makes the file of the host for a file of the guest's, with flags as for openat2,
// and opens it. Where the file system can do that, the file has its content and metadata
// before it has a name.
func (m *mapped) make(t *thread, name []byte, flags int, content []byte, md *metadata) (*mapped, ninep.QID, unix.Errno) {
	fs := m.at.fs
	if e := fs.checkName(name); e != 0 {
		return nil, ninep.QID{}, e
	}
	var r reservation
	if fs.files != nil {
		var e unix.Errno
		if r, e = fs.files.reserve(t, m.n, name, md); e != 0 {
			return nil, ninep.QID{}, e
		}
	}
	n, fd, e := m.makeInode(t, name, flags, content, md)
	qid := ninep.QID{}
	if e == 0 {
		qid = n.qid(&t.stx)
	}
	if fs.files != nil {
		fs.files.settle(t, r, e == 0)
	}
	if e != 0 {
		return nil, ninep.QID{}, e
	}
	f := newFile(t, m.at, n, m.n.hold(), name)
	f.open = fs.newHandle(n, fd, flags)
	child := fs.asMapped(f)
	if fs.files != nil {
		now, e := fs.meta.load(t, child, metaType)
		if e != 0 {
			child.close(t)
			return nil, ninep.QID{}, e
		}
		md = &now // as it was stored
	}
	return child, child.qid(qid, md), 0
}

// makeInode makes the file, and returns its node with a reference, and a descriptor. If it
// fails there is none.
func (m *mapped) makeInode(t *thread, name []byte, flags int, content []byte, md *metadata) (*node, int32, unix.Errno) {
	fs := m.at.fs
	dir, e := m.n.pin(t)
	if e != 0 {
		return nil, -1, e
	}
	defer m.n.unpin()
	// Neither O_TMPFILE nor content can do without.
	if flags&unix.O_ACCMODE == unix.O_RDONLY {
		flags |= unix.O_RDWR
	}
	flags |= unix.O_CLOEXEC | unix.O_NOFOLLOW
	named := fs.noTmpFile.Load()
	fd := int32(-1)
	if !named {
		fd, e = openat2(t, dir, dot, flags|unix.O_TMPFILE, fs.fileMode, resolveName)
		switch e {
		case unix.EOPNOTSUPP, unix.EISDIR:
			named = true
			fs.noTmpFile.Store(true)
		case unix.EPERM:
			named = true // what ext4 says of a directory that was removed: now the right error
		}
	}
	if named {
		fd, e = openat2(t, dir, t.cname(name), flags|unix.O_CREAT|unix.O_EXCL, fs.fileMode, resolveName)
	}
	if e != 0 {
		return nil, -1, e
	}
	if e = fs.meta.put(fd, md); e == 0 {
		e = writeStart(fd, content)
	}
	if e == 0 && !named {
		e = linkat(fs.procFD, t.cfd(fd), dir, t.cname(name), unix.AT_SYMLINK_FOLLOW)
		named = e == 0
	}
	var n *node
	if e == 0 {
		n, e = fs.nodeOfOpen(t, fd, m.n, name)
	}
	if e != 0 {
		if named {
			unmake(t, dir, name, fd)
		}
		fs.fds.close(fd)
		return nil, -1, e
	}
	return n, fd, 0
}

func writeStart(fd int32, content []byte) unix.Errno {
	for done := 0; done < len(content); {
		n, err := unix.Pwrite(int(fd), content[done:], int64(done))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return err.(unix.Errno)
		}
		done += max(n, 0)
	}
	return 0
}

// Create implements ninep.File.
func (m *mapped) Create(c *ninep.Call, name ninep.Name, flags, mode, gid uint32) (ninep.QID, error) {
	host := hostFlags(flags)
	if m.open != nil || host&unix.O_DIRECTORY != 0 {
		return ninep.QID{}, unix.EINVAL
	}
	host &^= unix.O_TRUNC | unix.O_NOATIME
	t := m.thread(c)
	for try := 0; ; try++ {
		md, e := m.made(c, t, unix.S_IFREG|mode&0o7777, gid)
		if e != 0 {
			return ninep.QID{}, e
		}
		child, q, e := m.make(t, name, host, nil, &md)
		if e == 0 && host&unix.O_ACCMODE == unix.O_RDONLY {
			q, e = child.reopen(t, q, host)
		}
		if e == unix.EEXIST && flags&lExcl == 0 {
			child, q, e = m.openChild(c, name, flags)
			if e == unix.ENOENT && try < maxRaces {
				continue
			}
		}
		if e != 0 {
			return ninep.QID{}, e
		}
		*m, *child = *child, *m
		child.close(t)
		return q, nil
	}
}

// reopen replaces the descriptor of a file that was made for reading alone, and closes
// the file if that fails.
func (m *mapped) reopen(t *thread, q ninep.QID, flags int) (ninep.QID, unix.Errno) {
	fd, e := m.at.fs.openNode(t, m.n, flags)
	if e != 0 {
		m.close(t)
		return q, e
	}
	m.at.fs.closeHandle(m.open)
	m.open = m.at.fs.newHandle(m.n, fd, flags)
	return q, 0
}

// openChild opens the file that is in the directory m already.
func (m *mapped) openChild(c *ninep.Call, name ninep.Name, flags uint32) (*mapped, ninep.QID, unix.Errno) {
	var qids [1]ninep.QID
	f, _, err := m.Walk(c, []ninep.Name{name}, qids[:])
	if err != nil {
		return nil, ninep.QID{}, errnoOf(err)
	}
	child := f.(*mapped)
	if child.n.isDir() {
		err = unix.EISDIR
	} else {
		qids[0], err = child.Open(c, flags)
	}
	if err != nil {
		child.Close(c.Thread)
		return nil, ninep.QID{}, errnoOf(err)
	}
	return child, qids[0], 0
}

func errnoOf(err error) unix.Errno {
	if e, ok := ninep.Errno(err); ok {
		return e
	}
	return unix.EIO
}

// Mknod implements ninep.File.
func (m *mapped) Mknod(c *ninep.Call, name ninep.Name, mode, major, minor, gid uint32) (ninep.QID, error) {
	t := m.thread(c)
	md, e := m.made(c, t, mode&(unix.S_IFMT|0o7777), gid)
	if e != 0 {
		return ninep.QID{}, e
	}
	if typ := mode & unix.S_IFMT; typ == unix.S_IFCHR || typ == unix.S_IFBLK {
		md.rdev, md.has = unix.Mkdev(major, minor), md.has|metaRDev
	}
	return m.makeClosed(t, name, nil, &md)
}

// Symlink implements ninep.File.
func (m *mapped) Symlink(c *ninep.Call, name, target ninep.Name, gid uint32) (ninep.QID, error) {
	if len(target) >= unix.PathMax {
		return ninep.QID{}, unix.ENAMETOOLONG
	}
	t := m.thread(c)
	md, e := m.made(c, t, unix.S_IFLNK|0o777, gid)
	if e != 0 {
		return ninep.QID{}, e
	}
	return m.makeClosed(t, name, target, &md)
}

func (m *mapped) makeClosed(t *thread, name, content []byte, md *metadata) (ninep.QID, error) {
	child, q, e := m.make(t, name, unix.O_RDWR, content, md)
	if e != 0 {
		return ninep.QID{}, e
	}
	child.close(t)
	return q, nil
}

// Mkdir implements ninep.File.
func (m *mapped) Mkdir(c *ninep.Call, name ninep.Name, mode, gid uint32) (ninep.QID, error) {
	t := m.thread(c)
	if e := m.at.fs.checkName(name); e != 0 {
		return ninep.QID{}, e
	}
	md, e := m.made(c, t, unix.S_IFDIR|mode&0o7777, gid)
	if e != 0 {
		return ninep.QID{}, e
	}
	if k := m.at.fs.files; k == nil {
		e = m.makeDir(t, name, &md)
	} else {
		var r reservation
		if r, e = k.reserve(t, m.n, name, &md); e == 0 {
			e = m.makeDir(t, name, &md)
			k.settle(t, r, e == 0)
		}
	}
	if e != 0 {
		return ninep.QID{}, e
	}
	var qids [1]ninep.QID
	f, _, err := m.Walk(c, []ninep.Name{name}, qids[:])
	if err != nil {
		return ninep.QID{}, err
	}
	f.Close(c.Thread)
	return qids[0], nil
}

// makeDir makes the directory of the host for one of the guest's.
func (m *mapped) makeDir(t *thread, name []byte, md *metadata) unix.Errno {
	fs := m.at.fs
	dir, e := m.n.pin(t)
	if e != 0 {
		return e
	}
	defer m.n.unpin()
	if e := mkdirat(dir, t.cname(name), fs.dirMode); e != 0 {
		return e
	}
	fd, e := openat2(t, dir, t.cname(name), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0, resolveName)
	if e == 0 {
		e = fs.meta.put(fd, md)
		fs.fds.close(fd)
	}
	switch e {
	case 0, unix.EEXIST, unix.ENOENT, unix.ENOTDIR: // or it has gone, or another has come
		return 0
	}
	_ = unlinkat(dir, t.cname(name), unix.AT_REMOVEDIR) // which fails if it is used already
	return e
}
