// SPDX-License-Identifier: Apache-2.0

package virtqueue

import (
	"errors"
	"fmt"
)

// A packed ring (2.8) is one ring of descriptors that both sides write to: the driver makes
// lists of them available, and the device overwrites the first ones, from the other end, with
// what it has used. Whose a descriptor is shows in two of its flags, whose meaning turns with
// each round of the ring (the wrap counters). What is a head and an entry of the used ring
// elsewhere is the buffer ID in the last descriptor of a list, and the used descriptor.
const (
	descAvail = 1 << 7  // VIRTQ_DESC_F_AVAIL
	descUsed  = 1 << 15 // VIRTQ_DESC_F_USED
)

// An event suppression structure (2.8.14) is one word: le16 with offset and wrap counter of a
// descriptor, le16 flags. The driver's says whether it wants to be called, the device's whether
// we want to be kicked.
const (
	eventSize    = 4
	eventEnable  = 0 << 16 // RING_EVENT_FLAGS_ENABLE
	eventDisable = 1 << 16 // RING_EVENT_FLAGS_DISABLE
	eventDesc    = 2 << 16 // RING_EVENT_FLAGS_DESC
	eventFlags   = 3 << 16

	wrapBit = 1 << 15 // wrap counter beside an index or offset
)

// packedRing is what a Queue has of a packed ring.
//
// A place in the ring is an index and a wrap counter. Here both are one number, which counts
// through the two rounds after which flags mean the same again: the index in the round of
// wrap counter 1, where rings begin, and size more in the round of 0.
type packedRing struct {
	size      uint32
	eventIdx  bool
	desc      descTable
	driver    shared // driver area: its event suppression structure
	device    shared // device area: ours
	descGuest uint64 // guest-physical address of desc, for the dirty log

	// Under Queue.lock.
	next     uint32 // place of the next descriptor to take
	seen     int    // lists from there on that were seen to be available
	event    uint32 // device area as last written
	used     uint32 // place of the next descriptor to use
	done     uint64 // descriptors used
	told     uint64 // done when the driver was last told
	everTold bool   // told means something
}

// validatePacked is Validate for a packed ring.
func (c *Config) validatePacked() error {
	switch {
	case c.Size < 1 || c.Size > MaxSize:
		return fmt.Errorf("ring size %d is not from 1 to %d", c.Size, MaxSize)
	case c.DescAddr%16 != 0:
		return fmt.Errorf("descriptor ring at %#x is not aligned to 16 bytes", c.DescAddr)
	case c.AvailAddr%4 != 0:
		return fmt.Errorf("driver area at %#x is not aligned to 4 bytes", c.AvailAddr)
	case c.UsedAddr%4 != 0:
		return fmt.Errorf("device area at %#x is not aligned to 4 bytes", c.UsedAddr)
	}
	p := packedRing{size: uint32(c.Size)}
	next, ok := p.place(uint16(c.Base))
	used, usedOK := p.place(uint16(c.Base >> 16))
	if !ok || !usedOK || p.distance(used, next) > p.size {
		return fmt.Errorf("ring position %#x is none of a ring of %d entries", c.Base, c.Size)
	}
	return nil
}

// newPackedRing sets a packed ring up. Preconditions: cfg is valid.
func newPackedRing(mem *Memory, cfg *Config) (*packedRing, error) {
	p := &packedRing{
		size:      uint32(cfg.Size),
		eventIdx:  cfg.Features.Has(FeatureEventIdx),
		descGuest: mem.guestAddr(cfg.DescAddr),
	}
	desc, err := mem.part("descriptor ring", cfg.DescAddr, descSize*uint64(p.size), descAlign)
	if err != nil {
		return nil, err
	}
	p.desc = desc.descTable()
	if p.driver, err = mem.part("driver area", cfg.AvailAddr, eventSize, 4); err != nil {
		return nil, err
	}
	if p.device, err = mem.part("device area", cfg.UsedAddr, eventSize, 4); err != nil {
		return nil, err
	}
	p.event = p.device.load32(0)
	base := cfg.Base
	if base == 0 && p.unused() {
		// Wrap counters begin with 1, but User Mode Linux says 0 of a new ring, as does a
		// front end that says nothing.
		base = wrapBit<<16 | wrapBit
	}
	p.next, _ = p.place(uint16(base))
	p.used, _ = p.place(uint16(base >> 16))
	return p, nil
}

