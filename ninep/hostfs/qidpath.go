// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"errors"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/qidpath"
	"vhost-user-9p/qidpath/fsid"
)

// path returns the QID path of the file key that fd (O_PATH) is, and which was found
// from the node from, or without one (nil). It is unsettled.
func (fs *FS) path(fd int32, key *nodeKey, from *node) (uint64, unix.Errno) {
	if fs.devices.how != Remap {
		return fs.inodePath(key.dev, key.ino)
	}
	// As long as fd is open its file system has its number. So what the table of
	// mounts says after fd was opened is no older than what fd is.
	if from == nil || from.mnt != key.mnt || from.dev != key.dev {
		fs.mounts.refresh()
		if from != nil && from.traits&subvolumes != 0 {
			// They come and go, and leave their numbers to others, without a mount.
			if e := fs.identify(fd, key); e != 0 {
				return 0, e
			}
		}
	}
	for {
		path, err := fs.qidPaths.PathUnsettled(devOf(key.dev), key.ino)
		if err == nil {
			return path, 0
		}
		if !errors.Is(err, qidpath.ErrUnknownDevice) {
			return 0, pathError(err)
		}
		if e := fs.identify(fd, key); e != 0 {
			return 0, e
		}
	}
}

// entryPath returns the QID path of what was found to be key under name in the
// directory dir. It is unsettled.
func (fs *FS) entryPath(t *thread, dir *node, name *byte, key *nodeKey) (uint64, unix.Errno) {
	if fs.devices.how != Remap {
		return fs.inodePath(key.dev, key.ino)
	}
	if dir.dev == key.dev {
		path, err := fs.qidPaths.PathUnsettled(devOf(key.dev), key.ino)
		if err == nil {
			return path, 0
		}
		if !errors.Is(err, qidpath.ErrUnknownDevice) {
			return 0, pathError(err)
		}
	}
	return fs.identifyEntry(t, dir, name, key)
}

// span returns what tells the paths of the entries of dir that have the inode prefix of ino, if
// their table does, and they are on the file system of dir.
func (fs *FS) span(dir *node, ino uint64) qidpath.Span {
	if fs.devices.how != Remap {
		return qidpath.Span{}
	}
	return fs.qidPaths.Span(devOf(dir.dev), ino)
}

// identifyEntry is entryPath for an entry of a file system that has no paths yet, or of another one
// than the directory's.
func (fs *FS) identifyEntry(t *thread, dir *node, name *byte, key *nodeKey) (uint64, unix.Errno) {
	fd, e := dir.pin(t)
	if e != 0 {
		return 0, e
	}
	defer dir.unpin()
	if dir.dev == key.dev { // so the directory tells as well
		return fs.path(fd, key, dir)
	}
	resolve := uint64(resolveName)
	if name == dotdot {
		resolve = resolveUp
	}
	if fd, e = openat2(t, fd, name, openPath, 0, resolve); e != 0 {
		return 0, e
	}
	defer fs.fds.close(fd)
	if e := statx(t, fd, empty, unix.AT_EMPTY_PATH, statxIdentity); e != 0 {
		return 0, e
	}
	found := keyOf(&t.stx)
	return fs.path(fd, &found, dir)
}

// pathError says that there are no paths any more, as QEMU does.
func pathError(err error) unix.Errno {
	if e, ok := ninep.Errno(err); ok {
		return e
	}
	return unix.ENFILE
}

// identify finds out which file system has the number of the file key, which fd is.
func (fs *FS) identify(fd int32, key *nodeKey) unix.Errno {
	id, err := fsid.Of(int(fd), int(fs.procFD))
	if err != nil {
		fs.log.Warn("file system not identified", "major", key.dev>>20, "minor", key.dev&0xfffff, "error", err)
		if errors.Is(err, unix.EMFILE) {
			return unix.ENFILE
		}
		return errnoOf(err)
	}
	var twins []uint64
	if id != (fsid.Identity{}) {
		twins = fs.twins(key, id)
	}
	fs.qidPaths.Bind(devOf(key.dev), id, twins)
	return 0
}

// twins returns the other device numbers that guests can reach and whose file systems
// have the identity of the one that the file key is on.
func (fs *FS) twins(key *nodeKey, id fsid.Identity) []uint64 {
	path, e := fs.hostPath(&thread{fs: fs}, fs.topFD, make([]byte, unix.PathMax))
	if e != 0 {
		return nil
	}
	text, fsType := fs.mounts.text(), ""
	for m := range fsid.Mounts(text) {
		if m.ID == key.mnt {
			fsType = m.Type
		}
	}
	dev := devOf(key.dev)
	same := func(m *fsid.Mount) bool { return m.Type == fsType && m.Dev != dev }
	var twins []uint64
	for _, l := range fsid.Beneath(int(fs.topFD), int(fs.procFD), string(path), text, same) {
		if l.Identity == id && l.Dev != dev {
			twins = append(twins, l.Dev)
		}
	}
	return twins
}
