// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"encoding/binary"
	"math"

	"vhost-user-9p/virtqueue/virtqtest"
)

// refPacked is refDevice with a packed ring: indices and wrap counters as the specification has
// them, and every flag compared by itself.
type refPacked struct {
	refDevice
	nextIdx, usedIdx   int
	nextWrap, usedWrap bool
	inFlight           int // descriptors
}

// refChain is a chain that was taken.
type refChain struct {
	id                 uint16
	descs              int
	readable, writable []span
}

// packedDescAt reads a descriptor: the id is in Next.
func (m *refPacked) packedDescAt(table uint64, i int) (d virtqtest.Desc, ok bool) {
	d, ok = m.descAt(table, i)
	d.Flags, d.Next = d.Next, d.Flags
	return d, ok
}

// pop takes the next list of descriptors. Bad ones are given back.
func (m *refPacked) pop() (o outcome, c refChain) {
	i, wrap := m.nextIdx, m.nextWrap
	first := true
	isBad, seenWritable := false, false
	var read, written uint64
	take := func(d virtqtest.Desc) {
		parts, ok := m.pieces(d.Addr, uint64(d.Len))
		if d.Flags&virtqtest.Write != 0 {
			c.writable = append(c.writable, parts...)
			written += uint64(d.Len)
			seenWritable = true // an empty one counts as well
		} else {
			ok = ok && !seenWritable
			c.readable = append(c.readable, parts...)
			read += uint64(d.Len)
		}
		isBad = isBad || !ok || read > math.MaxInt32 || written > math.MaxInt32
	}
	for {
		d, _ := m.packedDescAt(m.ring.Desc, i)
		avail := d.Flags&virtqtest.DescAvail != 0 == wrap && d.Flags&virtqtest.DescUsed != 0 != wrap
		switch {
		case first && !avail:
			return nothing, c
		case !avail || m.inFlight+c.descs == m.ring.Size:
			return corrupt, c
		}
		c.descs++
		switch {
		case isBad: // only its end matters
		case d.Flags&virtqtest.Indirect == 0:
			take(d)
		default:
			n := int(d.Len / 16)
			_, mapped := m.pieces(d.Addr, uint64(d.Len))
			if !m.indirect || !first || d.Flags&virtqtest.Next != 0 || d.Len%16 != 0 || n == 0 || n > max(1024, m.ring.Size) || !mapped {
				isBad = true
				break
			}
			for k := range n {
				if d, _ := m.packedDescAt(d.Addr, k); !isBad {
					take(d)
				}
			}
		}
		first = false
		if i++; i == m.ring.Size {
			i, wrap = 0, !wrap
		}
		if d.Flags&virtqtest.Next == 0 {
			c.id = d.Next
			break
		}
	}
	m.nextIdx, m.nextWrap = i, wrap
	m.inFlight += c.descs
	if isBad {
		m.push(c, 0)
		return bad, c
	}
	return good, c
}

// push gives a chain back.
func (m *refPacked) push(c refChain, written uint32) {
	d := m.file[m.ring.Desc-m.base+16*uint64(m.usedIdx):]
	flags := uint16(0)
	if written > 0 {
		flags |= virtqtest.Write
	}
	if m.usedWrap {
		flags |= virtqtest.DescAvail | virtqtest.DescUsed
	}
	binary.LittleEndian.PutUint32(d[8:], written)
	binary.LittleEndian.PutUint16(d[12:], c.id)
	binary.LittleEndian.PutUint16(d[14:], flags)
	if m.usedIdx += c.descs; m.usedIdx >= m.ring.Size {
		m.usedIdx -= m.ring.Size
		m.usedWrap = !m.usedWrap
	}
	m.inFlight -= c.descs
}

// position returns where the ring goes on.
func (m *refPacked) position() uint32 {
	bit := map[bool]uint32{true: 1}
	return position(uint32(m.nextIdx), bit[m.nextWrap], uint32(m.usedIdx), bit[m.usedWrap])
}
