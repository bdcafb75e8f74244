// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"vhost-user-9p/virtqueue"
	"vhost-user-9p/virtqueue/virtqtest"
)

// TestPackedRandom lets 100,000 chains go through packed rings of odd sizes: direct ones of
// whatever length fits and indirect ones, given back in any order and taken late, over a device
// that is now and then another one. Each carries a number to the device, and its answer back.
func TestPackedRandom(t *testing.T) {
	sizes := []int{1, 2, 3, 7, 13, 100, 255, 1000}
	const chains = 100_000
	for i, size := range sizes {
		features := packed
		if i%2 == 0 {
			features |= virtqueue.FeatureEventIdx
		}
		t.Run(fmt.Sprintf("size=%d", size), func(t *testing.T) {
			randomChains(t, size, features, chains/len(sizes), rand.New(rand.NewPCG(uint64(size), 10)))
		})
	}
}

func randomChains(t *testing.T, size int, features virtqueue.Features, chains int, rng *rand.Rand) {
	const maxPieces = 6
	r := newRing(t, setup{size: size, memory: 4 << 20, features: features, start: uint16(rng.IntN(2 * size))})
	// A chain has a slot of memory: a table, and pieces of 16 bytes with gaps.
	const slotSize = 16*2*maxPieces + 32*2*maxPieces
	var slots []int
	for i := range size {
		slots = append(slots, i)
	}
	piece := func(slot, i int) virtqtest.Buf {
		return virtqtest.Buf{Addr: r.data + uint64(slot*slotSize+16*2*maxPieces+32*i), Len: 16}
	}
	type flight struct {
		number uint64
		slot   int
		in     []virtqtest.Buf
		wrote  int
	}
	flights := map[uint16]*flight{} // by buffer ID, from Add to Take
	var popped []*virtqueue.Chain
	var order []uint16 // added and not yet popped
	added, taken := 0, 0
	for taken < chains {
		switch rng.IntN(8) {
		case 0, 1, 2: // add
			if added == chains || len(slots) == 0 || r.drv.Free() == 0 {
				break
			}
			slot := slots[len(slots)-1]
			slots = slots[:len(slots)-1]
			n := 1 + rng.IntN(2*maxPieces)
			indirect := rng.IntN(3) == 0
			if !indirect {
				n = min(n, r.drv.Free())
			}
			outs := rng.IntN(min(n, maxPieces) + 1)
			var out, in []virtqtest.Buf
			for k := range n {
				if k < outs {
					out = append(out, piece(slot, k))
				} else {
					in = append(in, piece(slot, k))
				}
			}
			f := &flight{number: rng.Uint64(), slot: slot, in: in}
			for _, b := range out {
				binary.LittleEndian.PutUint64(r.bytes(b.Addr, 8), f.number)
			}
			var id uint16
			if indirect {
				id = r.drv.AddIndirect(r.data+uint64(slot*slotSize), out, in)
			} else {
				id = r.drv.Add(out, in)
			}
			if flights[id] != nil {
				t.Fatalf("buffer %d is in flight twice", id)
			}
			flights[id] = f
			order = append(order, id)
			added++
		case 3, 4: // pop
			c := new(virtqueue.Chain)
			ok, err := r.q.Pop(c)
			if err != nil || ok != (len(order) > 0) {
				t.Fatalf("Pop: %v, %v, with %d chains available", ok, err, len(order))
			}
			if !ok {
				break
			}
			if c.Head() != order[0] {
				t.Fatalf("buffer %d popped, want %d", c.Head(), order[0])
			}
			order = order[1:]
			popped = append(popped, c)
		case 5, 6: // push, whichever
			if len(popped) == 0 {
				break
			}
			i := rng.IntN(len(popped))
			c := popped[i]
			popped[i] = popped[len(popped)-1]
			popped = popped[:len(popped)-1]
			f := flights[c.Head()]
			for _, v := range c.Readable {
				if got := binary.LittleEndian.Uint64(virtqueue.Bytes(&v)); got != f.number {
					t.Fatalf("buffer %d carries %#x, want %#x", c.Head(), got, f.number)
				}
			}
			for _, v := range c.Writable {
				binary.LittleEndian.PutUint64(virtqueue.Bytes(&v), ^f.number)
			}
			f.wrote = rng.IntN(c.WriteLen + 1)
			r.q.Push(c, f.wrote)
		case 7: // take
			id, written, ok := r.drv.Take()
			if !ok {
				break
			}
			f := flights[id]
			if f == nil || int(written) != f.wrote {
				t.Fatalf("buffer %d is used with %d bytes: %+v", id, written, f)
			}
			for _, b := range f.in {
				if got := binary.LittleEndian.Uint64(r.bytes(b.Addr, 8)); got != ^f.number {
					t.Fatalf("buffer %d: the answer is %#x, want %#x", id, got, ^f.number)
				}
			}
			delete(flights, id)
			slots = append(slots, f.slot)
			taken++
		}
		if len(popped) == 0 && rng.IntN(200) == 0 { // stopped and started
			r.cfg.Base = r.q.Base()
			_ = r.q.Close()
			r.open(r.mapped)
		}
	}
	if len(r.bad) != 0 || len(r.dead) != 0 {
		t.Errorf("told of trouble: %v, %v", r.bad, r.dead)
	}
}
