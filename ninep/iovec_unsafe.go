// SPDX-License-Identifier: Apache-2.0

// Why this is sound: the iovecs that come here describe memory that the transport
// has checked against its map of the peer's memory, and that stays mapped until
// the Call ends (the transport holds a lease on the map). No pointer is made to
// anything but a byte inside such an iovec, so none points past the end of an
// object, and an iovec of length 0 is never followed. The memory is shared with
// the peer, which may change it at any time: it is read and written as bytes
// only, once, and nothing is decided on a second read. Where the memory has gone
// (a truncated file behind it) an access faults; debug.SetPanicOnFault turns that
// into a panic, which Session.Serve reports as Fault.

package ninep

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Bytes returns the memory that v describes.
func Bytes(v *unix.Iovec) []byte {
	if v.Len == 0 {
		return nil
	}
	return unsafe.Slice(v.Base, int(v.Len))
}

// Len returns the sum of the lengths of iov.
func Len(iov []unix.Iovec) int {
	n := 0
	for i := range iov {
		n += int(iov[i].Len)
	}
	return n
}

// CopyFrom copies from iov, skipping its first off bytes, to dst, and returns the
// number of bytes, which is less than len(dst) only if iov ends before.
func CopyFrom(dst []byte, iov []unix.Iovec, off int) int {
	if len(iov) == 1 && uint64(off) <= iov[0].Len { // as nearly always
		return copy(dst, Bytes(&iov[0])[off:])
	}
	done := 0
	for i := range iov {
		if done == len(dst) {
			break
		}
		n := int(iov[i].Len)
		if off >= n {
			off -= n
			continue
		}
		done += copy(dst[done:], Bytes(&iov[i])[off:])
		off = 0
	}
	return done
}

// CopyTo copies src to iov, skipping its first off bytes, and returns the number
// of bytes, which is less than len(src) only if iov ends before.
func CopyTo(iov []unix.Iovec, off int, src []byte) int {
	if len(iov) > 0 && uint64(off+len(src)) <= iov[0].Len { // as nearly always
		return copy(Bytes(&iov[0])[off:], src)
	}
	done := 0
	for i := range iov {
		if done == len(src) {
			break
		}
		n := int(iov[i].Len)
		if off >= n {
			off -= n
			continue
		}
		done += copy(Bytes(&iov[i])[off:], src[done:])
		off = 0
	}
	return done
}

// Slice appends to dst the n bytes of iov from off on, or as many as there are,
// leaving out what is empty.
func Slice(dst, iov []unix.Iovec, off, n int) []unix.Iovec {
	for i := range iov {
		if n <= 0 {
			break
		}
		l := int(iov[i].Len)
		if off >= l {
			off -= l
			continue
		}
		part := unix.Iovec{Base: (*byte)(unsafe.Add(unsafe.Pointer(iov[i].Base), off))}
		take := min(l-off, n)
		part.SetLen(take)
		dst = append(dst, part)
		n -= take
		off = 0
	}
	return dst
}
