// SPDX-License-Identifier: Apache-2.0

package hostfs

import "unsafe"

// packed is a string of at most maxPacked bytes, such as a file name, behind a single
// pointer: there can be a million of them. The zero value is the empty string.
//
// The pointer leads to the first byte of an allocation, which begins with its size, in
// units, and the length of the string. It is sound to make a slice of as many bytes
// again, because the size is never changed.
type packed struct{ p *byte }

const (
	packedUnit = 8 // the steps that memory is allocated in
	packedHead = 2
	maxPacked  = 255
)

func (s packed) memory() []byte {
	if s.p == nil {
		return nil
	}
	return unsafe.Slice(s.p, int(*s.p)*packedUnit)
}

// bytes returns the string, until the next set.
func (s packed) bytes() []byte {
	m := s.memory()
	if m == nil {
		return nil
	}
	return m[packedHead:][:m[1]]
}

func (s packed) empty() bool { return len(s.bytes()) == 0 }

// set copies b, into the memory that there is if that suffices.
//
// Preconditions: len(b) <= maxPacked.
func (s *packed) set(b []byte) {
	m := s.memory()
	if need := packedHead + len(b); need > len(m) {
		units := (need + packedUnit - 1) / packedUnit
		m = make([]byte, units*packedUnit)
		m[0] = byte(units)
		s.p = &m[0]
	}
	m[1] = byte(copy(m[packedHead:], b))
}

// clear makes s empty, and gives up the memory if that is more than common.
func (s *packed) clear() {
	switch m := s.memory(); {
	case len(m) > 8*packedUnit:
		s.p = nil
	case m != nil:
		m[1] = 0
	}
}
