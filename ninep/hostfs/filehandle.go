// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"sync"

	"golang.org/x/sys/unix"
)

// fileHandle is struct file_handle: a file system's own name for an inode, which stays
// with it through renames, and is no other's after its end.
type fileHandle struct {
	size uint32
	typ  int32
	data [maxHandle]byte

	str [1 + maxHandle]byte // see pack; not the kernel's
}

const (
	maxHandle     = 128 // MAX_HANDLE_SZ
	maxHandleType = 0xff
)

// pack returns the handle as a string: its type, and its bytes. It lies in h.
func (h *fileHandle) pack() []byte {
	return append(append(h.str[:0], byte(h.typ)), h.data[:h.size]...)
}

// unpack is the reverse of pack.
func (h *fileHandle) unpack(s []byte) {
	h.typ = int32(s[0])
	h.size = uint32(copy(h.data[:], s[1:]))
}

// fileHandles knows on which mounts files can be found by their handles.
type fileHandles struct {
	fs  *FS
	off bool // nowhere

	mu     sync.Mutex
	mounts map[uint32]*handleMount
}

// handleMount is a mount on which it was tried.
type handleMount struct {
	fd    int32 // a directory on it, open for reading; -1 if handles are of no use
	nodes int   // cold ones on it
}

// enter takes note that n, whose descriptor is fd, will be brought back by its handle, until
// leave. It reports false if that is not possible.
func (fh *fileHandles) enter(t *thread, n *node, fd int32) bool {
	if fh.off || n.traits&volatileHandles != 0 {
		return false
	}
	m := fh.join(n.mnt)
	if m == nil {
		dir, e := fh.probe(t, n, fd)
		if e == unix.EAGAIN {
			return false
		}
		m = fh.add(n.mnt, dir)
	}
	return m.fd >= 0
}

// join returns the mount if it is known, with one more node if handles are of use there.
func (fh *fileHandles) join(mnt uint32) *handleMount {
	fh.mu.Lock()
	defer fh.mu.Unlock()
	m := fh.mounts[mnt]
	if m != nil && m.fd >= 0 {
		m.nodes++
	}
	return m
}

// add returns the mount, with one more node. It takes over dir, which is -1 if the
// mount's handles are of no use.
func (fh *fileHandles) add(mnt uint32, dir int32) *handleMount {
	fh.mu.Lock()
	defer fh.mu.Unlock()
	m := fh.mounts[mnt]
	switch {
	case m == nil:
		if fh.mounts == nil {
			fh.mounts = make(map[uint32]*handleMount)
		}
		m = &handleMount{fd: dir}
		fh.mounts[mnt] = m
	case dir >= 0:
		fh.fs.fds.close(dir)
	}
	if m.fd >= 0 {
		m.nodes++
	}
	return m
}

// leave ends what enter began. The last node of a mount leaves it alone, so that it can
// be unmounted.
func (fh *fileHandles) leave(mnt uint32) {
	fh.mu.Lock()
	m := fh.mounts[mnt]
	m.nodes--
	last := m.nodes == 0 && m.fd >= 0 && mnt != fh.fs.attaches.root.root.mnt
	if last {
		delete(fh.mounts, mnt)
	}
	fh.mu.Unlock()
	if last {
		fh.fs.fds.close(m.fd)
	}
}

// mountFD returns the descriptor for a mount that cold nodes are on.
func (fh *fileHandles) mountFD(mnt uint32) int32 {
	fh.mu.Lock()
	defer fh.mu.Unlock()
	return fh.mounts[mnt].fd
}

// close gives back what fh holds.
func (fh *fileHandles) close() {
	for _, m := range fh.mounts {
		if m.fd >= 0 {
			fh.fs.fds.close(m.fd)
		}
	}
	fh.mounts = nil
}

// probe finds out whether n, whose descriptor is fd, can be found by its handle, and
// returns the descriptor that takes, or -1. EAGAIN means that it is not known.
func (fh *fileHandles) probe(t *thread, n *node, fd int32) (int32, unix.Errno) {
	if nameToHandle(t, fd) != 0 {
		return -1, 0
	}
	handle := append([]byte(nil), t.fh.pack()...)
	dir, e := fh.directoryOn(t, n, fd)
	if e != 0 {
		return -1, e
	}
	again, e := openByHandle(t, dir, handle)
	if e == 0 {
		e = statx(t, again, empty, unix.AT_EMPTY_PATH, statxIdentity)
		if e == 0 && keyOf(&t.stx) != n.nodeKey {
			e = unix.ESTALE
		}
		fh.fs.fds.close(again)
	}
	if e != 0 {
		fh.fs.fds.close(dir)
		return -1, 0
	}
	return dir, 0
}

// directoryOn opens a directory on n's mount: the export's root, or n, or the one it is
// in.
func (fh *fileHandles) directoryOn(t *thread, n *node, fd int32) (int32, unix.Errno) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC
	root := fh.fs.attaches.root.root
	dir := root
	switch {
	case n.isDir():
		return openat(t, fd, dot, flags)
	case n.mnt != root.mnt:
		var e unix.Errno
		if dir, _, e = fh.fs.whereIs(t, root, n, fd); e != 0 {
			return -1, unix.EAGAIN
		}
		defer fh.fs.nodes.put(dir)
	}
	if dir.mnt != n.mnt {
		return -1, unix.EAGAIN
	}
	dirFD, e := dir.pin(t)
	if e != 0 {
		return -1, unix.EAGAIN
	}
	defer dir.unpin()
	return openat(t, dirFD, dot, flags)
}
