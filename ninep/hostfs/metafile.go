// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"bytes"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// fileMeta keeps metadata in files. That of DIR/NAME is in DIR/.virtfs_metadata/NAME, and
// that of the export's root in .virtfs_metadata_root there. Files with more names than one
// have as many names for their metadata.
//
// A name and its metadata are changed together: under the lock of the directory, and a
// flock(2) on its .virtfs_metadata, for other daemons on the same export. Whoever reads
// takes the former alone. Where a crash comes between the two, there is metadata without a
// file, which the next file of that name replaces.
type fileMeta struct {
	fs      *FS
	dirs    dirLocks
	records records
}

var (
	metaDirName  = []byte(".virtfs_metadata")
	metaRootName = []byte(".virtfs_metadata_root")
)

// metaTmpName is what metadata is called, in the directory of metadata, until it has been
// written: no file has this name.
var metaTmpName = metaDirName

// hidesName reports whether a name is not the guest's to use.
func (fs *FS) hidesName(name []byte) bool {
	return fs.files != nil && (bytes.Equal(name, metaDirName) || bytes.Equal(name, metaRootName))
}

const (
	metaDirMode  = 0o700
	metaFileMode = 0o600

	// maxRecord bounds what is read of a file with metadata: that is four short lines.
	maxRecord = 1024
)

// recordFields has the beginning of the line of each field.
var recordFields = [...]struct {
	field metaField
	key   string
}{
	{metaUID, "virtfs.uid="},
	{metaGID, "virtfs.gid="},
	{metaMode, "virtfs.mode="},
	{metaRDev, "virtfs.rdev="},
}

// parseRecord reads lines such as "virtfs.uid=1000". Others are left out.
func parseRecord(text []byte) (md metadata) {
	for len(text) > 0 {
		line, rest, _ := bytes.Cut(text, []byte{'\n'})
		text = rest
		for i := range recordFields {
			f := &recordFields[i]
			if !hasPrefix(line, f.key) {
				continue
			}
			// Numbers are the int of who wrote them: 32 bits, and -1 for no user or mode.
			if v, ok := parseInt(line[len(f.key):]); ok && (v != noID || f.field == metaRDev) {
				md.set(f.field, uint64(v))
			}
		}
	}
	return md
}

// parseInt reads a decimal number of 32 bits, with or without a sign.
func parseInt(s []byte) (uint32, bool) {
	minus := len(s) > 0 && s[0] == '-'
	if minus {
		s = s[1:]
	}
	v := uint64(0)
	for _, c := range s {
		if c < '0' || c > '9' || v > 1<<32 {
			return 0, false
		}
		v = 10*v + uint64(c-'0')
	}
	if len(s) == 0 || v >= 1<<32 || minus && v > 1<<31 {
		return 0, false
	}
	if minus {
		return -uint32(v), true
	}
	return uint32(v), true
}

// appendRecord writes what md has.
func (md *metadata) appendRecord(b []byte) []byte {
	for i := range recordFields {
		f := &recordFields[i]
		if md.has&f.field == 0 {
			continue
		}
		b = append(b, f.key...)
		b = strconv.AppendInt(b, int64(int32(uint32(md.at(f.field)))), 10)
		b = append(b, '\n')
	}
	return b
}

// update takes over what set has.
func (md *metadata) update(set *metadata) {
	for _, f := range recordFields {
		if set.has&f.field != 0 {
			md.set(f.field, set.at(f.field))
		}
	}
}

// stamp is for metadata that was changed at that time. The version is what the QID's
// changes by.
func (md *metadata) stamp(changed unix.StatxTimestamp) {
	md.changed = changed
	v := mix(uint64(changed.Sec)*uint64(time.Second) + uint64(changed.Nsec))
	v = mix(v ^ uint64(md.uid) ^ uint64(md.gid)<<32)
	v = mix(v ^ uint64(md.mode) ^ md.rdev<<32 ^ uint64(md.has)<<24)
	md.version = uint32(v)
}

