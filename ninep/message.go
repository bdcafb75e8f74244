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

// AppendMessage appends the message m under tag to b. It fails with EMSGSIZE when
// a string is longer than its length field can say.
func AppendMessage(b []byte, tag uint16, m Message) ([]byte, error) {
	for room := 512; ; room *= 4 {
		start := len(b)
		buf := append(b, make([]byte, room)...)[start:]
		c := coder{b: buf[headerSize:], enc: true}
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
// its tag. Names and data in m lie in b. An Rlerror, unless m is one, is returned
// as its unix.Errno; a message that is malformed or of another type is EBADMSG.
func ParseMessage(b []byte, m Message) (uint16, error) {
	if len(b) < headerSize {
		return NoTag, unix.EBADMSG
	}
	size, typ, tag := getHeader(b)
	if uint64(size) != uint64(len(b)) {
		return tag, unix.EBADMSG
	}
	c := coder{b: b[headerSize:]}
	if typ == MsgRlerror && m.Type() != MsgRlerror {
		var e Rlerror
		e.fields(&c)
		if !c.exact() {
			return tag, unix.EBADMSG
		}
		return tag, unix.Errno(e.Ecode)
	}
	if typ != m.Type() {
		return tag, unix.EBADMSG
	}
	m.fields(&c)
	if !c.exact() {
		return tag, unix.EBADMSG
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