// unused reports whether the ring is as it was in the beginning, apart from what the driver has
// made available. Once wrap counters are 0 and at the first descriptor, some used descriptor of
// the round before is there, with its flag USED: when the driver makes it available again, in the
// round of 0, it sets that too.
func (p *packedRing) unused() bool {
	for i := range p.size {
		if p.flags(i)&descUsed != 0 {
			return false
		}
	}
	return true
}

// place decodes an index with a wrap counter.
func (p *packedRing) place(v uint16) (at uint32, ok bool) {
	at = uint32(v &^ wrapBit)
	if at >= p.size {
		return 0, false
	}
	if v&wrapBit == 0 {
		at += p.size
	}
	return at, true
}

// index returns the index of a place, and its wrap counter as wrapBit or 0.
func (p *packedRing) index(at uint32) (index uint32, wrap uint16) {
	if at >= p.size {
		return at - p.size, 0
	}
	return at, wrapBit
}

// encoded is the reverse of place.
func (p *packedRing) encoded(at uint32) uint16 {
	index, wrap := p.index(at)
	return uint16(index) | wrap
}

// after returns the place n descriptors, at most size, behind another.
func (p *packedRing) after(at, n uint32) uint32 {
	if at += n; at >= 2*p.size {
		at -= 2 * p.size
	}
	return at
}

// distance returns how many descriptors lie between one place and a later one.
func (p *packedRing) distance(from, to uint32) uint32 {
	if to < from {
		to += 2 * p.size
	}
	return to - from
}

func (p *packedRing) nextIndex() uint16 {
	index, _ := p.index(p.next)
	return uint16(index)
}

func (p *packedRing) base() uint32 {
	return uint32(p.encoded(p.used))<<16 | uint32(p.encoded(p.next))
}

// flags reads the flags of one descriptor.
func (p *packedRing) flags(index uint32) uint16 { return uint16(p.desc.loadRest(int(index)) >> 48) }

// available reports whether flags say that the driver made the descriptor at a place available
// (2.8.1): AVAIL is the wrap counter, and USED is not.
func (p *packedRing) available(at uint32, flags uint16) bool {
	want := uint16(descUsed)
	if at < p.size {
		want = descAvail
	}
	return flags&(descAvail|descUsed) == want
}

// pending reports whether a list is available, one that was seen before or not.
func (p *packedRing) pending() bool {
	if p.seen > 0 {
		return true
	}
	index, _ := p.index(p.next)
	return p.available(p.next, p.flags(index))
}

// look sees how many lists are available, unless some are known to be.
func (p *packedRing) look() {
	if p.seen == 0 {
		p.seen = p.waiting()
	}
}

// waitingMax is how many descriptors are looked at to see how many lists wait.
const waitingMax = 32

// waiting returns how many lists are available, as far as is looked.
func (p *packedRing) waiting() (n int) {
	at := p.next
	for i := range min(waitingMax, p.size) {
		index, _ := p.index(at)
		flags := p.flags(index)
		if !p.available(at, flags) {
			if i == 0 {
				return 0
			}
			break
		}
		if flags&descNext == 0 {
			n++
		}
		at = p.after(at, 1)
	}
	return max(n, 1)
}

// arrived is Queue.Arrived. What was made available in this round of the ring has the flag AVAIL
// as the wrap counter is, also when it has been used.
func (p *packedRing) arrived(position uint16) bool {
	at, _ := p.place(position)
	index, wrap := p.index(at)
	return p.flags(index)&descAvail != 0 == (wrap != 0)
}

// packedDesc copies a descriptor of a packed ring out of shared memory. Its last fields are le16
// id and le16 flags, where those of a split ring are flags and next.
func (t descTable) packedDesc(i int) (d desc, id uint16) {
	d = t.desc(i)
	id, d.flags, d.next = d.flags, d.next, 0
	return d, id
}

// errIndirectList is a chain's, as those in chain.go.
var errIndirectList = errors.New("indirect descriptor in a list of descriptors")

