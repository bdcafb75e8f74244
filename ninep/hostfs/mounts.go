// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"bytes"
	"math"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// mounts knows in which directory entries the inode number is not that of the file
// a walk comes to.
type mounts struct {
	fd int32 // /proc/self/mountinfo, or -1

	mu    sync.Mutex
	poll  unix.PollFd
	names map[uint32]mountPoints // by the mount they are on; nil: read again
}

// mountPoints are last elements of mount points. That the directory is not among
// it makes it a filter: an entry of that name may be one.
type mountPoints map[string]struct{}

// dirLook says which entries of a directory must be looked at.
type dirLook struct {
	points mountPoints
	all    bool
}

// look returns what must be looked at in the directory n.
func (m *mounts) look(n *node) dirLook {
	if m.fd < 0 || n.traits&ownNumbers != 0 {
		return dirLook{all: true}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.poll.Fd, m.poll.Events = m.fd, unix.POLLPRI
	// The kernel tells a change of the mount table once, by POLLERR and POLLPRI.
	if changed, e := ppollNow(&m.poll); changed || e != 0 || m.names == nil {
		if !m.readLocked() {
			return dirLook{all: true}
		}
	}
	return dirLook{points: m.names[n.mnt]}
}

// needed reports whether ent of the directory n must be looked at.
func (l dirLook) needed(n *node, ent *dirent) bool {
	switch {
	case l.all,
		ent.typ == unix.DT_UNKNOWN || ent.typ > unix.DT_SOCK, // or something new
		ent.typ == unix.DT_DIR && n.traits&subvolumes != 0,
		ent.ino == 0 || ent.ino == math.MaxUint32, // FUSE: not known
		n.mountRoot && string(ent.name) == "..":
		return true
	}
	if l.points == nil {
		return false
	}
	_, ok := l.points[string(ent.name)]
	return ok
}

// readLocked reads the mount table.
func (m *mounts) readLocked() bool {
	m.names = nil
	table, e := readAll(m.fd)
	if e != 0 {
		return false
	}
	m.names = make(map[uint32]mountPoints)
	for line := range bytes.Lines(table) {
		parent, name, ok := parseMount(line)
		if !ok {
			continue
		}
		if m.names[parent] == nil {
			m.names[parent] = make(mountPoints)
		}
		m.names[parent][name] = struct{}{}
	}
	return true
}

// parseMount returns the last element of a mount point and the mount that it is on:
//
//	36 35 98:0 /root /mnt/point rw - ext3 /dev/root rw
func parseMount(line []byte) (parent uint32, name string, ok bool) {
	fields := bytes.SplitN(line, []byte{' '}, 6)
	if len(fields) < 6 {
		return 0, "", false
	}
	id, err := strconv.ParseUint(string(fields[1]), 10, 32)
	if err != nil {
		return 0, "", false
	}
	point := fields[4]
	last := unescape(point[bytes.LastIndexByte(point, '/')+1:])
	return uint32(id), last, last != ""
}

// unescape undoes the kernel's \ooo for white space and backslashes.
func unescape(s []byte) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if v, err := strconv.ParseUint(string(s[i+1:i+4]), 8, 8); err == nil {
				out = append(out, byte(v))
				i += 3
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
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
