// SPDX-License-Identifier: Apache-2.0

package virtqueue

import (
	"fmt"
	"slices"
	"sync/atomic"
)

// Memory is an immutable snapshot of the guest's memory. It holds a reference on each of
// its regions until its own last reference goes.
type Memory struct {
	regions []*Region // by guest address
	refs    atomic.Int32
}

// NewMemory makes a snapshot of regions, which must not overlap, neither in guest nor in
// user addresses. The Memory starts with one reference.
func NewMemory(regions []*Region) (*Memory, error) {
	byUser := slices.Clone(regions)
	slices.SortFunc(byUser, func(a, b *Region) int { return compare(a.userAddr, b.userAddr) })
	for i := 1; i < len(byUser); i++ {
		if a, b := byUser[i-1], byUser[i]; a.userAddr+a.Size() > b.userAddr {
			return nil, fmt.Errorf("memory regions at user addresses %#x and %#x overlap", a.userAddr, b.userAddr)
		}
	}
	byGuest := slices.Clone(regions)
	slices.SortFunc(byGuest, func(a, b *Region) int { return compare(a.guestAddr, b.guestAddr) })
	for i := 1; i < len(byGuest); i++ {
		if a, b := byGuest[i-1], byGuest[i]; a.guestAddr+a.Size() > b.guestAddr {
			return nil, fmt.Errorf("memory regions at guest addresses %#x and %#x overlap", a.guestAddr, b.guestAddr)
		}
	}
	for _, r := range byGuest {
		r.Ref()
	}
	m := &Memory{regions: byGuest}
	m.refs.Store(1)
	return m, nil
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Ref takes a reference.
func (m *Memory) Ref() { m.refs.Add(1) }

// Unref drops a reference, and with the last one those on the regions.
func (m *Memory) Unref() {
	switch n := m.refs.Add(-1); {
	case n == 0:
		for _, r := range m.regions {
			r.Unref()
		}
	case n < 0:
		panic("virtqueue: Memory.Unref without a reference")
	}
}

// Regions returns the regions by guest address. The slice is not to be changed.
func (m *Memory) Regions() []*Region { return m.regions }

// region returns the region that a guest-physical address lies in, nil if there is none.
func (m *Memory) region(addr uint64) *Region {
	lo, hi := 0, len(m.regions)
	for lo < hi { // the first region that starts above addr
		mid := int(uint(lo+hi) >> 1)
		if m.regions[mid].guestAddr > addr {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	if lo == 0 {
		return nil
	}
	if r := m.regions[lo-1]; addr-r.guestAddr < r.Size() {
		return r
	}
	return nil
}

// user returns the n bytes at a front-end address, which must lie in one region.
func (m *Memory) user(addr, n uint64) ([]byte, error) {
	for _, r := range m.regions {
		off := addr - r.userAddr
		if addr < r.userAddr || off >= uint64(len(r.mem)) {
			continue
		}
		if n > uint64(len(r.mem))-off {
			return nil, fmt.Errorf("%#x bytes at user address %#x reach beyond their memory region", n, addr)
		}
		return r.mem[off : off+n : off+n], nil
	}
	return nil, fmt.Errorf("user address %#x is in no memory region", addr)
}

// guestAddr returns the guest-physical address of a front-end address that is in a region.
func (m *Memory) guestAddr(user uint64) uint64 {
	for _, r := range m.regions {
		if user-r.userAddr < uint64(len(r.mem)) {
			return user - r.userAddr + r.guestAddr
		}
	}
	return 0
}