// takePacked is takeSplit for a packed ring. One that has a list without an end is corrupt: there
// is no buffer ID by which that could be given back.
//
// The driver made the first descriptor available after the others (2.8.6), and pending has seen
// it, so that what is read here is what the driver wrote.
func (q *Queue) takePacked(c *Chain) (bool, error) {
	p := q.packed
	if !p.pending() {
		return false, nil
	}
	c.reset()
	q.walker.use(q.memory)
	// What is in flight is not the driver's to make available anew.
	free := p.size - p.distance(p.used, p.next)
	at := p.next
	var bad error
	for n := uint32(1); ; n++ {
		if n > free {
			q.Break(fmt.Errorf("list of descriptors at %d has no end in the %d that are free", p.nextIndex(), free))
			return false, ErrBroken
		}
		index, _ := p.index(at)
		d, id := p.desc.packedDesc(int(index))
		if !p.available(at, d.flags) {
			q.Break(fmt.Errorf("descriptor %d is not available, but in a list that is", index))
			return false, ErrBroken
		}
		if bad == nil { // else only the end is looked for
			bad = q.walker.addPacked(c, d, n == 1, int(p.size))
		}
		at = p.after(at, 1)
		if d.flags&descNext == 0 {
			c.head, c.descs = id, n
			p.next = at
			if p.seen > 0 {
				p.seen--
			}
			p.look()
			return true, bad
		}
	}
}

// addPacked appends the buffer of one descriptor, or those of an indirect table.
func (w *walker) addPacked(c *Chain, d desc, first bool, size int) error {
	if d.flags&descIndirect == 0 {
		return w.add(c, d)
	}
	switch {
	case !w.indirect:
		return errIndirectForbidden
	case !first || d.flags&descNext != 0: // 2.8.19
		return errIndirectList
	}
	table, err := w.indirectTable(d, max(minIndirect, size))
	if err != nil {
		return err
	}
	// All of it is used, in its order; of the flags there is VIRTQ_DESC_F_WRITE only, and
	// others are ignored (2.8.7).
	for i := range table {
		d, _ := table.packedDesc(i)
		if err := w.add(c, d); err != nil {
			return err
		}
	}
	return nil
}

// pushPacked writes a used descriptor, one for the whole list, and skips as many as the list
// has: the driver knows that number too, by the buffer ID.
func (q *Queue) pushPacked(c *Chain, written int, log *Log) {
	p := q.packed
	at := p.used
	index, wrap := p.index(at)
	var flags uint64
	if wrap != 0 {
		flags = descAvail | descUsed
	}
	if written > 0 {
		flags |= descWrite // without it the length means nothing
	}
	// Before the driver can see it: what it makes available then is not in flight any more.
	p.used = p.after(at, c.descs)
	p.done += uint64(c.descs)
	p.desc.storeRest(int(index), flags<<48|uint64(c.head)<<32|uint64(uint32(written)))
	if log != nil {
		if q.logUsed {
			log.Mark(p.descGuest+descSize*uint64(index)+8, 8)
		}
		log.signal()
	}
}

// callWanted is Queue.CallWanted for a packed ring.
func (p *packedRing) callWanted() bool {
	if p.told == p.done && p.everTold {
		return false
	}
	since, first := p.done-p.told, !p.everTold
	p.told, p.everTold = p.done, true
	// The stores of used descriptors came before this load (all are sequentially consistent).
	event := p.driver.load32(0)
	switch flags := event & eventFlags; {
	case flags == eventDisable:
		return false
	case flags != eventDesc || !p.eventIdx || first || since >= 2*uint64(p.size):
		return true // the driver is rather told once too often
	}
	wanted, ok := p.place(uint16(event))
	// Told when that descriptor was used, or skipped: Linux asks for one somewhere ahead when
	// it wants to be told of several at a time.
	used := p.used
	return !ok || p.distance(wanted, used)-1 < uint32(since)
}

// kickEvent returns the device area of a device that wants a kick for the next descriptor.
func (p *packedRing) kickEvent() uint32 {
	if !p.eventIdx {
		return eventEnable
	}
	return eventDesc | uint32(p.encoded(p.next))
}

// setDeviceEvent writes the device area.
func (q *Queue) setDeviceEvent(v uint32) {
	p := q.packed
	if p.event == v {
		return
	}
	p.device.store32(0, v)
	p.event = v
	if q.log != nil && q.logUsed {
		q.log.Mark(q.usedLogAddr, eventSize)
	}
}
