// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// xattrMeta keeps metadata in extended attributes of the file: integers of 32 bits, that of
// the device number of 64, little-endian. A change of one is a change of the inode.
type xattrMeta struct{ fs *FS }

// metaAttr is the attribute of a field. Its name ends with a NUL.
type metaAttr struct {
	field metaField
	name  []byte
	size  int
}

var metaAttrs = [...]metaAttr{
	{metaUID, []byte("user.virtfs.uid\x00"), 4},
	{metaGID, []byte("user.virtfs.gid\x00"), 4},
	{metaMode, []byte("user.virtfs.mode\x00"), 4},
	{metaRDev, []byte("user.virtfs.rdev\x00"), 8},
}

func (s xattrMeta) load(t *thread, m *mapped, want metaField) (md metadata, e unix.Errno) {
	if m.n.typ != unix.S_IFREG && m.n.typ != unix.S_IFDIR {
		return md, 0 // which cannot have such attributes
	}
	if want&metaType != 0 && m.n.typ == unix.S_IFREG {
		want |= metaMode
	}
	for i := range metaAttrs {
		a := &metaAttrs[i]
		if want&a.field == 0 || a.field == metaRDev && !isDevice(md.mode) {
			continue
		}
		var v [9]byte
		n, e := s.get(t, m, a, &v)
		switch e {
		case 0:
			if n == a.size {
				md.set(a.field, binary.LittleEndian.Uint64(v[:]))
			}
		case unix.ENODATA, unix.ERANGE, // or of no use
			unix.EOPNOTSUPP, unix.EACCES, unix.EPERM: // or none that the daemon could have made
		default:
			return md, e
		}
	}
	return md, 0
}

// get reads an attribute of a, with zeros behind it.
func (s xattrMeta) get(t *thread, m *mapped, a *metaAttr, v *[9]byte) (int, unix.Errno) {
	buf := t.buffer()[:len(v)]
	n, e := s.fs.getXattr(t, m.file, &a.name[0], buf)
	if e == 0 {
		copy(v[:], buf[:n])
	}
	return n, e
}

func (s xattrMeta) save(t *thread, m *mapped, set *metadata) unix.Errno {
	// What is there, to be restored if a later one fails.
	old, e := s.load(t, m, set.has)
	if e != 0 {
		return e
	}
	for i := range metaAttrs {
		a := &metaAttrs[i]
		if set.has&a.field == 0 {
			continue
		}
		if e := s.setAttr(t, m, a, set.at(a.field)); e != 0 {
			for j := range metaAttrs[:i] {
				switch b := &metaAttrs[j]; {
				case set.has&b.field == 0:
				case old.has&b.field != 0:
					_ = s.setAttr(t, m, b, old.at(b.field))
				default:
					_ = s.fs.removeXattr(t, m.file, &b.name[0])
				}
			}
			return e
		}
	}
	return 0
}

func (s xattrMeta) setAttr(t *thread, m *mapped, a *metaAttr, v uint64) unix.Errno {
	buf := t.buffer()[:8]
	binary.LittleEndian.PutUint64(buf, v)
	return s.fs.setXattr(t, m.file, &a.name[0], buf[:a.size], 0)
}

// put stores md, unless there is some already: then fd is not what was just made.
func (xattrMeta) put(fd int32, md *metadata) unix.Errno {
	var v [8]byte
	for i := range metaAttrs {
		a := &metaAttrs[i]
		if md.has&a.field == 0 {
			continue
		}
		binary.LittleEndian.PutUint64(v[:], md.at(a.field))
		name := string(a.name[:len(a.name)-1])
		if err := unix.Fsetxattr(int(fd), name, v[:a.size], unix.XATTR_CREATE); err != nil {
			return err.(unix.Errno)
		}
	}
	return 0
}
