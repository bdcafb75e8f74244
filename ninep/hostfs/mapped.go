// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"bytes"
	"sync"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// mapped is a file of a mapped model. The host's inode is the daemon's own, a regular file
// or a directory; what else the guest made, and whose it is, metadata says. Content is
// read and written as the file of the host that it is.
//
// What the host has besides is shown as it is: a symbolic link or a device that was made
// there, and the owner and mode of a file that has no metadata.
type mapped struct {
	*file
	rec *record // with fileMeta
}

var _ ninep.File = (*mapped)(nil)

var mappedPool = sync.Pool{New: func() any { return new(mapped) }}

// asMapped makes f a file of the model.
func (fs *FS) asMapped(f *file) *mapped {
	m := mappedPool.Get().(*mapped)
	m.file = f
	if fs.files != nil {
		fs.files.track(m)
	}
	return m
}

// Close implements ninep.File.
func (m *mapped) Close(th *ninep.Thread) { m.close(localOf(th)) }

// close is Close. t may be nil.
func (m *mapped) close(t *thread) {
	if fs := m.at.fs; fs.files != nil {
		fs.files.untrack(m)
	}
	m.file.close(t)
	*m = mapped{}
	mappedPool.Put(m)
}

// qid makes q, which is made of the host's inode, what the guest sees.
func (m *mapped) qid(q ninep.QID, md *metadata) ninep.QID {
	q.Type = qidType(uint16(md.modeOf(uint32(m.n.typ))))
	if q.Version ^= md.version; q.Version == 0 {
		q.Version = 1
	}
	return q
}

// loadType loads the type that the guest sees.
func (m *mapped) loadType(t *thread) (metadata, uint32, unix.Errno) {
	md, e := m.at.fs.meta.load(t, m, metaType)
	return md, md.modeOf(uint32(m.n.typ)) & unix.S_IFMT, e
}

// Walk implements ninep.File.
func (m *mapped) Walk(c *ninep.Call, names []ninep.Name, qids []ninep.QID) (ninep.File, int, error) {
	fs := m.at.fs
	for i, name := range names {
		if !fs.hidesName(name) {
			continue
		}
		f, n, err := m.Walk(c, names[:i], qids)
		if err != nil {
			return nil, n, err
		}
		f.Close(c.Thread)
		return nil, i, unix.EINVAL
	}
	f, n, err := m.file.Walk(c, names, qids)
	if err != nil {
		if n > 0 { // what the last one is that could be walked to is not known yet
			if f, _, err := m.Walk(c, names[:n], qids); err == nil {
				f.Close(c.Thread)
			}
		}
		return nil, n, err
	}
	next := fs.asMapped(f.(*file))
	if n > 0 {
		md, _, e := next.loadType(threadOf(c))
		if e != 0 {
			next.close(threadOf(c))
			return nil, n - 1, e
		}
		qids[n-1] = next.qid(qids[n-1], &md)
	}
	return next, n, nil
}

// Parent implements ninep.File.
func (m *mapped) Parent(c *ninep.Call) (ninep.File, error) {
	dir, err := m.file.Parent(c)
	if err != nil {
		return nil, err
	}
	return m.at.fs.asMapped(dir.(*file)), nil
}

// GetAttr implements ninep.File.
func (m *mapped) GetAttr(c *ninep.Call, mask ninep.AttrMask, attr *ninep.Attr) error {
	md, e := m.at.fs.meta.load(m.thread(c), m, metaAll|metaLinks)
	if e != 0 {
		return e
	}
	if err := m.file.GetAttr(c, mask|ninep.AttrMode|ninep.AttrCTime, attr); err != nil {
		return err
	}
	md.show(attr)
	attr.QID = m.qid(attr.QID, &md)
	return nil
}

// dropSetIDs takes the set-id bits off when the user of the request has changed the
// content. Root keeps them: CAP_FSETID.
func (m *mapped) dropSetIDs(t *thread, uid uint32) unix.Errno {
	if uid == rootUID || m.n.typ != unix.S_IFREG {
		return 0
	}
	md, e := m.at.fs.meta.load(t, m, metaMode)
	if e != 0 || md.has&metaMode == 0 {
		return e
	}
	now := md.modeOf(uint32(m.n.typ))
	if rest := withoutSetIDs(now); rest != now {
		return m.at.fs.meta.save(t, m, &metadata{has: metaMode, mode: rest})
	}
	return 0
}

