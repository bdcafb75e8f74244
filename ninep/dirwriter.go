// SPDX-License-Identifier: Apache-2.0

package ninep

// maxDirData bounds the buffer that a Call keeps for directory entries. A reply
// need not be full, so a larger msize gains nothing but memory here.
const maxDirData = 64 << 10

// DirEntry is one entry in the data of an Rreaddir: qid[13] offset[8] type[1]
// name[s].
type DirEntry struct {
	QID    QID
	Offset uint64 // Treaddir goes on after this entry when given this
	Type   uint8  // DT_*
	Name   Name
}

func (e *DirEntry) fields(c *coder) {
	c.qid(&e.QID)
	c.u64(&e.Offset)
	c.u8(&e.Type)
	c.str(&e.Name)
}

// ParseDirEntry decodes the first entry of data, and returns what follows it. It
// reports false if data is not a whole entry.
func ParseDirEntry(data []byte, e *DirEntry) (rest []byte, ok bool) {
	c := coder{b: data}
	e.fields(&c)
	if c.bad {
		return nil, false
	}
	return data[c.off:], true
}

// DirWriter encodes directory entries of an Rreaddir.
type DirWriter struct {
	buf     []byte
	n       int
	refused bool
}

// NewDirWriter returns a DirWriter that encodes to buf.
func NewDirWriter(buf []byte) *DirWriter { return &DirWriter{buf: buf} }

// Add encodes one entry and reports whether it fitted. offset is the cookie by which
// ReadDir goes on after this entry; typ is the DT_* value.
func (w *DirWriter) Add(qid QID, offset uint64, typ uint8, name []byte) bool {
	c := coder{b: w.buf[w.n:], enc: true}
	e := DirEntry{QID: qid, Offset: offset, Type: typ, Name: name}
	e.fields(&c)
	if c.bad {
		w.refused = true
		return false
	}
	w.n += c.off
	return true
}

// Remaining returns the number of bytes that are still free.
func (w *DirWriter) Remaining() int { return len(w.buf) - w.n }

// Bytes returns the entries that were added.
func (w *DirWriter) Bytes() []byte { return w.buf[:w.n] }