// recordPath returns the path of an entry's metadata from the entry's directory, and a NUL,
// in t's buffer. The export's root has no name.
func recordPath(t *thread, name []byte) *byte {
	buf := t.buffer()
	n := 0
	if len(name) == 0 {
		n = copy(buf, metaRootName)
	} else {
		n = copy(buf, metaDirName)
		buf[n] = '/'
		n++
		n += copy(buf[n:], name)
	}
	buf[n] = 0
	return &buf[0]
}

// read returns the metadata of an entry, and how many names that has: none if there is
// no metadata.
func (k *fileMeta) read(t *thread, dir *node, name []byte) (metadata, uint32, unix.Errno) {
	fd, e := dir.pin(t)
	if e != 0 {
		return metadata{}, 0, e
	}
	defer dir.unpin()
	const flags = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	file, e := openat2(t, fd, recordPath(t, name), flags, 0, resolveName)
	switch e {
	case 0:
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.EACCES, unix.ENXIO: // or none that the daemon could have made
		return metadata{}, 0, 0
	default:
		return metadata{}, 0, e
	}
	defer k.fs.fds.close(file)
	if e := statx(t, file, empty, unix.AT_EMPTY_PATH, unix.STATX_TYPE|unix.STATX_NLINK|unix.STATX_CTIME); e != 0 {
		return metadata{}, 0, e
	}
	if t.stx.Mode&unix.S_IFMT != unix.S_IFREG {
		return metadata{}, 0, 0
	}
	links, changed := t.stx.Nlink, t.stx.Ctime
	text, e := readStart(t, file, maxRecord)
	if e != 0 {
		return metadata{}, 0, e
	}
	md := parseRecord(text)
	md.stamp(changed)
	return md, links, 0
}

// load implements metaStore.
func (k *fileMeta) load(t *thread, m *mapped, want metaField) (metadata, unix.Errno) {
	p, e := k.find(t, m, false)
	if e == unix.ENOENT {
		return m.rec.remembered(), 0
	}
	if e != 0 {
		return metadata{}, e
	}
	md, _, e := k.read(t, p.dir, p.name)
	if e == 0 && want&metaLinks != 0 && m.n.isDir() {
		md.ownLinks, e = k.ownLinks(t, m.n)
	}
	k.release(p)
	if e == 0 {
		m.rec.remember(&md)
	}
	return md, e
}

// ownLinks is 1 if the directory has a directory of metadata.
func (k *fileMeta) ownLinks(t *thread, n *node) (uint32, unix.Errno) {
	switch e := n.statxEntry(t, t.cname(metaDirName), unix.STATX_TYPE); {
	case e == unix.ENOENT:
		return 0, 0
	case e != 0:
		return 0, e
	case t.stx.Mode&unix.S_IFMT == unix.S_IFDIR:
		return 1, 0
	}
	return 0, 0
}

// save implements metaStore. What has no name any more has its metadata in memory alone.
func (k *fileMeta) save(t *thread, m *mapped, set *metadata) unix.Errno {
	p, e := k.find(t, m, true)
	if e == unix.ENOENT {
		if e := m.n.statx(t, unix.STATX_NLINK); e != 0 {
			return e
		}
		if t.stx.Nlink != 0 {
			return unix.ESTALE
		}
		m.rec.change(set)
		return 0
	}
	if e != 0 {
		return e
	}
	defer k.release(p)
	dir, e := k.openDir(t, p.dir, true)
	if e != 0 {
		return e
	}
	defer k.fs.fds.close(dir)
	lockOut(dir)
	md, links, e := k.read(t, p.dir, p.name)
	if e != 0 {
		return e
	}
	md.update(set)
	if links > 1 {
		e = k.overwrite(t, p.dir, p.name, &md)
	} else {
		e = k.replace(t, dir, p.dir, p.name, &md)
	}
	if e == 0 {
		m.rec.change(set)
	}
	return e
}

// put implements metaStore: metadata is there before the file.
func (k *fileMeta) put(int32, *metadata) unix.Errno { return 0 }