// SetAttr implements ninep.File. Owner and mode are metadata alone.
func (m *mapped) SetAttr(c *ninep.Call, set *ninep.SetAttr) error {
	t, meta := m.thread(c), m.at.fs.meta
	const kept = setOwner | ninep.SetMode
	if set.Valid&(kept|ninep.SetSize) == 0 {
		return m.file.SetAttr(c, set)
	}
	md, e := meta.load(t, m, metaMode)
	if e != 0 {
		return e
	}
	var host uint32
	if md.has&metaMode == 0 {
		if e := m.n.statx(t, unix.STATX_TYPE|unix.STATX_MODE); e != 0 {
			return e
		}
		host = uint32(t.stx.Mode)
	} else {
		host = uint32(m.n.typ)
	}
	now := md.modeOf(host)
	mode := now
	if set.Valid&ninep.SetSize != 0 {
		switch now & unix.S_IFMT {
		case unix.S_IFREG:
		case unix.S_IFDIR:
			return unix.EISDIR
		default:
			return unix.EINVAL
		}
		if err := m.file.SetAttr(c, &ninep.SetAttr{Valid: ninep.SetSize, Size: set.Size}); err != nil {
			return err
		}
		if c.UID != rootUID {
			mode = withoutSetIDs(mode)
		}
	}
	var change metadata
	if set.Valid&setOwner != 0 {
		mode = withoutSetIDs(mode)
		if c.UID != rootUID && !m.n.isDir() {
			mode &^= unix.S_ISGID // the user need not be in the group
		}
	}
	if set.Valid&ninep.SetUID != 0 && set.UID != noID {
		change.has, change.uid = change.has|metaUID, set.UID
	}
	if set.Valid&ninep.SetGID != 0 && set.GID != noID {
		change.has, change.gid = change.has|metaGID, set.GID
	}
	if set.Valid&ninep.SetMode != 0 {
		if now&unix.S_IFMT == unix.S_IFLNK {
			return unix.EOPNOTSUPP // as the host says it
		}
		mode = now&unix.S_IFMT | set.Mode&0o7777
	}
	if mode != now || set.Valid&ninep.SetMode != 0 {
		change.has, change.mode = change.has|metaMode, mode
	}
	if change.has != 0 {
		if e := meta.save(t, m, &change); e != 0 {
			return e
		}
	}
	if rest := set.Valid &^ (kept | ninep.SetSize); rest&setTimes != 0 {
		times := *set
		times.Valid = rest
		return m.file.SetAttr(c, &times)
	}
	return nil
}

// openable is the error of an open of what the guest sees as a file of the type.
func openable(typ uint32) unix.Errno {
	switch typ {
	case unix.S_IFREG, unix.S_IFDIR:
		return 0
	case unix.S_IFLNK:
		return unix.ELOOP
	}
	return unix.ENXIO
}

// Open implements ninep.File.
func (m *mapped) Open(c *ninep.Call, flags uint32) (ninep.QID, error) {
	t := m.thread(c)
	md, typ, e := m.loadType(t)
	if e == 0 {
		e = openable(typ)
	}
	if e != 0 {
		return ninep.QID{}, e
	}
	q, err := m.file.Open(c, flags)
	if err == nil && flags&lTrunc != 0 {
		if e := m.dropSetIDs(t, c.UID); e != 0 {
			return ninep.QID{}, e
		}
	}
	return m.qid(q, &md), err
}

// Write implements ninep.File.
func (m *mapped) Write(c *ninep.Call, src []unix.Iovec, off uint64) (int, error) {
	if m.open != nil && len(src) > 0 {
		if e := m.dropSetIDs(m.thread(c), c.UID); e != 0 {
			return 0, e
		}
	}
	return m.file.Write(c, src, off)
}

// ReadLink implements ninep.File. The target of a link that the guest made is the content
// of the host's file, as far as a target can be long.
func (m *mapped) ReadLink(c *ninep.Call, buf []byte) (int, error) {
	if m.n.typ == unix.S_IFLNK {
		return m.file.ReadLink(c, buf)
	}
	t, fs := m.thread(c), m.at.fs
	_, typ, e := m.loadType(t)
	switch {
	case e != 0:
		return 0, e
	case typ != unix.S_IFLNK:
		return 0, unix.EINVAL
	}
	fd, e := fs.openNode(t, m.n, unix.O_RDONLY)
	if e != 0 {
		return 0, e
	}
	target, e := readStart(t, fd, unix.PathMax)
	fs.fds.close(fd)
	if i := bytes.IndexByte(target, 0); i >= 0 {
		target = target[:i]
	}
	switch {
	case e != 0:
		return 0, e
	case len(target) >= unix.PathMax:
		return 0, unix.ENAMETOOLONG
	case len(target) > len(buf):
		return 0, unix.ERANGE
	}
	return copy(buf, target), nil
}

// readStart returns the first bytes of a file, in t's buffer.
func readStart(t *thread, fd int32, limit int) ([]byte, unix.Errno) {
	buf, done := t.buffer()[:limit], 0
	for done < limit {
		n, err := unix.Pread(int(fd), buf[done:], int64(done))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return nil, err.(unix.Errno)
		case n == 0:
			return buf[:done], 0
		}
		done += n
	}
	return buf, 0
}
