// SPDX-License-Identifier: Apache-2.0

package memfs

import (
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// blockSize is what the file system says of itself.
const blockSize = 4096

func (f *file) GetAttr(_ *ninep.Call, mask ninep.AttrMask, a *ninep.Attr) error {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	n := f.node
	size := uint64(len(n.data) + len(n.target))
	*a = ninep.Attr{
		Valid: ninep.AttrBasic | mask&(ninep.AttrBTime|ninep.AttrDataVersion),
		QID:   n.qid(), Mode: n.mode, UID: n.uid, GID: n.gid, NLink: n.nlink, RDev: n.rdev,
		Size: size, BlkSize: blockSize, Blocks: (size + 511) / 512,
		ATime: n.atime, MTime: n.mtime, CTime: n.ctime, BTime: n.btime,
		DataVersion: uint64(n.version),
	}
	return nil
}

func (f *file) SetAttr(c *ninep.Call, set *ninep.SetAttr) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	n := f.node
	if set.Valid&ninep.SetSize != 0 {
		switch {
		case n.isDir():
			return unix.EISDIR
		case !n.isReg():
			return unix.EINVAL
		case f.open && f.flags&accessMode == unix.O_RDONLY:
			return unix.EINVAL // as ftruncate(2)
		case set.Size > uint64(f.fs.cfg.MaxFileSize):
			return unix.EFBIG
		}
		f.truncate(c, int(set.Size))
	}
	const owner = ninep.SetUID | ninep.SetGID
	if set.Valid&owner != 0 {
		if set.Valid&ninep.SetUID != 0 && set.UID != ninep.NoFID {
			n.uid = set.UID
		}
		if set.Valid&ninep.SetGID != 0 && set.GID != ninep.NoFID {
			n.gid = set.GID
		}
		n.dropSetID()
	}
	if set.Valid&ninep.SetMode != 0 {
		n.mode = n.mode&unix.S_IFMT | set.Mode
	}
	t := now()
	for _, x := range [...]struct {
		set, explicit ninep.SetMask
		dst           *ninep.Time
		value         ninep.Time
	}{
		{ninep.SetATime, ninep.SetATimeSet, &n.atime, set.ATime},
		{ninep.SetMTime, ninep.SetMTimeSet, &n.mtime, set.MTime},
	} {
		switch {
		case set.Valid&x.set == 0:
		case set.Valid&x.explicit != 0:
			*x.dst = x.value
		default:
			*x.dst = t
		}
	}
	if set.Valid != 0 {
		n.changed()
	}
	return nil
}

func (f *file) StatFS(_ *ninep.Call, st *ninep.StatFS) error {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	*st = ninep.StatFS{
		Type: unix.V9FS_MAGIC, BSize: blockSize, Blocks: 1 << 20, BFree: 1 << 19, BAvail: 1 << 19,
		Files: uint64(f.fs.cfg.MaxNodes), FFree: uint64(f.fs.cfg.MaxNodes - f.fs.nodes), FSID: 9, NameLen: 255,
	}
	return nil
}

// xattrPrefix is the one namespace of attributes that there is.
const xattrPrefix = "user."

func (f *file) GetXattr(_ *ninep.Call, name ninep.Name) ([]byte, error) {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	if !strings.HasPrefix(string(name), xattrPrefix) {
		return nil, unix.EOPNOTSUPP
	}
	v, ok := f.node.xattrs[string(name)]
	if !ok {
		return nil, unix.ENODATA
	}
	return slices.Clone(v), nil
}

func (f *file) ListXattr(*ninep.Call) ([]byte, error) {
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	var list []byte
	for _, name := range slices.Sorted(maps.Keys(f.node.xattrs)) {
		list = append(append(list, name...), 0)
	}
	return list, nil
}

func (f *file) SetXattr(_ *ninep.Call, name string, value []byte, flags int) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if !strings.HasPrefix(name, xattrPrefix) || name == xattrPrefix {
		return unix.EOPNOTSUPP
	}
	n := f.node
	_, ok := n.xattrs[name]
	switch {
	case ok && flags&unix.XATTR_CREATE != 0:
		return unix.EEXIST
	case !ok && flags&unix.XATTR_REPLACE != 0:
		return unix.ENODATA
	case !ok && len(n.xattrs) >= 256:
		return unix.ENOSPC
	}
	if n.xattrs == nil {
		n.xattrs = make(map[string][]byte)
	}
	n.xattrs[name] = slices.Clone(value)
	n.changed()
	return nil
}

func (f *file) RemoveXattr(_ *ninep.Call, name string) error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if _, ok := f.node.xattrs[name]; !ok {
		return unix.ENODATA
	}
	delete(f.node.xattrs, name)
	f.node.changed()
	return nil
}
