// SPDX-License-Identifier: Apache-2.0

package virtqueue

import (
	"sync/atomic"
	"unsafe"
)

// Why this file is sound: a shared value is made from a slice of a mapping, whose length
// it keeps; every access is checked against that length, and the addresses of multi-byte
// accesses are multiples of their size because the base is (checked by the caller when the
// ring is set up; atomics fault on others) and so are the offsets. The memory is not Go's,
// so that no pointer in it is followed and the collector never looks at it. An access to a
// page that has gone is a fault, which SetPanicOnFault turns into a panic.

// shared is a piece of memory that another process writes to as well. Each access but put32 and put is
// one atomic operation; the caller sees to it that what must not change is read once.
type shared []byte

func (s shared) word(off int) *uint32 {
	_, _ = s[off], s[off+3]
	return (*uint32)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(s)), off))
}

// load32 reads the 32-bit word at off, a multiple of 4.
func (s shared) load32(off int) uint32 { return atomic.LoadUint32(s.word(off)) }

// store32 writes the 32-bit word at off, a multiple of 4.
func (s shared) store32(off int, v uint32) { atomic.StoreUint32(s.word(off), v) }

// put32 writes the 32-bit word at off, a multiple of 4, which nobody looks at before a store32
// or store16 that follows: that one orders them, and is the one that costs.
func (s shared) put32(off int, v uint32) { *s.word(off) = v }

// half returns the aligned 32-bit word that holds the 16-bit field at off, and its shift.
// The word can begin two bytes before s or end two bytes after it, but not outside the
// page that the field is in. (Go has no 16-bit atomics.)
func (s shared) half(off int) (*uint32, uint) {
	_, _ = s[off], s[off+1]
	p := unsafe.Add(unsafe.Pointer(unsafe.SliceData(s)), off)
	if uintptr(p)&2 != 0 {
		return (*uint32)(unsafe.Add(p, -2)), 16
	}
	return (*uint32)(p), 0
}

// load16 reads the 16-bit field at off, a multiple of 2.
func (s shared) load16(off int) uint16 {
	w, shift := s.half(off)
	return uint16(atomic.LoadUint32(w) >> shift)
}

// store16 writes the 16-bit field at off and leaves the other half of its word as it is,
// whoever writes there.
func (s shared) store16(off int, v uint16) {
	w, shift := s.half(off)
	for {
		old := atomic.LoadUint32(w)
		if atomic.CompareAndSwapUint32(w, old, old&^(0xffff<<shift)|uint32(v)<<shift) {
			return
		}
	}
}

// aligned reports whether s begins at a multiple of n, a power of two.
func (s shared) aligned(n uintptr) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(s)))&(n-1) == 0
}

// or sets bits in the byte at off.
func (s shared) or(off int, bits byte) {
	_ = s[off]
	p := unsafe.Pointer(unsafe.SliceData(s[off:]))
	shift := (uintptr(p) & 3) * 8
	atomic.OrUint32((*uint32)(unsafe.Add(p, -int(uintptr(p)&3))), uint32(bits)<<shift)
}

// descTable is a table of descriptors in shared memory, each of them two words of 64 bits: the
// address, and all the rest.
type descTable [][2]uint64

// descAlign is the alignment of a descTable, which is half of what the specification has.
const descAlign = 8

// descTable returns s as a table of descriptors. Preconditions: s is aligned to descAlign.
func (s shared) descTable() descTable {
	return unsafe.Slice((*[2]uint64)(unsafe.Pointer(unsafe.SliceData(s))), len(s)/descSize)
}

// load reads a descriptor.
func (t descTable) load(i int) (addr, rest uint64) {
	p := &t[i]
	rest = atomic.LoadUint64(&p[1]) // first: in a packed ring it has the flags
	return atomic.LoadUint64(&p[0]), rest
}

// loadRest reads the second word of a descriptor.
func (t descTable) loadRest(i int) uint64 { return atomic.LoadUint64(&t[i][1]) }

// storeRest writes it.
func (t descTable) storeRest(i int, v uint64) { atomic.StoreUint64(&t[i][1], v) }

// offset returns where in mem a pointer points to; len(mem) or more if it is not in there.
func offset(mem []byte, p *byte) uint64 {
	return uint64(uintptr(unsafe.Pointer(p)) - uintptr(unsafe.Pointer(unsafe.SliceData(mem))))
}
