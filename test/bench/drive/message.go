// SPDX-License-Identifier: Apache-2.0

package drive

import (
	"encoding/binary"

	"golang.org/x/sys/unix"

	"vhost-user-9p/virtqueue/virtqtest"
)

// message is a request and the room for its reply, in guest memory.
type message struct {
	name           string
	request, reply []byte         // but for payload
	payload        []byte         // of either
	desc           virtqtest.Desc // what stands for it on the ring: a table of descriptors

	written uint32     // the reply's length, 0 if it is not always the same
	errno   unix.Errno // that is expected

	// If set, before changes in the request what differs each time.
	before func()
	// If set, after looks at the reply, and says whether the message is to be sent again.
	after func(written uint32) (again bool)
}

// encoder appends to a message, little-endian.
type encoder []byte

func (e encoder) u8(v uint8) encoder    { return append(e, v) }
func (e encoder) u16(v uint16) encoder  { return binary.LittleEndian.AppendUint16(e, v) }
func (e encoder) u32(v uint32) encoder  { return binary.LittleEndian.AppendUint32(e, v) }
func (e encoder) u64(v uint64) encoder  { return binary.LittleEndian.AppendUint64(e, v) }
func (e encoder) cstr(s string) encoder { return append(append(e, s...), 0) }
func (e encoder) str(s string) encoder  { return append(e.u16(uint16(len(s))), s...) } // 9P's
func (e encoder) raw(b encoder) encoder { return append(e, b...) }
func get32(b []byte, off int) uint32    { return binary.LittleEndian.Uint32(b[off:]) }
func get64(b []byte, off int) uint64    { return binary.LittleEndian.Uint64(b[off:]) }
func put64(b []byte, off int, v uint64) { binary.LittleEndian.PutUint64(b[off:], v) }
