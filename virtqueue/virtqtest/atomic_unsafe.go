// SPDX-License-Identifier: Apache-2.0

package virtqtest

import (
	"sync/atomic"
	"unsafe"
)

// Sound: b is at least two bytes of a mapping from off on, and the aligned word that holds
// them lies in the same page.

func word(b []byte, off int) (*uint32, uint) {
	p := unsafe.Pointer(&b[off])
	if uintptr(p)&2 != 0 {
		return (*uint32)(unsafe.Add(p, -2)), 16
	}
	return (*uint32)(p), 0
}

func load16(b []byte, off int) uint16 {
	w, shift := word(b, off)
	return uint16(atomic.LoadUint32(w) >> shift)
}

func store16(b []byte, off int, v uint16) {
	w, shift := word(b, off)
	for {
		old := atomic.LoadUint32(w)
		if atomic.CompareAndSwapUint32(w, old, old&^(0xffff<<shift)|uint32(v)<<shift) {
			return
		}
	}
}

// Store16 writes the 16-bit field at the beginning of b, whose address is even, and leaves
// what shares a word with it as it is.
func Store16(b []byte, v uint16) { store16(b, 0, v) }

// load32 and store32 are for a word at the beginning of b, whose address is a multiple of 4.
func load32(b []byte) uint32 {
	_ = b[3]
	return atomic.LoadUint32((*uint32)(unsafe.Pointer(&b[0])))
}

func store32(b []byte, v uint32) {
	_ = b[3]
	atomic.StoreUint32((*uint32)(unsafe.Pointer(&b[0])), v)
}
