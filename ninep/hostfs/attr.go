// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// Both masks number most of their bits alike: sameBits. NLINK, UID and GID are one further in
// statx's, which has a bit for the type besides that for the rest of the mode. The device
// number of a special file is not one of statx's: it comes with the type.
const (
	sameBits = uint32(ninep.AttrATime | ninep.AttrMTime | ninep.AttrCTime | ninep.AttrINO | ninep.AttrSize |
		ninep.AttrBlocks | ninep.AttrBTime)
	nextBits = uint32(ninep.AttrMode | ninep.AttrNLink | ninep.AttrUID | ninep.AttrGID)
)

// statxOf returns what statx is to be asked for. The type is always among it.
func statxOf(mask ninep.AttrMask) uint32 {
	m := uint32(mask)
	return statxQID&^unix.STATX_MNT_ID | m&sameBits | m&nextBits<<1
}

// attrsOf returns what statx has told.
func attrsOf(mask uint32) ninep.AttrMask {
	m := mask&sameBits | mask>>1&nextBits
	if mask&unix.STATX_TYPE == 0 {
		m &^= uint32(ninep.AttrMode)
	} else {
		m |= uint32(ninep.AttrRDev)
	}
	return ninep.AttrMask(m)
}

// GetAttr implements ninep.File. The data version is the change time, where that is
// another one after any change; the kernel keeps the counter that it has for this purpose
// (STATX_CHANGE_COOKIE) to itself. The generation is not given: Linux compares those that it
// gets for a file, and the host tells it of open files only (FS_IOC_GETVERSION), or by a
// file handle, which takes twice as long as statx.
func (f *file) GetAttr(c *ninep.Call, mask ninep.AttrMask, attr *ninep.Attr) error {
	t := f.thread(c)
	fd, e := f.n.pin(t)
	if e != 0 {
		return e
	}
	// As node.statx does: statx says why there is no function in between.
	e = statx(t, fd, empty, unix.AT_EMPTY_PATH, statxOf(mask))
	f.n.unpin()
	if e != 0 {
		return e
	}
	stx := &t.stx
	valid := attrsOf(stx.Mask)
	// One by one: as one value they would be put together elsewhere first, and copied.
	attr.Valid = valid
	attr.QID = f.n.qid(stx)
	attr.Mode = uint32(stx.Mode)
	attr.UID = f.at.fs.uids.toGuest(stx.Uid)
	attr.GID = f.at.fs.gids.toGuest(stx.Gid)
	attr.NLink = uint64(stx.Nlink)
	attr.RDev = ninep.EncodeDev(stx.Rdev_major, stx.Rdev_minor)
	attr.Size = stx.Size
	attr.BlkSize = uint64(stx.Blksize)
	attr.Blocks = stx.Blocks
	attr.ATime = timeOf(&stx.Atime)
	attr.MTime = timeOf(&stx.Mtime)
	attr.CTime = timeOf(&stx.Ctime)
	if valid&ninep.AttrBTime != 0 {
		attr.BTime = timeOf(&stx.Btime)
	}
	if mask&ninep.AttrDataVersion != 0 && valid&ninep.AttrCTime != 0 {
		if ns, exact := f.n.traits.changeTime(stx); exact {
			attr.DataVersion = ns
			attr.Valid |= ninep.AttrDataVersion
		}
	}
	return nil
}

func timeOf(ts *unix.StatxTimestamp) ninep.Time { return ninep.Time{Sec: ts.Sec, Nsec: ts.Nsec} }

const (
	setOwner = ninep.SetUID | ninep.SetGID
	setTimes = ninep.SetATime | ninep.SetMTime
)

// SetAttr implements ninep.File. The order keeps what is asked for: a new owner
// takes set-id bits off, and so does a new size, which also changes the times.
// All of it is done to the node, whatever has become of its name.
func (f *file) SetAttr(c *ninep.Call, set *ninep.SetAttr) error {
	t := f.thread(c)
	fd, e := f.n.pin(t)
	if e != 0 {
		return e
	}
	defer f.n.unpin()
	owner := set.Valid&setOwner != 0
	// Linux sets the change time alone for what it has done itself already, and
	// chown to nobody else does that.
	touch := set.Valid&(setOwner|setTimes|ninep.SetMode|ninep.SetSize) == 0 && set.Valid&ninep.SetCTime != 0
	if owner || touch {
		uid, gid, ok := f.at.fs.newOwner(set)
		if !ok {
			return unix.EOVERFLOW
		}
		t.changes(f.at.fs, fd, c.UID)
		if e := f.at.fs.shedCaps(t, f.n); e != 0 {
			return e
		}
		if e := fchownat(fd, empty, uid, gid, unix.AT_EMPTY_PATH); e != 0 && !f.at.fs.keepsOwner(e) {
			if e == unix.EINVAL {
				e = unix.EOVERFLOW // the daemon's user namespace lacks the ID
			}
			return e
		}
	}
	resize := set.Valid&ninep.SetSize != 0
	if resize {
		switch e := f.truncate(t, c.UID, set.Size); {
		case e == 0:
			resize = false
		case e == unix.EACCES && set.Valid&ninep.SetMode != 0: // perhaps with the new mode
		default:
			return e
		}
	}
	if set.Valid&ninep.SetMode != 0 {
		if e := f.at.fs.chmod(t, f.n, set.Mode&0o7777); e != 0 {
			return e
		}
	}
	if resize {
		if e := f.truncate(t, c.UID, set.Size); e != 0 {
			return e
		}
	}
	if set.Valid&setTimes != 0 {
		t.ts[0] = timespec(set.Valid&ninep.SetATime != 0, set.Valid&ninep.SetATimeSet != 0, set.ATime)
		t.ts[1] = timespec(set.Valid&ninep.SetMTime != 0, set.Valid&ninep.SetMTimeSet != 0, set.MTime)
		if e := utimensat(t, fd, empty, unix.AT_EMPTY_PATH); e != 0 {
			return e
		}
	}
	return nil
}

