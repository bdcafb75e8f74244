// SPDX-License-Identifier: Apache-2.0

// Package virtqtest is the driver side of a virtqueue, split or packed, for tests: it lays a
// ring out in memory that is shared with a device, makes buffers available, and takes used ones.
//
// A Driver is for one goroutine at a time. Besides the right ways there are raw ones, to
// make rings that no driver should make. Those that are about indices and heads are for split
// rings; AddList, SetDriverEvent and the like (packed.go) for packed ones.
package virtqtest

import (
	"encoding/binary"
	"fmt"
)

// Layout says where the parts of a ring lie, as guest-physical addresses. In a packed ring
// Avail is the driver area, and Used the device area.
type Layout struct {
	Size              int // entries
	Desc, Avail, Used uint64
	Packed            bool
}

// LayoutAt puts the parts of a ring one after the other from addr, which is a multiple of
// 16, each as the specification aligns it, and returns the address after the last.
func LayoutAt(addr uint64, size int) (l Layout, end uint64) {
	l = Layout{Size: size, Desc: addr}
	l.Avail = l.Desc + 16*uint64(size)
	l.Used = (l.Avail + 6 + 2*uint64(size) + 3) &^ 3
	return l, l.Used + 6 + 8*uint64(size)
}

// Descriptor flags.
const (
	Next     = 1
	Write    = 2
	Indirect = 4
)

// Buf is a range of guest-physical memory.
type Buf struct {
	Addr uint64
	Len  uint32
}

// Desc is one descriptor. In a packed ring Next is the buffer ID.
type Desc struct {
	Addr        uint64
	Len         uint32
	Flags, Next uint16
}

// Driver is the driver side of one ring.
type Driver struct {
	Layout
	mem      []byte
	base     uint64
	eventIdx bool

	free     []uint16 // descriptors not in use
	chains   map[uint16][]uint16
	availIdx uint16
	asked    uint16 // availIdx when NeedKick was last called
	lastUsed uint16

	packed *packed // nil: a split ring
}

// New lays an empty ring out in mem, whose first byte has the guest-physical address base.
func New(mem []byte, base uint64, l Layout, eventIdx bool) *Driver {
	d := &Driver{Layout: l, mem: mem, base: base, eventIdx: eventIdx, chains: map[uint16][]uint16{}}
	clear(d.Bytes(l.Desc, 16*l.Size))
	for i := l.Size - 1; i >= 0; i-- {
		d.free = append(d.free, uint16(i))
	}
	if l.Packed {
		clear(d.Bytes(l.Avail, 4))
		clear(d.Bytes(l.Used, 4))
		d.packed = &packed{Driver: d, room: l.Size, lists: map[uint16][]Desc{}}
		return d
	}
	clear(d.Bytes(l.Avail, 6+2*l.Size))
	clear(d.Bytes(l.Used, 6+8*l.Size))
	return d
}

// StartAt makes index the one at which both sides of the empty ring stand, as after so many
// chains of one descriptor.
func (d *Driver) StartAt(index uint16) {
	if d.packed != nil {
		d.packed.startAt(int(index))
		return
	}
	d.availIdx, d.asked, d.lastUsed = index, index, index
	d.SetAvailIdx(index)
	d.SetUsedIdx(index)
}

// Base returns where the device is to begin on the empty ring (SET_VRING_BASE).
func (d *Driver) Base() uint32 {
	if d.packed != nil {
		v := uint32(d.packed.encoded(d.packed.next))
		return v<<16 | v
	}
	return uint32(d.availIdx)
}

// Bytes returns n bytes of guest memory at addr.
func (d *Driver) Bytes(addr uint64, n int) []byte {
	off := addr - d.base
	return d.mem[off : off+uint64(n) : off+uint64(n)]
}

// Free returns the number of descriptors that are not in use.
func (d *Driver) Free() int {
	if d.packed != nil {
		return d.packed.room
	}
	return len(d.free)
}

// SetDesc writes one descriptor to a table at guest address table.
func (d *Driver) SetDesc(table uint64, i int, v Desc) {
	b := d.Bytes(table+16*uint64(i), 16)
	binary.LittleEndian.PutUint64(b, v.Addr)
	binary.LittleEndian.PutUint32(b[8:], v.Len)
	third, fourth := v.Flags, v.Next
	if d.Packed {
		third, fourth = fourth, third
	}
	binary.LittleEndian.PutUint16(b[12:], third)
	binary.LittleEndian.PutUint16(b[14:], fourth)
}

// describe returns the descriptors of buffers that the device reads, and of those it writes.
func describe(out, in []Buf) []Desc {
	var list []Desc
	for _, b := range out {
		list = append(list, Desc{Addr: b.Addr, Len: b.Len})
	}
	for _, b := range in {
		list = append(list, Desc{Addr: b.Addr, Len: b.Len, Flags: Write})
	}
	return list
}

