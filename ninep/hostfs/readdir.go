// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"encoding/binary"
	"math/bits"
	"sync"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/qidpath"
)

// dirState is how far an open directory has been read. Requests on one fid can
// come at once.
type dirState struct {
	mu   sync.Mutex
	pos  uint64 // cookie at which the descriptor stands
	lost bool   // it stands elsewhere
}

// Sizes of entries. In a reply one takes 24 bytes and its name; from the kernel 19,
// its name and a NUL, rounded up to 8: at least 6/7 of that, so a batch of 6/7 of
// the room always fits, and the descriptor stands where the reply ends.
const (
	direntHead = 19
	minDirent  = 24
	maxDirent  = (direntHead + 1024 + 1 + 7) &^ 7 // FUSE has the longest names
)

func batchSize(room int) int { return room / 7 * 6 }

// ReadDir implements ninep.File. The cookies are the host's.
func (f *file) ReadDir(c *ninep.Call, off uint64, w *ninep.DirWriter) error {
	h := f.open
	if h == nil {
		return unix.EBADF
	}
	if !f.n.isDir() {
		return unix.ENOTDIR
	}
	t := f.thread(c)
	defer f.at.fs.qidPaths.Settle()
	look := f.at.fs.mounts.look(f.n)
	var span qidpath.Span // of the last entry whose path was looked up

	fd, e := h.pin(t)
	if e != 0 {
		return e
	}
	defer h.unpin()
	d := &h.dir
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lost || d.pos != off {
		if e := lseek(fd, off); e != 0 {
			return e
		}
		d.pos, d.lost = off, false
	}
	var ent dirent
	for added, again := false, false; ; {
		// If there is room for little, more is read than may fit, to get on at all.
		size := min(batchSize(w.Remaining()), bufSize)
		if size < maxDirent {
			if added {
				return nil
			}
			size = maxDirent
		}
		buf := t.buffer()[:size]
		n, e := getdents64(fd, buf)
		if e != 0 {
			if added {
				return nil
			}
			return e
		}
		if n == 0 {
			// ext4 finds nothing at the beginning when all that a descriptor was asked for
			// before is what comes after the end, as one that was opened again may have
			// been. The next time it does: and there is a dot entry, if nothing else.
			if d.pos == 0 && !again {
				again = true
				if e := lseek(fd, 0); e != 0 {
					return e
				}
				continue
			}
			return nil
		}
		for buf = buf[:n]; len(buf) > 0; {
			ent.parse(buf)
			buf = buf[ent.size:]
			path, ok := span.Path(ent.ino)
			qid := ninep.QID{Type: qidType(uint16(ent.typ) << 12), Path: path}
			if !ok || !look.plain(&ent) {
				var err error
				if qid, ok, err = f.entryQID(t, look, &ent); err != nil {
					d.lost = true
					if added {
						return nil
					}
					return err
				}
				span = f.at.fs.span(f.n, ent.ino)
			}
			if ok {
				if f.at.fs.meta != nil && ent.typ == unix.DT_REG {
					ent.typ = unix.DT_UNKNOWN // metadata says
				}
				if !w.Add(qid, ent.next, ent.typ, ent.name) {
					d.lost = true
					return nil
				}
				added = true
			}
			d.pos = ent.next
		}
	}
}

// dirent is an entry as the kernel gives it.
type dirent struct {
	ino, next uint64
	name      []byte
	size      int
	typ       uint8
}

// parse sets ent to the first entry in b. It fills ent in place: a copy of what was just
// written in parts costs a third of all that is done for an entry.
func (ent *dirent) parse(b []byte) {
	ent.ino = binary.NativeEndian.Uint64(b[0:])
	ent.next = binary.NativeEndian.Uint64(b[8:])
	ent.size = int(binary.NativeEndian.Uint16(b[16:]))
	ent.typ = b[18]
	// The NUL after the name is the first in the last 8 bytes, of which 3 belong to the head in an
	// entry of the least size.
	tail := binary.LittleEndian.Uint64(b[ent.size-8:])
	if ent.size == minDirent {
		tail |= 1<<24 - 1
	}
	const each = 0x0101010101010101
	nul := (tail - each) &^ tail & (each << 7)
	ent.name = b[direntHead : ent.size-8+bits.TrailingZeros64(nul)/8]
}

// entryQID returns the QID that a walk to the entry gives, but for the version, which is
// 0 for unknown: most entries are not looked at, and nobody asks. It fills in the entry's
// type, and reports false if the entry has vanished, or is out of the guest's reach
// because its name is too long: Linux would not show it any of the directory.
func (f *file) entryQID(t *thread, look dirLook, ent *dirent) (ninep.QID, bool, error) {
	switch {
	case len(ent.name) > maxName || f.at.fs.hidesName(ent.name):
		return ninep.QID{}, false, nil
	case string(ent.name) == ".":
		return ninep.QID{Type: ninep.QTDir, Path: f.n.path}, true, nil
	case string(ent.name) == ".." && f.n == f.at.root:
		return ninep.QID{Type: ninep.QTDir, Path: f.n.path}, true, nil
	}
	var name *byte // where it may lead to another device
	key := nodeKey{ino: ent.ino, dev: f.n.dev, mnt: f.n.mnt}
	if look.needed(f.n, ent) {
		if name = t.cname(ent.name); string(ent.name) == ".." {
			name = dotdot
		}
		switch e := f.n.statxEntry(t, name, statxIdentity); e {
		case 0:
			key = keyOf(&t.stx)
			ent.typ = uint8(t.stx.Mode >> 12)
		case unix.ENOENT:
			return ninep.QID{}, false, nil
		default: // what the directory says is better than no listing
		}
	}
	path, e := f.at.fs.entryPath(t, f.n, name, &key)
	if e == unix.ENOENT { // gone since
		return ninep.QID{}, false, nil
	}
	if e == unix.ENODEV {
		// It stands there, but may not be walked to: the number is that of what is covered.
		path, e = ent.ino, 0
	}
	if e != 0 {
		return ninep.QID{}, false, e
	}
	return ninep.QID{Type: qidType(uint16(ent.typ) << 12), Path: path}, true, nil
}
