// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"encoding/binary"
	"math"

	"vhost-user-9p/virtqueue/virtqtest"
)

// span is a range of guest-physical memory.
type span struct{ addr, len uint64 }

// area is a region as the model knows it: where the bytes of a range of guest memory lie in
// the file behind it.
type area struct{ addr, len, offset uint64 }

// refDevice is a device that does what the specification says, and nothing that makes it
// fast: it knows memory byte by byte and merges nothing. Unlike a real one it may look
// at memory as often as it likes, since nobody writes meanwhile.
type refDevice struct {
	file     []byte // what there is of it; the rest is zero
	areas    []area
	ring     virtqtest.Layout
	base     uint64 // guest address of the first byte of file
	indirect bool
	next     uint16
}

type outcome int

const (
	nothing outcome = iota // no chain is available
	corrupt                // the ring is
	bad                    // a malformed chain
	good
)

// byteAt returns one byte of guest memory.
func (m *refDevice) byteAt(addr uint64) (b byte, ok bool) {
	for _, a := range m.areas {
		if addr-a.addr < a.len {
			if off := a.offset + (addr - a.addr); off < uint64(len(m.file)) {
				b = m.file[off]
			}
			return b, true
		}
	}
	return 0, false
}

// pieces returns the parts of a range of guest memory, one for each area; nil if some of it
// is not there.
func (m *refDevice) pieces(addr, n uint64) (parts []span, ok bool) {
	for n > 0 {
		part := uint64(0)
		for _, a := range m.areas {
			if addr-a.addr < a.len {
				part = min(n, a.len-(addr-a.addr))
			}
		}
		if part == 0 {
			return nil, false
		}
		parts = append(parts, span{addr, part})
		addr += part
		n -= part
	}
	return parts, true
}

func (m *refDevice) le16(addr uint64) uint16 { return binary.LittleEndian.Uint16(m.file[addr-m.base:]) }

// descAt reads the descriptor i of a table.
func (m *refDevice) descAt(table uint64, i int) (d virtqtest.Desc, ok bool) {
	var b [16]byte
	for k := range b {
		if b[k], ok = m.byteAt(table + uint64(16*i+k)); !ok {
			return d, false
		}
	}
	return virtqtest.Desc{
		Addr:  binary.LittleEndian.Uint64(b[:]),
		Len:   binary.LittleEndian.Uint32(b[8:]),
		Flags: binary.LittleEndian.Uint16(b[12:]),
		Next:  binary.LittleEndian.Uint16(b[14:]),
	}, true
}

// pop takes the next chain and follows it.
func (m *refDevice) pop() (o outcome, head uint16, readable, writable []span) {
	waiting := m.le16(m.ring.Avail+2) - m.next
	switch {
	case waiting == 0:
		return nothing, 0, nil, nil
	case int(waiting) > m.ring.Size:
		return corrupt, 0, nil, nil
	}
	head = m.le16(m.ring.Avail + 4 + 2*uint64(int(m.next)%m.ring.Size))
	if int(head) >= m.ring.Size {
		return corrupt, 0, nil, nil
	}
	m.next++
	readable, writable, ok := m.walk(head)
	if !ok {
		return bad, head, nil, nil
	}
	return good, head, readable, writable
}

func (m *refDevice) walk(head uint16) (readable, writable []span, ok bool) {
	table, size, inTable := m.ring.Desc, m.ring.Size, false
	var read, written uint64
	seenWritable := false
	seen := map[uint16]bool{}
	for i := head; ; {
		if int(i) >= size || seen[i] {
			return nil, nil, false
		}
		seen[i] = true
		d, ok := m.descAt(table, int(i))
		if !ok {
			return nil, nil, false
		}
		if d.Flags&virtqtest.Indirect != 0 {
			n := int(d.Len / 16)
			if !m.indirect || inTable || d.Flags&virtqtest.Next != 0 || d.Len%16 != 0 || n == 0 || n > max(1024, m.ring.Size) {
				return nil, nil, false
			}
			if _, ok := m.pieces(d.Addr, uint64(d.Len)); !ok {
				return nil, nil, false // all of it, though it need not be used
			}
			table, size, inTable, i = d.Addr, n, true, 0
			seen = map[uint16]bool{}
			continue
		}
		parts, ok := m.pieces(d.Addr, uint64(d.Len))
		switch {
		case !ok:
			return nil, nil, false
		case d.Flags&virtqtest.Write != 0:
			seenWritable = true
			writable = append(writable, parts...)
			written += uint64(d.Len)
		case seenWritable:
			return nil, nil, false
		default:
			readable = append(readable, parts...)
			read += uint64(d.Len)
		}
		if read > math.MaxInt32 || written > math.MaxInt32 {
			return nil, nil, false
		}
		if d.Flags&virtqtest.Next == 0 {
			return readable, writable, true
		}
		i = d.Next
	}
}

// push gives a chain back.
func (m *refDevice) push(head uint16, written uint32) {
	used := m.file[m.ring.Used-m.base:]
	idx := binary.LittleEndian.Uint16(used[2:])
	entry := used[4+8*(int(idx)%m.ring.Size):]
	binary.LittleEndian.PutUint32(entry, uint32(head))
	binary.LittleEndian.PutUint32(entry[4:], written)
	binary.LittleEndian.PutUint16(used[2:], idx+1)
	// The device's flags: bit 0 as it was, the rest is 0.
	binary.LittleEndian.PutUint16(used, binary.LittleEndian.Uint16(used)&1)
}

// joined returns spans with those that touch as one.
func joined(spans []span) (out []span) {
	for _, s := range spans {
		if last := len(out) - 1; last >= 0 && out[last].addr+out[last].len == s.addr {
			out[last].len += s.len
		} else {
			out = append(out, s)
		}
	}
	return out
}