// Add makes a chain of buffers that the device reads and buffers that it writes available,
// and returns its head, in a packed ring its buffer ID. It does not kick.
func (d *Driver) Add(out, in []Buf) uint16 {
	if d.packed != nil {
		return d.packed.add(describe(out, in))
	}
	n := len(out) + len(in)
	if n == 0 || n > len(d.free) {
		panic(fmt.Sprintf("virtqtest: %d descriptors wanted, %d free", n, len(d.free)))
	}
	ids := append([]uint16(nil), d.free[len(d.free)-n:]...)
	d.free = d.free[:len(d.free)-n]
	for k, v := range describe(out, in) {
		if k+1 < n {
			v.Flags |= Next
			v.Next = ids[k+1]
		}
		d.SetDesc(d.Desc, int(ids[k]), v)
	}
	d.chains[ids[0]] = ids
	d.AddHead(ids[0])
	return ids[0]
}

// AddIndirect is Add with the descriptors in a table at guest address table, which the
// caller keeps free until the chain is used.
func (d *Driver) AddIndirect(table uint64, out, in []Buf) uint16 {
	n := len(out) + len(in)
	for k, v := range describe(out, in) {
		if k+1 < n && !d.Packed { // there the order is that of the table
			v.Flags |= Next
			v.Next = uint16(k + 1)
		}
		d.SetDesc(table, k, v)
	}
	if d.packed != nil {
		return d.packed.add([]Desc{{Addr: table, Len: uint32(16 * n), Flags: Indirect}})
	}
	if len(d.free) == 0 {
		panic("virtqtest: no descriptor free")
	}
	id := d.free[len(d.free)-1]
	d.free = d.free[:len(d.free)-1]
	d.chains[id] = []uint16{id}
	d.SetDesc(d.Desc, int(id), Desc{Addr: table, Len: uint32(16 * n), Flags: Indirect})
	d.AddHead(id)
	return id
}

// AddHead makes the chain that begins at descriptor head available, whatever stands there.
func (d *Driver) AddHead(head uint16) {
	d.Stage(head)
	d.Publish()
}

// Again makes the chain available once more that the device used last, without a look at it,
// and without an allocation.
func (d *Driver) Again(head uint16) {
	if d.packed != nil {
		d.packed.again(head)
		return
	}
	d.AddHead(head)
}

// SetAvailIdx writes the available index.
func (d *Driver) SetAvailIdx(v uint16) { store16(d.Bytes(d.Avail, 4), 2, v) }

// SetUsedIdx writes the used index, which is the device's.
func (d *Driver) SetUsedIdx(v uint16) { store16(d.Bytes(d.Used, 4), 2, v) }

// AvailIdx returns the driver's available index; in a packed ring that of the descriptor that
// it makes available next.
func (d *Driver) AvailIdx() uint16 {
	if d.packed != nil {
		return d.packed.encoded(d.packed.next) &^ wrapBit
	}
	return d.availIdx
}

// NeedKick reports whether the device wants a kick for what was made available since the
// last call. Like Linux it asks about each chain once, whatever the answer: a device
// that wants a kick for an earlier one has to look for itself.
func (d *Driver) NeedKick() bool {
	if d.packed != nil {
		return d.packed.needKick()
	}
	old, now := d.asked, d.availIdx
	d.asked = now
	if d.eventIdx {
		if now-d.AvailEvent()-1 >= now-old {
			return false
		}
	} else if d.UsedFlags()&1 != 0 {
		return false
	}
	return true
}

// Take takes the next used chain: its head and the number of bytes that the device wrote.
func (d *Driver) Take() (head uint16, written uint32, ok bool) {
	if d.packed != nil {
		return d.packed.take()
	}
	if load16(d.Bytes(d.Used, 4), 2) == d.lastUsed {
		return 0, 0, false
	}
	e := d.Bytes(d.Used+4+8*uint64(int(d.lastUsed)&(d.Size-1)), 8)
	head = uint16(binary.LittleEndian.Uint32(e))
	written = binary.LittleEndian.Uint32(e[4:])
	d.lastUsed++
	d.free = append(d.free, d.chains[head]...)
	delete(d.chains, head)
	return head, written, true
}

// EnableInterrupts asks to be notified of the next used chain, and reports whether one came
// before that took effect.
func (d *Driver) EnableInterrupts() (pending bool) {
	if d.packed != nil {
		return d.packed.enableInterrupts()
	}
	if d.eventIdx {
		d.SetUsedEvent(d.lastUsed)
	} else {
		d.SetAvailFlags(0)
	}
	return load16(d.Bytes(d.Used, 4), 2) != d.lastUsed
}

// SetUsedEvent writes used_event, of a ring with the event index.
func (d *Driver) SetUsedEvent(v uint16) { store16(d.Bytes(d.Avail+4+2*uint64(d.Size), 2), 0, v) }

// SetAvailFlags writes the flags of the available ring.
func (d *Driver) SetAvailFlags(v uint16) { store16(d.Bytes(d.Avail, 4), 0, v) }

// UsedFlags and AvailEvent return what the device wrote to ask for kicks.
func (d *Driver) UsedFlags() uint16  { return load16(d.Bytes(d.Used, 4), 0) }
func (d *Driver) AvailEvent() uint16 { return load16(d.Bytes(d.Used+4+8*uint64(d.Size), 2), 0) }

// DisableInterrupts says that notifications are not needed.
func (d *Driver) DisableInterrupts() {
	switch {
	case d.packed != nil:
		d.SetDriverEvent(0, EventDisable)
	case !d.eventIdx:
		d.SetAvailFlags(1)
	}
}
