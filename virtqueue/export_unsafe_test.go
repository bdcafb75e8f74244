// SPDX-License-Identifier: Apache-2.0

package virtqueue

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Bytes returns the memory of an iovec, for tests that look at what a chain points to.
// Sound while the chain's lease lasts.
func Bytes(v *unix.Iovec) []byte { return unsafe.Slice(v.Base, v.Len) }

// HostAddr returns where a region is mapped.
func HostAddr(r *Region) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(r.mem))) }

// BaseAddr returns where an iovec begins.
func BaseAddr(v *unix.Iovec) uintptr { return uintptr(unsafe.Pointer(v.Base)) }
