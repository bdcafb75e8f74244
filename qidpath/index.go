// SPDX-License-Identifier: Apache-2.0

package qidpath

import (
	"math/bits"
	"math/rand/v2"
	"sync/atomic"
)

// index maps a pair of numbers to a number that is not 0. Any number of
// goroutines may call get while one calls put; pairs are never changed or
// removed.
//
// It is an open-addressing table with linear probing, at most half full. A slot
// is published by the store of its value, after its pair was written, and is
// never written again; so a reader that sees the value sees the pair. A table
// that becomes too full is copied to one of twice the size. A reader may still
// be in the old one and miss the newest pairs: a miss is certain only for the
// writer.
type index struct {
	table atomic.Pointer[indexTable]
	count int // pairs; the writer's
}

type indexTable struct {
	seedA, seedB uint64
	mask         uint64 // len(slots)-1; len(slots) is a power of two
	slots        []indexSlot
}

type indexSlot struct {
	a, b  uint64
	value atomic.Uint64 // 0: the slot is free
}

const indexMinSlots = 64

// init makes an empty index with room for count pairs.
func (x *index) init(count int) {
	n := indexMinSlots
	for n < 2*count {
		n *= 2
	}
	x.count = 0
	x.table.Store(newIndexTable(n))
}

func newIndexTable(n int) *indexTable {
	// The seeds keep inode numbers that someone has chosen from collecting in
	// one run of slots.
	return &indexTable{seedA: rand.Uint64(), seedB: rand.Uint64(), mask: uint64(n - 1), slots: make([]indexSlot, n)}
}

func (t *indexTable) home(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^t.seedA, b^t.seedB)
	return hi ^ lo
}

// get returns the value of (a, b), or 0.
func (x *index) get(a, b uint64) uint64 {
	t := x.table.Load()
	for i := t.home(a, b); ; i++ {
		s := &t.slots[i&t.mask]
		v := s.value.Load()
		if v == 0 || s.a == a && s.b == b {
			return v
		}
	}
}

// put adds (a, b), which must not be there yet. The caller excludes other
// writers. value is not 0.
func (x *index) put(a, b, value uint64) {
	t := x.table.Load()
	if 2*(x.count+1) > len(t.slots) {
		grown := newIndexTable(2 * len(t.slots))
		for i := range t.slots {
			if s := &t.slots[i]; s.value.Load() != 0 {
				grown.put(s.a, s.b, s.value.Load())
			}
		}
		t = grown
	}
	t.put(a, b, value)
	x.count++
	x.table.Store(t)
}

func (t *indexTable) put(a, b, value uint64) {
	for i := t.home(a, b); ; i++ {
		if s := &t.slots[i&t.mask]; s.value.Load() == 0 {
			s.a, s.b = a, b
			s.value.Store(value)
			return
		}
	}
}
