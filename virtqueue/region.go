// SPDX-License-Identifier: Apache-2.0

package virtqueue

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Region is one contiguous range of guest memory, mapped. It is unmapped when the last
// reference goes.
type Region struct {
	guestAddr, userAddr uint64
	mem                 []byte // the region itself
	mapping             []byte // what was mapped: starts earlier on hugetlbfs
	refs                atomic.Int32
}

// MapRegion maps size bytes of the file fd from offset, shared with whoever else maps
// it. guestAddr is its guest-physical address, userAddr its address in the front end.
// The caller keeps fd, and may close it at once. The Region starts with one reference.
func MapRegion(fd int, guestAddr, userAddr, size, offset uint64) (*Region, error) {
	if size == 0 {
		return nil, errors.New("memory region of size 0")
	}
	if guestAddr+size < guestAddr || userAddr+size < userAddr || offset+size < offset || offset+size > math.MaxInt64 {
		return nil, fmt.Errorf("memory region of %#x bytes at guest address %#x wraps around", size, guestAddr)
	}
	mapping, skip, err := mapShared(fd, size, offset)
	if err != nil {
		return nil, fmt.Errorf("memory region at guest address %#x: %w", guestAddr, err)
	}
	// Guest memory is not ours to dump; an old kernel that cannot exclude it is no reason to stop.
	_ = unix.Madvise(mapping, unix.MADV_DONTDUMP)
	r := &Region{guestAddr: guestAddr, userAddr: userAddr, mem: mapping[skip : skip+size : skip+size], mapping: mapping}
	r.refs.Store(1)
	return r, nil
}

// mapShared maps at least [offset, offset+size) of fd and returns how far into the
// mapping offset lies: mmap wants offsets in units of the file system's page size, which
// on hugetlbfs is that of its huge pages.
func mapShared(fd int, size, offset uint64) (mapping []byte, skip uint64, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, 0, fmt.Errorf("fstat: %w", err)
	}
	// A mapping beyond the end of the file is a SIGBUS in waiting. Devices have no size.
	if st.Mode&unix.S_IFMT == unix.S_IFREG && offset+size > uint64(st.Size) {
		return nil, 0, fmt.Errorf("range of %#x bytes at offset %#x is beyond the end of the file of %#x bytes", size, offset, st.Size)
	}
	page := uint64(unix.Getpagesize())
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err == nil && fs.Type == unix.HUGETLBFS_MAGIC && fs.Bsize > 0 {
		page = uint64(fs.Bsize)
	}
	skip = offset % page
	length := size + skip
	if rest := length % page; rest != 0 && page > uint64(unix.Getpagesize()) {
		length += page - rest // munmap of huge pages wants whole ones
	}
	if length > math.MaxInt {
		return nil, 0, unix.ENOMEM
	}
	mapping, err = unix.Mmap(fd, int64(offset-skip), int(length), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		return nil, 0, fmt.Errorf("mmap of %#x bytes at offset %#x: %w", length, offset-skip, err)
	}
	return mapping, skip, nil
}

// GuestAddr returns the region's guest-physical address.
func (r *Region) GuestAddr() uint64 { return r.guestAddr }

// UserAddr returns the region's address in the front end's process.
func (r *Region) UserAddr() uint64 { return r.userAddr }

// Size returns the region's size in bytes.
func (r *Region) Size() uint64 { return uint64(len(r.mem)) }

// at returns the region's bytes from a guest-physical address on.
//
// Preconditions: the address lies in r.
func (r *Region) at(addr uint64) []byte { return r.mem[addr-r.guestAddr:] }

// Ref takes a reference.
func (r *Region) Ref() { r.refs.Add(1) }

// Unref drops a reference; the last one unmaps the region.
func (r *Region) Unref() {
	switch n := r.refs.Add(-1); {
	case n == 0:
		// Fails only for a range that is not a mapping, which this is.
		_ = unix.Munmap(r.mapping)
		r.mem, r.mapping = nil, nil
	case n < 0:
		panic("virtqueue: Region.Unref without a reference")
	}
}
