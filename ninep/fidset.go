// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"hash/maphash"
	"math/bits"
)

// fidSet is a set of fids by their numbers: a hash table with linear probing, of 10 to
// 13 bytes a fid, where a map takes up to 39. The zero value is empty.
type fidSet struct {
	slots []*fid // nil where there is none
	count int
}

// A set is between a quarter and four fifths full, unless it is small.
const minFIDSlots = 16

// fidSeed keeps a client from choosing numbers that all have the same place.
var fidSeed = maphash.Bytes(maphash.MakeSeed(), nil)

// home returns where the search for a number begins.
func (s *fidSet) home(id uint32) int {
	h := (uint64(id) ^ fidSeed) * 0x9e3779b97f4a7c15
	h = (h ^ h>>29) * 0xbf58476d1ce4e5b9
	i, _ := bits.Mul64(h, uint64(len(s.slots)))
	return int(i)
}

func (s *fidSet) next(i int) int {
	if i++; i < len(s.slots) {
		return i
	}
	return 0
}

// find returns the place of a number, or the free one where it would be.
//
// Preconditions: there is a free place.
func (s *fidSet) find(id uint32) int {
	i := s.home(id)
	for s.slots[i] != nil && s.slots[i].id != id {
		i = s.next(i)
	}
	return i
}

// get returns the fid with the number, or nil.
func (s *fidSet) get(id uint32) *fid {
	if s.count == 0 {
		return nil
	}
	return s.slots[s.find(id)]
}

// add adds f, whose number is not in the set.
func (s *fidSet) add(f *fid) {
	if 5*(s.count+1) > 4*len(s.slots) {
		s.resize(max(minFIDSlots, len(s.slots)+len(s.slots)/4))
	}
	s.slots[s.find(f.id)] = f
	s.count++
}

// remove removes f, which is in the set. What stands behind it is moved up where the
// search for it would end too early.
func (s *fidSet) remove(f *fid) {
	free := s.find(f.id)
	for i := s.next(free); s.slots[i] != nil; i = s.next(i) {
		home := s.home(s.slots[i].id)
		// Whether home lies cyclically in (free, i], where it can stay.
		if free < i && (home <= free || home > i) || free > i && home <= free && home > i {
			s.slots[free] = s.slots[i]
			free = i
		}
	}
	s.slots[free] = nil
	s.count--
	if 4*s.count < len(s.slots) && len(s.slots) > minFIDSlots {
		s.resize(max(minFIDSlots, len(s.slots)/2))
	}
}

func (s *fidSet) resize(size int) {
	old := s.slots
	s.slots = make([]*fid, size)
	for _, f := range old {
		if f != nil {
			s.slots[s.find(f.id)] = f
		}
	}
}
