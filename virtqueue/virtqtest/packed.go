// SPDX-License-Identifier: Apache-2.0

package virtqtest

import (
	"encoding/binary"
	"fmt"
)

// PackedLayoutAt is LayoutAt for a packed ring.
func PackedLayoutAt(addr uint64, size int) (l Layout, end uint64) {
	l = Layout{Size: size, Desc: addr, Packed: true}
	l.Avail = l.Desc + 16*uint64(size)
	l.Used = l.Avail + 4
	return l, l.Used + 4
}

// More descriptor flags, of packed rings.
const (
	DescAvail = 1 << 7
	DescUsed  = 1 << 15
)

// Flags of event suppression structures.
const (
	EventEnable  = 0
	EventDisable = 1
	EventDesc    = 2
)

const wrapBit = 1 << 15

// packed is the driver's side of a packed ring. A place is how many descriptors were passed
// since the ring began, of which two rounds are the same.
type packed struct {
	*Driver
	room  int               // descriptors not in use
	lists map[uint16][]Desc // what was added, by buffer ID

	next  int // place of the next descriptor to make available
	last  int // next when needKick was last called
	taken int // place of the next descriptor to be used
}

// startAt is StartAt: the ring looks as if each descriptor before this place was used.
func (p *packed) startAt(place int) {
	place %= 2 * p.Size
	p.next, p.last, p.taken = place, place, place
	for back := 1; back <= p.Size && back <= place; back++ {
		p.SetDesc(p.Desc, (place-back)%p.Size, Desc{Flags: p.usedFlags(place - back)})
	}
}

func (p *packed) encoded(place int) uint16 {
	v := uint16(place % p.Size)
	if p.wrap(place) {
		v |= wrapBit
	}
	return v
}

// wrap returns the wrap counter at a place.
func (p *packed) wrap(place int) bool { return place/p.Size%2 == 0 }

// availFlags and usedFlags are what marks a descriptor at a place as available, or used.
func (p *packed) availFlags(place int) uint16 {
	if p.wrap(place) {
		return DescAvail
	}
	return DescUsed
}

func (p *packed) usedFlags(place int) uint16 {
	if p.wrap(place) {
		return DescAvail | DescUsed
	}
	return 0
}

// flagsAt returns the address of the flags of the descriptor at a place.
func (p *packed) flagsAt(place int) []byte {
	return p.Bytes(p.Desc+16*uint64(place%p.Size)+14, 2)
}

func (p *packed) add(list []Desc) uint16 {
	if len(list) == 0 || len(list) > p.room || len(p.free) == 0 {
		panic(fmt.Sprintf("virtqtest: %d descriptors wanted, %d free", len(list), p.room))
	}
	id := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	for i := range list {
		if i+1 < len(list) {
			list[i].Flags |= Next
		}
		list[i].Next = id
	}
	p.AddList(list...)
	return id
}

// AddList makes a list of descriptors available in a packed ring, the first one last, whatever
// stands in them: of their flags those that mark them as available are turned round by it.
// Take finds it under the buffer ID of the last one, which is from Size on if Add is used too.
func (d *Driver) AddList(list ...Desc) {
	p := d.packed
	first := list[0].Flags ^ p.availFlags(p.next)
	for i, v := range list {
		v.Flags ^= p.availFlags(p.next + i)
		if i == 0 {
			// What stands there stays until the rest is in place.
			v.Flags = binary.LittleEndian.Uint16(p.flagsAt(p.next))
		}
		d.SetDesc(d.Desc, (p.next+i)%d.Size, v)
	}
	store16(p.flagsAt(p.next), 0, first)
	p.lists[list[len(list)-1].Next] = list
	p.room -= len(list)
	p.next += len(list)
}

// again is Again.
func (p *packed) again(id uint16) {
	list := p.lists[id]
	p.taken += len(list)
	p.room += len(list)
	p.AddList(list...)
}

func (p *packed) take() (id uint16, written uint32, ok bool) {
	if !p.used() {
		return 0, 0, false
	}
	b := p.Bytes(p.Desc+16*uint64(p.taken%p.Size), 16)
	if load16(b, 14)&Write != 0 {
		written = binary.LittleEndian.Uint32(b[8:])
	}
	id = binary.LittleEndian.Uint16(b[12:])
	list, known := p.lists[id]
	if !known {
		panic(fmt.Sprintf("virtqtest: buffer %d is used, which is not in flight", id))
	}
	delete(p.lists, id)
	p.taken += len(list)
	p.room += len(list)
	if int(id) < p.Size && len(p.free) < p.Size {
		p.free = append(p.free, id)
	}
	return id, written, true
}

// used reports whether a used descriptor waits to be taken.
func (p *packed) used() bool {
	return load16(p.flagsAt(p.taken), 0)&(DescAvail|DescUsed) == p.usedFlags(p.taken)
}

// needKick is what Linux does: it asks about what was added since it last asked.
func (p *packed) needKick() bool {
	old, now := p.last, p.next
	p.last = now
	offWrap, flags := p.DeviceEvent()
	if flags != EventDesc {
		return flags != EventDisable
	}
	return p.passes(offWrap, old, now)
}

// passes reports whether one of the places from old to now, which does not count, is that of
// an event.
func (p *packed) passes(offWrap uint16, old, now int) bool {
	for place := old; place < now; place++ {
		if p.encoded(place) == offWrap {
			return true
		}
	}
	return false
}

func (p *packed) enableInterrupts() (pending bool) {
	if p.eventIdx {
		p.SetDriverEvent(p.encoded(p.taken), EventDesc)
	} else {
		p.SetDriverEvent(0, EventEnable)
	}
	return p.used()
}

// SetDriverEvent writes the driver area of a packed ring: flags, and offset and wrap counter of
// the descriptor that they may be about.
func (d *Driver) SetDriverEvent(offWrap, flags uint16) {
	store32(d.Bytes(d.Avail, 4), uint32(flags)<<16|uint32(offWrap))
}

// DeviceEvent returns the device area of a packed ring, likewise.
func (d *Driver) DeviceEvent() (offWrap, flags uint16) {
	v := load32(d.Bytes(d.Used, 4))
	return uint16(v), uint16(v >> 16)
}
