// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"math"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath/fsid"
)

// mounts knows in which directory entries the inode number is not that of the file
// a walk comes to.
type mounts struct {
	fd     int32  // /proc/self/mountinfo, or -1
	forget func() // called when the table has changed, under mu

	mu    sync.Mutex
	poll  unix.PollFd
	names map[uint32]*mountPoints // by the mount they are on; nil: read again
}

// mountPoints are last elements of mount points. That the directory is not among
// it makes it a filter: an entry of that name may be one.
type mountPoints struct {
	names   map[string]struct{}
	lengths uint64 // bit n (the last: or more) is set if a name is so long
}

func (p *mountPoints) add(name string) {
	p.names[name] = struct{}{}
	p.lengths |= lengthBit(len(name))
}

// have reports whether name is one of them. It takes nil. Most entries are none, and of a
// length that none has, which takes a tenth of the time to see.
func (p *mountPoints) have(name []byte) bool {
	if p == nil || p.lengths&lengthBit(len(name)) == 0 {
		return false
	}
	_, ok := p.names[string(name)]
	return ok
}

func lengthBit(n int) uint64 { return 1 << min(n, 63) }

// dirLook says which entries of a directory must be looked at: with the zero value all.
type dirLook struct {
	points *mountPoints
	// types has bit n set if an entry of type n need not be looked at for that.
	types uint64
	// oddLengths is the mountPoints' lengths, and those of names that are empty or too long.
	oddLengths uint64
}

// lookAt returns a dirLook for n, in which there are mount points of those names.
func lookAt(n *node, points *mountPoints) dirLook {
	l := dirLook{
		points:     points,
		types:      2<<unix.DT_SOCK - 1<<unix.DT_FIFO, // not unknown, nor something new
		oddLengths: lengthBit(0) | lengthBit(math.MaxInt),
	}
	if points != nil {
		l.oddLengths |= points.lengths
	}
	if n.traits&subvolumes != 0 {
		l.types &^= 1 << unix.DT_DIR
	}
	return l
}

// trusts reports whether the type and the inode number of ent may be what the directory says.
func (l *dirLook) trusts(ent *dirent) bool {
	return l.types>>ent.typ&1 != 0 && ent.ino != 0 && ent.ino != math.MaxUint32 // FUSE: not known
}

// plain reports whether ent is an entry like most: nothing of what may be special about one can
// be so about it. It need not be looked at, and its name is neither a dot entry's nor one that is
// hidden, nor too long.
func (l *dirLook) plain(ent *dirent) bool {
	return l.trusts(ent) && l.oddLengths&lengthBit(len(ent.name)) == 0 && ent.name[0] != '.'
}

// needed reports whether ent of the directory n must be looked at.
func (l *dirLook) needed(n *node, ent *dirent) bool {
	return !l.trusts(ent) || n.mountRoot && string(ent.name) == ".." || l.points.have(ent.name)
}

// look returns what must be looked at in the directory n.
func (m *mounts) look(n *node) dirLook {
	if m.fd < 0 || n.traits&ownNumbers != 0 {
		return dirLook{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refreshLocked()
	if m.names == nil && !m.readLocked() {
		return dirLook{}
	}
	return lookAt(n, m.names[n.mnt])
}

// refresh drops what rests on the table if that has changed.
func (m *mounts) refresh() {
	if m.fd < 0 {
		m.forget() // for all that is known
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refreshLocked()
}

func (m *mounts) refreshLocked() {
	m.poll.Fd, m.poll.Events = m.fd, unix.POLLPRI
	// The kernel tells a change once, by POLLERR and POLLPRI: what it means is done
	// before somebody else can ask.
	if changed, e := ppollNow(&m.poll); changed || e != 0 {
		m.names = nil
		m.forget()
	}
}

// text returns the table, or nothing.
func (m *mounts) text() []byte {
	if m.fd < 0 {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	text, e := readAll(m.fd)
	if e != 0 {
		return nil
	}
	return text
}

// readLocked reads the mount table.
func (m *mounts) readLocked() bool {
	m.names = nil
	table, e := readAll(m.fd)
	if e != 0 {
		return false
	}
	m.names = make(map[uint32]*mountPoints)
	for mount := range fsid.Mounts(table) {
		name := mount.Point[strings.LastIndexByte(mount.Point, '/')+1:]
		if name == "" {
			continue
		}
		if m.names[mount.Parent] == nil {
			m.names[mount.Parent] = &mountPoints{names: make(map[string]struct{})}
		}
		m.names[mount.Parent].add(name)
	}
	return true
}

// readAll reads a file of the kernel's from its beginning.
func readAll(fd int32) ([]byte, unix.Errno) {
	buf := make([]byte, 0, 16<<10)
	for {
		if cap(buf)-len(buf) < 8<<10 {
			buf = append(make([]byte, 0, 2*cap(buf)), buf...)
		}
		n, err := unix.Pread(int(fd), buf[len(buf):cap(buf)], int64(len(buf)))
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, err.(unix.Errno)
		case n == 0:
			return buf, 0
		default:
			buf = buf[:len(buf)+n]
		}
	}
}