// newOwner returns the host's owner that set asks for, noID for what stays as it is.
func (fs *FS) newOwner(set *ninep.SetAttr) (uid, gid uint32, ok bool) {
	uid, gid, ok = noID, noID, true
	if set.Valid&ninep.SetUID != 0 && set.UID != noID {
		uid, ok = fs.uids.toHost(set.UID)
	}
	if ok && set.Valid&ninep.SetGID != 0 && set.GID != noID {
		gid, ok = fs.gids.toHost(set.GID)
	}
	return uid, gid, ok
}

func timespec(set, given bool, to ninep.Time) unix.Timespec {
	switch {
	case !set:
		return unix.Timespec{Nsec: unix.UTIME_OMIT}
	case !given:
		return unix.Timespec{Nsec: unix.UTIME_NOW}
	}
	return unix.Timespec{Sec: to.Sec, Nsec: int64(to.Nsec)}
}

// chmod changes the mode of the node itself. A symlink has none: EOPNOTSUPP. Whether
// the user may set the group's bit, by a group of theirs, was for the guest to see.
func (fs *FS) chmod(t *thread, n *node, mode uint32) unix.Errno {
	if mode&unix.S_ISGID != 0 {
		t.keepSetIDs(fs, true)
	}
	fd, e := n.pin(t)
	if e != 0 {
		return e
	}
	defer n.unpin()
	if !fs.noFchmodat2.Load() {
		e := fchmodat2(fd, empty, mode, unix.AT_EMPTY_PATH)
		if e != unix.ENOSYS {
			return e
		}
		fs.noFchmodat2.Store(true) // before Linux 6.6
	}
	return fchmodat(fs.procFD, t.cfd(fd), mode)
}

// truncate sets the size for the guest's user uid, through f's own descriptor if that
// can write: then it needs no permission.
func (f *file) truncate(t *thread, uid uint32, size uint64) unix.Errno {
	switch f.n.typ {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		return unix.EISDIR
	default:
		return unix.EINVAL
	}
	if h := f.open; h != nil && h.access != unix.O_RDONLY {
		fd, e := h.pin(t)
		if e != 0 {
			return e
		}
		defer h.unpin()
		return f.resize(t, fd, uid, size)
	}
	fd, e := f.at.fs.openNode(t, f.n, unix.O_WRONLY)
	if e != 0 {
		return e
	}
	e = f.resize(t, fd, uid, size)
	f.at.fs.fds.close(fd)
	return e
}

func (f *file) resize(t *thread, fd int32, uid uint32, size uint64) unix.Errno {
	t.changes(f.at.fs, fd, uid)
	if e := f.at.fs.shedCaps(t, f.n); e != 0 {
		return e
	}
	return ftruncate(fd, size)
}

// StatFS implements ninep.File. The host counts blocks in units of its fragment size,
// and a client of 9P has only one size, so that is what it gets: with the preferred
// size of transfers (Bsize), which FUSE, NFS and ZFS have as another, df in the guest
// would be wrong by the ratio. A type of 0 stands for none on no file system.
func (f *file) StatFS(c *ninep.Call, st *ninep.StatFS) error {
	t := f.thread(c)
	fd, e := f.n.pin(t)
	if e != 0 {
		return e
	}
	defer f.n.unpin()
	if e := fstatfs(t, fd); e != 0 {
		return e
	}
	*st = statFSOf(&t.sfs)
	if typ := f.at.fs.statfsType; typ != 0 {
		st.Type = typ
	}
	return nil
}

// maxName is the length of the longest name that the session lets through.
const maxName = 255

func statFSOf(s *unix.Statfs_t) ninep.StatFS {
	size := s.Frsize
	if size <= 0 {
		size = s.Bsize
	}
	length := s.Namelen
	if length <= 0 || length > maxName {
		length = maxName
	}
	return ninep.StatFS{
		Type:    uint32(s.Type),
		BSize:   uint32(size),
		Blocks:  s.Blocks,
		BFree:   s.Bfree,
		BAvail:  s.Bavail,
		Files:   s.Files,
		FFree:   s.Ffree,
		FSID:    uint64(uint32(s.Fsid.Val[0])) | uint64(uint32(s.Fsid.Val[1]))<<32,
		NameLen: uint32(length),
	}
}
