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
	// Readable and Writable are adjacent pieces of guest memory, merged where they
	// touch. ReadLen and WriteLen are their lengths in bytes.
	Readable, Writable []unix.Iovec
	ReadLen, WriteLen  int

	head    uint16
	descs   uint32   // descriptors that it takes up in a packed ring
	writing bool     // a device-writable descriptor was seen
	writes  []extent // where Writable lies for the guest, for the dirty log
	end     uint64   // guest-physical address at which the last piece ends
	room    uint64   // bytes that its region has from there on
}

// extent is a range of guest-physical memory.
type extent struct{ addr, len uint64 }

// Head returns the index of the chain's first descriptor, in a packed ring its buffer ID,
// which identifies it among the chains in flight.
func (c *Chain) Head() uint16 { return c.head }

func (c *Chain) reset() {
	c.Readable, c.Writable, c.writes = emptied(c.Readable), emptied(c.Writable), emptied(c.writes)
	c.ReadLen, c.WriteLen, c.writing, c.room = 0, 0, false, 0
}

// keepPieces is the number of pieces of a chain for which memory is kept: more than any
// driver uses, but a buffer of a hostile one has as many as there are regions.
const keepPieces = 2048

func emptied[T any](s []T) []T {
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

func (s shared) desc(i int) desc {
	lo, hi, n, fn := s.quad(i * descSize)
	return desc{
		addr:  uint64(hi)<<32 | uint64(lo),
		len:   n,
		flags: uint16(fn),
		next:  uint16(fn >> 16),
	}
}

// walker collects the descriptors of one chain.
type walker struct {
	mem      *Memory
	indirect bool // negotiated
	// table holds an indirect table that is not aligned, or not in one region: copied.
	table []byte
}

// walk follows the chain that starts at head in the descriptor table ring.
func (w *walker) walk(c *Chain, ring shared, head uint16) error {
	table, size := ring, len(ring)/descSize
	i, inIndirect := int(head), false
	for n := 0; ; n++ {
		if n >= size {
			return errDescLoop
		}
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
			size, i, n, inIndirect = len(table)/descSize, 0, -1, true
			continue
		}
		if err := c.add(w.mem, d); err != nil {
			return err
		}
		if d.flags&descNext == 0 {
			return nil
		}
		if i = int(d.next); i >= size {
			return errDescNext
		}
	}
}

// indirectTable returns the table that d points to, of at most limit descriptors.
func (w *walker) indirectTable(d desc, limit int) (shared, error) {
	if d.len == 0 || d.len%descSize != 0 || d.len/descSize > uint32(limit) {
		return nil, fmt.Errorf("%w: %d bytes", errIndirectLength, d.len)
	}
	b, _ := w.mem.guest(d.addr, uint64(d.len))
	if len(b) == int(d.len) && shared(b).aligned(4) {
		return shared(b), nil
	}
	w.table = w.table[:0]
	for addr, rest := d.addr, uint64(d.len); rest > 0; {
		b, _ := w.mem.guest(addr, rest)
		if len(b) == 0 {
			return nil, errIndirectUnmapped
		}
		w.table = append(w.table, b...)
		addr += uint64(len(b))
		rest -= uint64(len(b))
	}
	return shared(w.table), nil
}

// add appends the buffer of one descriptor, which may lie in several regions.
func (c *Chain) add(mem *Memory, d desc) error {
	write := d.flags&descWrite != 0
	iovs, total := &c.Readable, &c.ReadLen
	if write {
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
	// Drivers name the pages of a buffer one by one, most of which lie next to each other.
	if n := uint64(d.len); d.addr == c.end && n < c.room {
		(*iovs)[len(*iovs)-1].Len += n
		if write {
			c.writes[len(c.writes)-1].len += n
		}
		c.end += n
		c.room -= n
		return nil
	}
	for addr, rest := d.addr, uint64(d.len); rest > 0; {
		b, room := mem.guest(addr, rest)
		if len(b) == 0 {
			return fmt.Errorf("%w: %#x", errDescUnmapped, addr)
		}
		n := uint64(len(b))
		c.end, c.room = addr+n, room
		if last := len(*iovs) - 1; last >= 0 && follows(&(*iovs)[last], b) {
			(*iovs)[last].Len += n
		} else {
			*iovs = append(*iovs, iovec(b))
		}
		if write {
			if last := len(c.writes) - 1; last >= 0 && c.writes[last].addr+c.writes[last].len == addr {
				c.writes[last].len += n
			} else {
				c.writes = append(c.writes, extent{addr, n})
			}
		}
		addr += n
		rest -= n
	}
	return nil
}
