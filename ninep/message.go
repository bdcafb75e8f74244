// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Message is the body of one T- or R-message: a pointer to one of the structs of
// this package that are named for messages.
type Message interface {
	// Type returns the type byte that goes with the body.
	Type() MsgType
	// fields names the fields in wire order.
	fields(c *coder)
}

// AppendMessage is AppendMessage of a dialect with extensions.
func AppendMessage(b []byte, tag uint16, m Message) ([]byte, error) {
	return Dialect2000L.AppendMessage(b, tag, m)
}

// ParseMessage is ParseMessage of a dialect with extensions.
func ParseMessage(b []byte, m Message) (uint16, error) { return Dialect2000L.ParseMessage(b, m) }

// AppendMessage appends the message m under tag to b. It fails with EMSGSIZE when
// a string is longer than its length field can say.
func (d Dialect) AppendMessage(b []byte, tag uint16, m Message) ([]byte, error) {
	for room := 512; ; room *= 4 {
		start := len(b)
		buf := append(b, make([]byte, room)...)[start:]
		c := d.coder(buf[headerSize:])
		c.enc = true
		m.fields(&c)
		if !c.bad {
			n := headerSize + c.off
			putHeader(buf, n, m.Type(), tag)
			return append(b, buf[:n]...), nil
		}
		if room > 64<<20 {
			return b, unix.EMSGSIZE
		}
	}
}

// ParseMessage decodes the message b, which must be of m's type, to m, and returns
// its tag. Names and data in m lie in b. An Rlerror or Rerror, unless m is one, is
// returned as its unix.Errno; a message that is malformed or of another type is
// EBADMSG.
func (d Dialect) ParseMessage(b []byte, m Message) (uint16, error) {
	if len(b) < headerSize {
		return NoTag, unix.EBADMSG
	}
	size, typ, tag := getHeader(b)
	if uint64(size) != uint64(len(b)) {
		return tag, unix.EBADMSG
	}
	c := d.coder(b[headerSize:])
	var failed unix.Errno
	switch {
	case typ == m.Type():
		m.fields(&c)
	case typ == MsgRlerror:
		var e Rlerror
		e.fields(&c)
		failed = unix.Errno(e.Ecode)
	case typ == MsgRerror:
		var e Rerror
		e.fields(&c)
		failed = unix.Errno(e.Errno)
		if c.base {
			failed = errnoOfText(e.EName)
		}
	default:
		return tag, unix.EBADMSG
	}
	if !c.exact() {
		return tag, unix.EBADMSG
	}
	if typ != m.Type() {
		return tag, failed
	}
	return tag, nil
}

func putHeader(b []byte, size int, t MsgType, tag uint16) {
	_ = b[headerSize-1]
	binary.LittleEndian.PutUint32(b, uint32(size))
	b[4] = byte(t)
	binary.LittleEndian.PutUint16(b[5:], tag)
}

func getHeader(b []byte) (size uint32, t MsgType, tag uint16) {
	_ = b[headerSize-1]
	return binary.LittleEndian.Uint32(b), MsgType(b[4]), binary.LittleEndian.Uint16(b[5:])
}
