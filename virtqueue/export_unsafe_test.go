// SPDX-License-Identifier: Apache-2.0

package virtqueue

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Bytes returns the memory of an iovec, for tests that look at what a chain points to.
// Sound while the chain's lease lasts.
func Bytes(v *unix.Iovec) []byte { return unsafe.Slice(v.Base, v.Len) }

// HostAddr returns where a region is mapped.
func HostAddr(r *Region) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(r.mem))) }

// RegionBytes returns a region's memory.
func RegionBytes(r *Region) []byte { return r.mem }

// BaseAddr returns where an iovec begins.
func BaseAddr(v *unix.Iovec) uintptr { return uintptr(unsafe.Pointer(v.Base)) }

func word64(b []byte) *uint64 {
	_ = b[7]
	return (*uint64)(unsafe.Pointer(unsafe.SliceData(b)))
}

// LoadWord reads the first 8 bytes of a mapping, as a front end reads a dirty log.
func LoadWord(b []byte) uint64 { return atomic.LoadUint64(word64(b)) }

// SwapWord replaces them and returns what stood there.
func SwapWord(b []byte, v uint64) uint64 { return atomic.SwapUint64(word64(b), v) }
