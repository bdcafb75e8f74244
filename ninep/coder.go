// SPDX-License-Identifier: Apache-2.0

package ninep

import "encoding/binary"

// coder is a cursor over one message. The fields method of a message names its
// fields once, in wire order, and the cursor either reads or writes them. A field
// that does not fit makes the cursor bad for good, so that a list of fields is
// checked once, at its end; fields read after that keep their values.
type coder struct {
	b   []byte
	off int
	enc bool
	bad bool
	// base leaves out the fields that 9P2000 does not have.
	base bool
}

// coder returns a cursor that reads a message of the dialect.
func (d Dialect) coder(b []byte) coder { return coder{b: b, base: d == Dialect2000} }

// take returns the next n bytes, nil if there are fewer.
func (c *coder) take(n int) []byte {
	if n > len(c.b)-c.off {
		c.fail()
		return nil
	}
	p := c.b[c.off : c.off+n : c.off+n]
	c.off += n
	return p
}

// fail makes every later take of one byte or more fail too.
func (c *coder) fail() {
	c.b, c.off, c.bad = nil, 0, true
}

// exact reports whether the list of fields ended where the message does.
func (c *coder) exact() bool { return !c.bad && c.off == len(c.b) }

func (c *coder) u8(v *uint8) {
	if p := c.take(1); p != nil {
		if c.enc {
			p[0] = *v
		} else {
			*v = p[0]
		}
	}
}

func (c *coder) u16(v *uint16) {
	if p := c.take(2); p != nil {
		if c.enc {
			binary.LittleEndian.PutUint16(p, *v)
		} else {
			*v = binary.LittleEndian.Uint16(p)
		}
	}
}

func (c *coder) u32(v *uint32) {
	if p := c.take(4); p != nil {
		if c.enc {
			binary.LittleEndian.PutUint32(p, *v)
		} else {
			*v = binary.LittleEndian.Uint32(p)
		}
	}
}

func (c *coder) u64(v *uint64) {
	if p := c.take(8); p != nil {
		if c.enc {
			binary.LittleEndian.PutUint64(p, *v)
		} else {
			*v = binary.LittleEndian.Uint64(p)
		}
	}
}

// str is a string[s]: a length of 16 bits and that many bytes. When reading, the
// name lies in the message.
func (c *coder) str(v *Name) {
	n := uint16(len(*v))
	if c.enc && len(*v) > 0xffff {
		c.fail()
		return
	}
	c.u16(&n)
	if p := c.take(int(n)); p != nil {
		if c.enc {
			copy(p, *v)
		} else {
			*v = p
		}
	} else if !c.enc {
		*v = nil
	}
}

// data is a count of 32 bits and that many bytes.
func (c *coder) data(v *[]byte) {
	n := uint32(len(*v))
	c.u32(&n)
	if uint64(n) > uint64(len(c.b)-c.off) {
		c.fail()
		return
	}
	if p := c.take(int(n)); c.enc {
		copy(p, *v)
	} else {
		*v = p
	}
}

func (c *coder) qid(v *QID) {
	if c.enc && c.base && v.Type == QTSymlink {
		v = &QID{Type: QTFile, Version: v.Version, Path: v.Path} // symlinks are an extension
	}
	c.u8((*uint8)(&v.Type))
	c.u32(&v.Version)
	c.u64(&v.Path)
}

// time is seconds and nanoseconds of 64 bits each. Nanoseconds that do not fit in
// 32 bits are read as all ones, which no handler takes for a time.
func (c *coder) time(v *Time) {
	sec, nsec := uint64(v.Sec), uint64(v.Nsec)
	c.u64(&sec)
	c.u64(&nsec)
	if !c.enc && !c.bad {
		v.Sec, v.Nsec = int64(sec), uint32(min(nsec, 0xffffffff))
	}
}
