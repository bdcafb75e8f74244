// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"golang.org/x/sys/unix"
)

// reservation is a name under which a file is being made.
type reservation struct {
	dir    *node
	name   []byte
	own    int32 // the directory of metadata
	unlock func()
}

// reserve stores the metadata of a file that is to be made, before others can see it.
// EEXIST if there is one of that name.
func (k *fileMeta) reserve(t *thread, dir *node, name []byte, md *metadata) (reservation, unix.Errno) {
	r := reservation{dir: dir, name: name, unlock: k.lockDirs(dir)}
	var e unix.Errno
	if r.own, e = k.openDir(t, dir, true); e != 0 {
		r.unlock()
		return r, e
	}
	lockOut(r.own)
	switch e = dir.statxEntry(t, t.cname(name), statxIdentity); e {
	case unix.ENOENT:
		e = k.replace(t, r.own, dir, name, md)
	case 0:
		e = unix.EEXIST
	}
	if e != 0 {
		k.endReservation(r)
	}
	return r, e
}

// settle ends a reservation when the file has been made, or could not be.
func (k *fileMeta) settle(t *thread, r reservation, made bool) {
	if !made {
		_ = unlinkat(r.own, t.cname(r.name), 0)
	}
	k.endReservation(r)
}

func (k *fileMeta) endReservation(r reservation) {
	k.fs.fds.close(r.own)
	r.unlock()
}

// metaDirs are the directories of metadata of one or two directories, opened and locked;
// -1 where there is none.
type metaDirs struct {
	fs       *FS
	from, to int32
	unlock   func()
}

func (d *metaDirs) close() {
	if d.to >= 0 && d.to != d.from {
		d.fs.fds.close(d.to)
	}
	if d.from >= 0 {
		d.fs.fds.close(d.from)
	}
	d.unlock()
}

// openDirs locks the names in from and to, and those in child if that is not nil. The
// directory of metadata in to is made if there is one in from.
func (k *fileMeta) openDirs(t *thread, from, to, child *node) (metaDirs, unix.Errno) {
	d := metaDirs{fs: k.fs, from: -1, to: -1, unlock: k.lockDirs(from, to, child)}
	fd, e := k.openDir(t, from, false)
	if e == 0 {
		d.from = fd
	}
	if e != 0 && e != unix.ENOENT {
		d.close()
		return d, e
	}
	if from.nodeKey == to.nodeKey {
		d.to = d.from
	} else if fd, e = k.openDir(t, to, d.from >= 0); e == 0 {
		d.to = fd
	} else if e != unix.ENOENT {
		d.close()
		return d, e
	}
	if d.to == d.from {
		flockDirs(from, d.from, to, -1)
	} else {
		flockDirs(from, d.from, to, d.to)
	}
	return d, 0
}

// hasEntry reports whether there is an entry in a directory of metadata.
func hasEntry(t *thread, own int32, name []byte) bool {
	return own >= 0 && statx(t, own, t.cname(name), statName, unix.STATX_TYPE) == 0
}

// link makes name in the directory to another name of from, and of its metadata.
func (k *fileMeta) link(t *thread, from *mapped, to *node, name []byte) unix.Errno {
	fs := k.fs
	for range maxRaces {
		p, e := k.find(t, from, false)
		if e != 0 {
			return e
		}
		dir, old := p.dir.hold(), p.name
		k.release(p)
		e = k.linkFrom(t, from, dir, old, to, name)
		fs.nodes.put(dir)
		if e != unix.EAGAIN {
			return e
		}
	}
	return unix.ENOENT
}

