// SPDX-License-Identifier: Apache-2.0

package vhosttest

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// RegionSpec says what a region of guest memory is to be like.
type RegionSpec struct {
	GuestAddr, UserAddr, Size uint64
	Offset                    uint64 // in its file, of which the bytes before are a hole
}

// DefaultRegions are like a small QEMU's: memory below and above 4 GiB, with addresses of the
// front end that have nothing to do with those of the guest.
func DefaultRegions() []RegionSpec {
	return []RegionSpec{
		{GuestAddr: 0, UserAddr: 0x7f0000000000, Size: 16 << 20},
		{GuestAddr: 1 << 32, UserAddr: 0x7f1000000000, Size: 8 << 20, Offset: 16 << 20},
	}
}

// Region is one region of guest memory, a memfd of its own.
type Region struct {
	RegionSpec
	FD    int
	Bytes []byte

	shared bool // the back end has it
}

// Memory is a guest's memory.
type Memory struct{ Regions []*Region }

// NewMemory makes memory of regions, or of DefaultRegions, that lasts until the end of the test.
func NewMemory(tb testing.TB, specs ...RegionSpec) *Memory {
	tb.Helper()
	if len(specs) == 0 {
		specs = DefaultRegions()
	}
	m := &Memory{}
	for _, s := range specs {
		m.Regions = append(m.Regions, NewRegion(tb, s))
	}
	return m
}

// NewRegion makes one region, which lasts until the end of the test.
func NewRegion(tb testing.TB, s RegionSpec) *Region {
	tb.Helper()
	fd, err := unix.MemfdCreate("guest", unix.MFD_CLOEXEC)
	if err != nil {
		tb.Fatalf("memfd_create: %v", err)
	}
	tb.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Ftruncate(fd, int64(s.Offset+s.Size)); err != nil {
		tb.Fatalf("ftruncate: %v", err)
	}
	b, err := unix.Mmap(fd, int64(s.Offset), int(s.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		tb.Fatalf("mmap: %v", err)
	}
	tb.Cleanup(func() { _ = unix.Munmap(b) })
	return &Region{RegionSpec: s, FD: fd, Bytes: b}
}

// User returns the front end's address for a guest address.
func (m *Memory) User(guest uint64) uint64 {
	for _, r := range m.Regions {
		if guest >= r.GuestAddr && guest-r.GuestAddr < r.Size {
			return r.UserAddr + guest - r.GuestAddr
		}
	}
	panic(fmt.Sprintf("vhosttest: guest address %#x is in no region", guest))
}

// Guest returns the n bytes at a guest address.
func (m *Memory) Guest(addr uint64, n int) []byte {
	for _, r := range m.Regions {
		if addr >= r.GuestAddr && addr-r.GuestAddr < r.Size {
			off := addr - r.GuestAddr
			return r.Bytes[off : off+uint64(n) : off+uint64(n)]
		}
	}
	panic(fmt.Sprintf("vhosttest: guest address %#x is in no region", addr))
}