// openDir opens the directory of metadata in dir.
func (k *fileMeta) openDir(t *thread, dir *node, create bool) (int32, unix.Errno) {
	fd, e := dir.pin(t)
	if e != 0 {
		return -1, e
	}
	defer dir.unpin()
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	own, e := openat2(t, fd, t.cname(metaDirName), flags, 0, resolveName)
	if e != unix.ENOENT || !create {
		return own, e
	}
	if e := mkdirat(fd, t.cname(metaDirName), metaDirMode); e != 0 && e != unix.EEXIST {
		return -1, e
	}
	return openat2(t, fd, t.cname(metaDirName), flags, 0, resolveName)
}

// lockOut keeps other daemons away from the names in a directory, where the file system can
// do that, until the descriptor is closed.
func lockOut(dir int32) {
	for unix.Flock(int(dir), unix.LOCK_EX) == unix.EINTR {
	}
}

// sync makes the metadata of m durable, and that of what is in it.
func (k *fileMeta) sync(t *thread, m *mapped) unix.Errno {
	if m.n.isDir() {
		own, e := k.openDir(t, m.n, false)
		if e == 0 {
			e = fsync(own, false)
			k.fs.fds.close(own)
		}
		if e != 0 && e != unix.ENOENT {
			return e
		}
	}
	p, e := k.find(t, m, false)
	if e == unix.ENOENT {
		return 0
	}
	if e != 0 {
		return e
	}
	defer k.release(p)
	dir, e := p.dir.pin(t)
	if e != 0 {
		return e
	}
	defer p.dir.unpin()
	file, e := openat2(t, dir, recordPath(t, p.name), unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0, resolveName)
	if e == unix.ENOENT {
		return 0
	}
	if e == 0 {
		e = fsync(file, false)
		k.fs.fds.close(file)
	}
	return e
}

// replace writes the metadata of an entry so that whoever reads it, also after a crash,
// gets the old or the new. own is the directory of metadata in dir.
func (k *fileMeta) replace(t *thread, own int32, dir *node, name []byte, md *metadata) unix.Errno {
	tmp := t.cname(metaTmpName)
	_ = unlinkat(own, tmp, 0) // of a crash
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, e := openat2(t, own, tmp, flags, metaFileMode, resolveName)
	if e != 0 {
		return e
	}
	e = writeStart(fd, md.appendRecord(t.buffer()[:0]))
	k.fs.fds.close(fd)
	if e == 0 {
		if len(name) == 0 {
			var root int32
			if root, e = dir.pin(t); e == 0 {
				e = renameat2(own, tmp, root, t.cname2(metaRootName), 0)
				dir.unpin()
			}
		} else {
			e = renameat2(own, tmp, own, t.cname2(name), 0)
		}
	}
	if e != 0 {
		_ = unlinkat(own, t.cname(metaTmpName), 0)
	}
	return e
}

// overwrite is replace for metadata that has other names besides: the new text is
// written at once, with empty lines over what is left of the old, which then goes.
func (k *fileMeta) overwrite(t *thread, dir *node, name []byte, md *metadata) unix.Errno {
	fd, e := dir.pin(t)
	if e != 0 {
		return e
	}
	defer dir.unpin()
	file, e := openat2(t, fd, recordPath(t, name), unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0, resolveName)
	if e != 0 {
		return e
	}
	defer k.fs.fds.close(file)
	if e := statx(t, file, empty, unix.AT_EMPTY_PATH, unix.STATX_SIZE); e != 0 {
		return e
	}
	old := int(min(t.stx.Size, maxRecord))
	text := md.appendRecord(t.buffer()[:0])
	size := len(text)
	if e := writeStart(file, blankTo(text, old)); e != 0 {
		return e
	}
	return ftruncate(file, uint64(size))
}

// blankTo makes text as long as the old one that it goes over, with empty lines.
func blankTo(text []byte, old int) []byte {
	for len(text) < old {
		text = append(text, '\n')
	}
	return text
}