// linkFrom is link when from was just seen as old in the directory dir. EAGAIN if it is
// there no more.
func (k *fileMeta) linkFrom(t *thread, from *mapped, dir *node, old []byte, to *node, name []byte) unix.Errno {
	fs := k.fs
	d, e := k.openDirs(t, dir, to, nil)
	if e != 0 {
		return e
	}
	defer d.close()
	if !fs.entryIs(t, dir, t.cname(old), from.n) {
		return unix.EAGAIN
	}
	if to.statxEntry(t, t.cname(name), statxIdentity) == 0 {
		return unix.EEXIST
	}
	if d.to >= 0 {
		_ = unlinkat(d.to, t.cname(name), 0) // of a file that has gone
	}
	if hasEntry(t, d.from, old) {
		if e := linkat(d.from, t.cname(old), d.to, t.cname2(name), 0); e != 0 {
			return e
		}
	}
	if e := fs.linkNode(t, from.n, to, name); e != 0 {
		if d.to >= 0 {
			_ = unlinkat(d.to, t.cname(name), 0)
		}
		return e
	}
	k.moved(from.rec, to, name)
	return 0
}

// entry returns the node of an entry that is to be renamed or removed, with a reference,
// or nil if there is none.
func (k *fileMeta) entry(t *thread, dir *node, name []byte) (*node, unix.Errno) {
	n, e := k.fs.step(t, dir, name)
	if e == unix.ENOENT {
		return nil, 0
	}
	return n, e
}

// stands reports whether an entry is n still, or missing if that is nil.
func (k *fileMeta) stands(t *thread, dir *node, name []byte, n *node) bool {
	if n == nil {
		return dir.statxEntry(t, t.cname(name), statxIdentity) == unix.ENOENT
	}
	return k.fs.entryIs(t, dir, t.cname(name), n)
}

// keep remembers the metadata of an entry that is about to lose its name.
func (k *fileMeta) keep(t *thread, dir *node, name []byte, n *node) {
	if n == nil {
		return
	}
	if r := k.known(n); r != nil {
		if md, _, e := k.read(t, dir, name); e == 0 {
			r.remember(&md)
		}
		k.forget(n, r)
	}
}

// dirOrNil returns n if it is a directory.
func dirOrNil(n *node) *node {
	if n != nil && n.isDir() {
		return n
	}
	return nil
}

// rename moves an entry, with its metadata, over what may be there.
func (k *fileMeta) rename(t *thread, from *node, oldName []byte, to *node, newName []byte) unix.Errno {
	for range maxRaces {
		n, e := k.entry(t, from, oldName)
		if e != 0 {
			return e
		}
		if n == nil {
			return unix.ENOENT
		}
		over, e := k.entry(t, to, newName)
		if e == 0 {
			e = k.renameNode(t, n, from, oldName, over, to, newName)
			k.fs.nodes.put(over)
		}
		k.fs.nodes.put(n)
		if e != unix.EAGAIN {
			return e
		}
	}
	return unix.ENOENT
}

// renameNode is rename when the entries were n and over (nil for none) a moment ago. EAGAIN
// if that is no longer so.
//
// The metadata is linked before the rename: to its new name if nothing has that, so that
// there is no moment without; else to a name that then needs only be moved.
func (k *fileMeta) renameNode(t *thread, n *node, from *node, oldName []byte, over, to *node, newName []byte) unix.Errno {
	if n == over {
		return 0 // rename(2): two names of the same file
	}
	d, e := k.openDirs(t, from, to, dirOrNil(over))
	if e != 0 {
		return e
	}
	defer d.close()
	if !k.stands(t, from, oldName, n) || !k.stands(t, to, newName, over) {
		return unix.EAGAIN
	}
	k.keep(t, to, newName, over)
	staged, has := newName, hasEntry(t, d.from, oldName)
	if over != nil {
		staged = metaTmpName
	}
	if has {
		_ = unlinkat(d.to, t.cname2(staged), 0)
		if e := linkat(d.from, t.cname(oldName), d.to, t.cname2(staged), 0); e != 0 {
			return e
		}
	}
	e = renameEntry(t, from, oldName, to, newName)
	if (e == unix.ENOTEMPTY || e == unix.EEXIST) && n.isDir() && k.clear(t, over) {
		e = renameEntry(t, from, oldName, to, newName)
	}
	switch {
	case e != 0:
		if has {
			_ = unlinkat(d.to, t.cname2(staged), 0)
		}
		return e
	case has:
		if over != nil {
			e = renameat2(d.to, t.cname(staged), d.to, t.cname2(newName), 0)
		}
		_ = unlinkat(d.from, t.cname(oldName), 0)
	case d.to >= 0:
		_ = unlinkat(d.to, t.cname(newName), 0)
	}
	if r := k.known(n); r != nil {
		k.moved(r, to, newName)
		k.forget(n, r)
	}
	return e
}

