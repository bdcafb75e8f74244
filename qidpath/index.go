// SPDX-License-Identifier: Apache-2.0

package qidpath

import (
	"math/bits"
	"math/rand/v2"
	"sync/atomic"
)

// index maps keys of 80 bits to values of 48 bits that are not 0. Any number of
// goroutines may call get while one calls put; keys are never changed or
// removed.
//
// It is an open-addressing table with linear probing, at most half full (or, if it
// is dense, seven eighths), of slots that never straddle a cache line. A slot is published by the store of
// its second word, after its first was written, and is never written again; so
// a reader that sees the second word sees the first. A table that becomes too
// full is copied to one of twice the size. A reader may still be in the old one
// and miss the newest keys: a miss is certain only for the writer.
type index struct {
	table atomic.Pointer[indexTable]
	count int // keys; the writer's
	dense bool
}

type indexTable struct {
	seedA, seedB uint64
	mask         uint64 // len(slots)-1; len(slots) is a power of two
	slots        []indexSlot
}

type indexSlot struct {
	a  uint64        // the key's first 64 bits
	bv atomic.Uint64 // the key's other 16 bits, above the value; 0: the slot is free
}

const (
	indexValueBits = 48
	indexMaxValue  = 1<<indexValueBits - 1
	indexMinSlots  = 64
)

// reset makes an empty index. The caller excludes other writers; a reader may
// still see what was there before.
func (x *index) reset() {
	x.table.Store(newIndexTable(indexMinSlots))
	x.count = 0
}

func newIndexTable(n int) *indexTable {
	// The seeds keep inode numbers that someone has chosen from collecting in
	// one run of slots.
	return &indexTable{seedA: rand.Uint64(), seedB: rand.Uint64(), mask: uint64(n - 1), slots: make([]indexSlot, n)}
}

// home returns where the search for a key begins, modulo the size.
func (t *indexTable) home(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^t.seedA, b^t.seedB)
	return hi ^ lo
}

// get returns the value of the key (a, b), or 0.
func (x *index) get(a uint64, b uint16) uint64 {
	t := x.table.Load()
	for i := t.home(a, uint64(b)); ; i++ {
		s := &t.slots[i&t.mask]
		bv := s.bv.Load()
		if bv == 0 {
			return 0
		}
		if s.a == a && bv>>indexValueBits == uint64(b) {
			return bv & indexMaxValue
		}
	}
}

// put adds the key (a, b), which must not be there yet. The caller excludes
// other writers.
func (x *index) put(a uint64, b uint16, value uint64) {
	t := x.table.Load()
	limit := len(t.slots) / 2
	if x.dense {
		limit = len(t.slots) / 8 * 7
	}
	if x.count >= limit {
		grown := newIndexTable(2 * len(t.slots))
		for i := range t.slots {
			if bv := t.slots[i].bv.Load(); bv != 0 {
				grown.put(t.slots[i].a, bv)
			}
		}
		t = grown
	}
	t.put(a, uint64(b)<<indexValueBits|value)
	x.count++
	x.table.Store(t)
}

func (t *indexTable) put(a, bv uint64) {
	for i := t.home(a, bv>>indexValueBits); ; i++ {
		if s := &t.slots[i&t.mask]; s.bv.Load() == 0 {
			s.a = a
			s.bv.Store(bv)
			return
		}
	}
}
