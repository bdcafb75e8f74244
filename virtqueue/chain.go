// SPDX-License-Identifier: Apache-2.0

package virtqueue

import (
	"errors"
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// A Chain is one buffer that the driver made available: what the device may read, then
// what it may write. Chains are reused; Pop empties them.
type Chain struct {
	// Readable and Writable are pieces of guest memory, each in one region, and merged where
	// one follows another there. ReadLen and WriteLen are their lengths in bytes.
	Readable, Writable []unix.Iovec
	ReadLen, WriteLen  int

	head    uint16
	descs   uint32 // descriptors that it takes up in a packed ring
	writing bool   // a device-writable descriptor was seen
	end     uint64 // guest-physical address at which the last piece ends
	room    uint64 // bytes that its region has from there on
}

// Head returns the index of the chain's first descriptor, in a packed ring its buffer ID,
// which identifies it among the chains in flight.
func (c *Chain) Head() uint16 { return c.head }

func (c *Chain) reset() {
	c.Readable, c.Writable = emptied(c.Readable), emptied(c.Writable)
	c.ReadLen, c.WriteLen, c.writing, c.room = 0, 0, false, 0
}

// keepPieces is the number of pieces of a chain for which memory is kept: more than any
// driver uses, but a buffer of a hostile one has as many as there are regions.
const keepPieces = 2048

func emptied(s []unix.Iovec) []unix.Iovec {
	if cap(s) > keepPieces {
		return nil
	}
	return s[:0]
}

// Limits of a walk.
const (
	// minIndirect is the length up to which every indirect table is followed. A chain
	// may be as long as the ring (2.7.5.3.1), but the Linux driver's tables do not stop
	// there.
	minIndirect = 1024
	// maxChainBytes bounds each direction of a chain, so that lengths fit the used ring.
	maxChainBytes = math.MaxInt32
)

// Descriptor flags.
const (
	descNext     = 1 // VIRTQ_DESC_F_NEXT
	descWrite    = 2 // VIRTQ_DESC_F_WRITE
	descIndirect = 4 // VIRTQ_DESC_F_INDIRECT
)

// What can be wrong with a chain. Each costs the chain, and not the queue.
var (
	errDescLoop          = errors.New("descriptor chain longer than its table")
	errDescNext          = errors.New("next descriptor out of range")
	errDescOrder         = errors.New("device-readable descriptor after a device-writable one")
	errDescLength        = errors.New("chain of more than 2 GiB")
	errDescUnmapped      = errors.New("buffer outside guest memory")
	errIndirectNested    = errors.New("indirect descriptor inside an indirect table")
	errIndirectNext      = errors.New("indirect descriptor with a next one")
	errIndirectLength    = errors.New("length of an indirect table is 0, not a multiple of 16, or too large")
	errIndirectUnmapped  = errors.New("indirect table outside guest memory")
	errIndirectForbidden = errors.New("indirect descriptor, but VIRTIO_F_INDIRECT_DESC was not negotiated")
)

const descSize = 16

// desc is a descriptor, copied out of shared memory.
type desc struct {
	addr        uint64
	len         uint32
	flags, next uint16
}

func (t descTable) desc(i int) desc {
	addr, rest := t.load(i)
	return desc{addr: addr, len: uint32(rest), flags: uint16(rest >> 32), next: uint16(rest >> 48)}
}

// walker collects the descriptors of one chain.
type walker struct {
	indirect bool // negotiated
	mem      *Memory
	near     *Region // of mem, in which the last descriptor pointed: the next one most often does
	// table holds an indirect table that is not aligned, or not in one region: copied.
	table []byte
}

// use has w look things up in mem.
func (w *walker) use(mem *Memory) {
	if w.mem != mem {
		w.mem, w.near = mem, &nowhere
	}
}

// nowhere is a region that holds no address.
var nowhere Region

// region returns the region that a guest-physical address lies in, nil if there is none.
func (w *walker) region(addr uint64) *Region {
	if addr-w.near.guestAddr >= uint64(len(w.near.mem)) {
		r := w.mem.region(addr)
		if r == nil {
			return nil
		}
		w.near = r
	}
	return w.near
}

// walk follows the chain that starts at head in the descriptor table ring.
func (w *walker) walk(c *Chain, ring descTable, head uint16) error {
	table, size := ring, len(ring)
	i, inIndirect := int(head), false
	for left := size; left > 0; left-- {
		d := table.desc(i)
		if d.flags&descIndirect != 0 {
			switch {
			case !w.indirect:
				return errIndirectForbidden
			case inIndirect:
				return errIndirectNested
			case d.flags&descNext != 0:
				return errIndirectNext
			}
			// VIRTQ_DESC_F_WRITE is ignored here (2.7.5.3.2).
			var err error
			if table, err = w.indirectTable(d, max(minIndirect, size)); err != nil {
				return err
			}
			size = len(table)
			i, left, inIndirect = 0, size+1, true
			continue
		}
		merges := d.addr == c.end
		if err := w.add(c, d); err != nil {
			return err
		}
		if d.flags&descNext == 0 {
			return nil
		}
		if i = int(d.next); i >= size {
			return errDescNext
		}
		if merges { // as the next ones most likely do
			i, left = c.extend(table, i, left)
		}
	}
	return errDescLoop
}

// extend is walk and add for the descriptors from i on whose buffers lie one behind the other in
// guest memory, and behind the last one, but for the last of the chain. It returns the first
// descriptor that is not such a one, and how many are left. A large message has more
// than a hundred: what add keeps in memory is in registers here.
func (c *Chain) extend(table descTable, i, left int) (int, int) {
	iovs, total, flags := c.Readable, &c.ReadLen, uint16(descNext)
	if c.writing {
		iovs, total, flags = c.Writable, &c.WriteLen, descNext|descWrite
	}
	end, room := c.end, min(c.room, uint64(maxChainBytes-*total))
	for ; left > 1; left-- {
		addr, rest := table.load(i)
		n, next := uint64(uint32(rest)), int(rest>>48)
		if addr != end || n > room || uint16(rest>>32) != flags || next != i+1 || next >= len(table) {
			break
		}
		end, room, i = end+n, room-n, i+1 // not next: the processor need not wait for it to read on
	}
	if n := end - c.end; n > 0 {
		iovs[len(iovs)-1].Len += n
		*total += int(n)
		c.end, c.room = end, c.room-n
	}
	return i, left
}

// indirectTable returns the table that d points to, of at most limit descriptors.
func (w *walker) indirectTable(d desc, limit int) (descTable, error) {
	if d.len == 0 || d.len%descSize != 0 || d.len/descSize > uint32(limit) {
		return nil, fmt.Errorf("%w: %d bytes", errIndirectLength, d.len)
	}
	if r := w.region(d.addr); r != nil {
		if b := r.at(d.addr); len(b) >= int(d.len) && shared(b).aligned(descAlign) {
			return shared(b[:d.len]).descTable(), nil
		}
	}
	w.table = w.table[:0]
	for addr, rest := d.addr, uint64(d.len); rest > 0; {
		r := w.region(addr)
		if r == nil {
			return nil, errIndirectUnmapped
		}
		b := r.at(addr)
		n := min(rest, uint64(len(b)))
		w.table = append(w.table, b[:n]...)
		addr += n
		rest -= n
	}
	return shared(w.table).descTable(), nil
}

// add appends the buffer of one descriptor, which may lie in several regions.
func (w *walker) add(c *Chain, d desc) error {
	iovs, total := &c.Readable, &c.ReadLen
	if d.flags&descWrite != 0 {
		if !c.writing {
			c.writing, c.room = true, 0
		}
		iovs, total = &c.Writable, &c.WriteLen
	} else if c.writing {
		return errDescOrder
	}
	if *total += int(d.len); *total > maxChainBytes {
		return errDescLength
	}
	n := uint64(d.len)
	// Drivers name the pages of a buffer one by one, most of which lie next to each other.
	if d.addr == c.end && n <= c.room {
		if n > 0 {
			(*iovs)[len(*iovs)-1].Len += n
			c.end += n
			c.room -= n
		}
		return nil
	}
	mem, off := w.near.mem, d.addr-w.near.guestAddr
	if size := uint64(len(mem)); off >= size || n-1 >= size-off {
		return w.addFar(c, iovs, d.addr, n)
	}
	*iovs = append(*iovs, unix.Iovec{Base: &mem[off], Len: n})
	c.end, c.room = d.addr+n, uint64(len(mem))-off-n
	return nil
}

// addFar is add for a buffer that does not lie in the region near, has no bytes, or lies in
// several regions.
func (w *walker) addFar(c *Chain, iovs *[]unix.Iovec, addr, rest uint64) error {
	for rest > 0 {
		r := w.region(addr)
		if r == nil {
			return fmt.Errorf("%w: %#x", errDescUnmapped, addr)
		}
		off := addr - r.guestAddr
		room := r.Size() - off
		n := min(rest, room)
		*iovs = append(*iovs, unix.Iovec{Base: &r.mem[off], Len: n})
		addr += n
		rest -= n
		c.end, c.room = addr, room-n
	}
	return nil
}