// unlink removes an entry, and then its metadata.
func (k *fileMeta) unlink(t *thread, dir *node, name []byte, flags uint32) unix.Errno {
	for range maxRaces {
		n, e := k.entry(t, dir, name)
		if e != 0 {
			return e
		}
		if n == nil {
			return unix.ENOENT
		}
		e = k.unlinkNode(t, n, dir, name, flags)
		k.fs.nodes.put(n)
		if e != unix.EAGAIN {
			return e
		}
	}
	return unix.ENOENT
}

func (k *fileMeta) unlinkNode(t *thread, n, dir *node, name []byte, flags uint32) unix.Errno {
	d, e := k.openDirs(t, dir, dir, dirOrNil(n))
	if e != 0 {
		return e
	}
	defer d.close()
	if !k.stands(t, dir, name, n) {
		return unix.EAGAIN
	}
	k.keep(t, dir, name, n)
	e = unlinkEntry(t, dir, name, flags)
	if (e == unix.ENOTEMPTY || e == unix.EEXIST) && k.clear(t, n) {
		e = unlinkEntry(t, dir, name, flags)
	}
	if e == 0 && d.from >= 0 {
		_ = unlinkat(d.from, t.cname(name), 0)
	}
	return e
}

// clear takes its directory of metadata out of a directory that has nothing else, and
// reports whether it is empty then. What is in there is of files that have gone.
//
// Preconditions: the names in n are locked.
func (k *fileMeta) clear(t *thread, n *node) bool {
	fs := k.fs
	fd, e := n.pin(t)
	if e != 0 {
		return false
	}
	defer n.unpin()
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	list, e := openat2(t, fd, dot, flags, 0, resolveName)
	if e != 0 {
		return false
	}
	bare := eachEntry(t, list, func(name []byte) bool { return string(name) == string(metaDirName) })
	fs.fds.close(list)
	if !bare {
		return false
	}
	own, e := k.openDir(t, n, false)
	if e != 0 {
		return e == unix.ENOENT
	}
	defer fs.fds.close(own)
	if unix.Flock(int(own), unix.LOCK_EX|unix.LOCK_NB) == unix.EWOULDBLOCK {
		return false // another daemon is about to make something
	}
	for again := true; again; { // what is removed while it is listed may hide others
		again = false
		_ = lseek(own, 0)
		if !eachEntry(t, own, func(name []byte) bool {
			again = unlinkat(own, t.cname(name), 0) == 0
			return again
		}) {
			return false
		}
	}
	return unlinkat(fd, t.cname(metaDirName), unix.AT_REMOVEDIR) == 0
}

// eachEntry calls f for the entries of an open directory but "." and "..", until it returns
// false, and reports whether it never did. The names lie in t's buffer.
func eachEntry(t *thread, fd int32, f func(name []byte) bool) bool {
	var ent dirent
	for {
		n, e := getdents64(fd, t.buffer())
		if e != 0 {
			return false
		}
		if n == 0 {
			return true
		}
		for buf := t.buffer()[:n]; len(buf) > 0; {
			ent.parse(buf)
			buf = buf[ent.size:]
			if name := string(ent.name); name != "." && name != ".." && !f(ent.name) {
				return false
			}
		}
	}
}
