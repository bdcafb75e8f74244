// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"sync"

	"golang.org/x/sys/unix"
)

// dirReader is how far Tread has come in a directory. The offsets of 9P2000.u are
// bytes of the stats that were read, which mean nothing to a file system: so a
// client can only go on where it is, or begin again. It may also ask again for what
// it got last, for it drops a reply that comes while a signal interrupts it.
type dirReader struct {
	mu          sync.Mutex
	last, ahead dirPlace // where the last Tread began, and where it ended
}

// dirPlace is an offset of the client's and the backend's cookie for it.
type dirPlace struct{ off, cookie uint64 }

// find returns the place that the client means by off.
func (d *dirReader) find(off uint64) (dirPlace, error) {
	switch off {
	case 0:
		return dirPlace{}, nil
	case d.ahead.off:
		return d.ahead, nil
	case d.last.off:
		return d.last, nil
	}
	return dirPlace{}, unix.EINVAL
}

// Bounds of what is asked of the backend at once: its entries take a third of the
// room of the stats that come of them.
const (
	minDirBatch = entryHead + maxName
	maxDirBatch = 16 << 10
)

// readStats reads the entries of the directory f, as whole Stats, to the reply to a
// Tread of n bytes, and returns the number of bytes.
func (s *Session) readStats(c *Call, f *fid, off uint64, n int) (int, error) {
	st := &c.state
	d := &f.more.dir
	d.mu.Lock()
	defer d.mu.Unlock()
	from, err := d.find(off)
	if err != nil {
		return 0, err
	}
	batch := min(max(n/3, minDirBatch), maxDirBatch)
	buf := st.buffer(n + batch)
	out, list := buf[:n], buf[n:n+batch]
	used, cookie, full := 0, from.cookie, false
	for !full {
		w := &st.dir
		*w = DirWriter{buf: list}
		if err := f.file.ReadDir(c, cookie, w); err != nil {
			if used > 0 {
				break // it comes again
			}
			return 0, err
		}
		data := w.Bytes()
		if len(data) == 0 {
			break
		}
		for len(data) > 0 {
			var e DirEntry
			rest, ok := ParseDirEntry(data, &e)
			if !ok {
				return 0, unix.EIO
			}
			size, err := s.entryStat(c, f, &e, out[used:], used == 0)
			if err != nil {
				return 0, err
			}
			if full = size < 0; full {
				break
			}
			used += size
			data, cookie = rest, e.Offset
		}
	}
	if used == 0 && full {
		// No bytes would mean the end of the directory.
		return 0, unix.EINVAL
	}
	d.last, d.ahead = from, dirPlace{off + uint64(used), cookie}
	st.bytes = uint64(used)
	CopyTo(c.Out, readHeader, out[:used])
	return used, nil
}

// entryStat encodes an entry of the directory f to out and returns its size: 0 if
// there is nothing to show, less if it does not fit. With alone set, the extension
// is left out rather than that: no target of a symlink may keep a directory from
// being read.
func (s *Session) entryStat(c *Call, f *fid, e *DirEntry, out []byte, alone bool) (int, error) {
	st := &c.state
	dot, dotdot := string(e.Name) == ".", string(e.Name) == ".."
	if (dot || dotdot) && st.terms.dialect == Dialect2000 {
		return 0, nil // Plan 9 has no such entries
	}
	tmp := st.scratch[st.size:]
	var err error
	if dot {
		err = s.statOf(c, f.file, e.Name, tmp, &st.stat)
	} else {
		st.names[0] = e.Name
		var file File
		if file, _, err = f.file.Walk(c, st.names[:1], st.qids[:]); err == nil {
			err = s.statOf(c, file, e.Name, tmp, &st.stat)
			s.closeFile(c.Thread, file)
		}
	}
	if err != nil {
		if no, _ := Errno(err); no == unix.ENOENT {
			return 0, nil // it has vanished
		}
		// A name of which nothing can be learned is better than none.
		st.stat = Stat{
			QID: e.QID, Mode: permOf(uint32(e.Type)<<12, st.terms.dialect), Name: e.Name,
			NUID: NoUID, NGID: NoUID, NMUID: NoUID,
		}
	}
	for range 2 {
		st.encodeTo(out)
		st.stat.fields(&st.enc)
		if !st.enc.bad {
			return st.enc.off, nil
		}
		if !alone {
			break
		}
		st.stat.Extension = nil
	}
	return -1, nil
}
