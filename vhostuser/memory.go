// SPDX-License-Identifier: Apache-2.0

package vhostuser

import (
	"fmt"
	"slices"

	"vhost-user-9p/virtqueue"
)

const (
	maxTableRegions = 8   // of SET_MEM_TABLE: VHOST_MEMORY_BASELINE_NREGIONS
	maxMemSlots     = 509 // of ADD_MEM_REG: what KVM once had for memory
)

func (s *session) getMaxMemSlots(*message) ([]byte, error) { return u64Payload(maxMemSlots), nil }

// setMemTable replaces the guest's memory. The payload may be longer than its regions: UML
// used to send room for two.
func (s *session) setMemTable(m *message) ([]byte, error) {
	n := m.u32(0)
	switch {
	case n < 1 || n > maxTableRegions:
		return nil, fmt.Errorf("%d memory regions, not 1 to %d", n, maxTableRegions)
	case len(m.payload) < 8+int(n)*memRegionSize:
		return nil, fmt.Errorf("payload of %d bytes is too short for %d memory regions", len(m.payload), n)
	case len(m.fds) != int(n):
		return nil, fmt.Errorf("%d file descriptors for %d memory regions", len(m.fds), n)
	}
	var regions []*virtqueue.Region
	defer func() { unref(regions) }() // the Memory has its own references
	for i, fd := range m.fds {
		r, err := mapRegion(fd, m.memRegion(8+i*memRegionSize))
		if err != nil {
			return nil, err
		}
		regions = append(regions, r)
	}
	mem, err := virtqueue.NewMemory(regions)
	if err != nil {
		return nil, err
	}
	s.replaceMemory(mem)
	return nil, nil
}

// addMemReg adds a region below rings that run: the chains that are being worked on stay
// valid.
func (s *session) addMemReg(m *message) ([]byte, error) {
	regions := s.regions()
	if len(regions) >= maxMemSlots {
		return nil, fmt.Errorf("more than %d memory regions", maxMemSlots)
	}
	r, err := mapRegion(m.fds[0], m.memRegion(8))
	if err != nil {
		return nil, err
	}
	defer r.Unref()
	mem, err := virtqueue.NewMemory(append(regions, r))
	if err != nil {
		return nil, err
	}
	for i := range s.rings {
		if q := s.rings[i].queue; q != nil {
			q.SetMemory(mem)
		}
	}
	s.swapMemory(mem)
	s.resume()
	return nil, nil
}

// remMemReg removes the region with the same addresses and size; the offset does not count.
func (s *session) remMemReg(m *message) ([]byte, error) {
	want := m.memRegion(8)
	regions := s.regions()
	i := slices.IndexFunc(regions, func(r *virtqueue.Region) bool {
		return r.GuestAddr() == want.guestAddr && r.UserAddr() == want.userAddr && r.Size() == want.size
	})
	if i < 0 {
		return nil, fmt.Errorf("no memory region of %#x bytes at guest address %#x", want.size, want.guestAddr)
	}
	regions = slices.Delete(regions, i, i+1)
	if len(regions) == 0 {
		s.replaceMemory(nil)
		return nil, nil
	}
	mem, err := virtqueue.NewMemory(regions)
	if err != nil {
		return nil, err
	}
	s.replaceMemory(mem)
	return nil, nil
}

func mapRegion(fd int, r memRegion) (*virtqueue.Region, error) {
	return virtqueue.MapRegion(fd, r.guestAddr, r.userAddr, r.size, r.offset)
}

func unref(regions []*virtqueue.Region) {
	for _, r := range regions {
		r.Unref()
	}
}

// regions returns a copy of the list of regions.
func (s *session) regions() []*virtqueue.Region {
	if s.mem == nil {
		return nil
	}
	return slices.Clone(s.mem.Regions())
}

// replaceMemory swaps the guest's memory for another, or none, of which it takes the
// ownership. What runs is drained before the old memory is unmapped, and goes on in the new.
func (s *session) replaceMemory(mem *virtqueue.Memory) {
	s.stopRings()
	s.swapMemory(mem)
	s.resume()
}

func (s *session) swapMemory(mem *virtqueue.Memory) {
	old := s.mem
	s.mem = mem
	if old != nil {
		old.Unref()
	}
}

// resume starts the rings that are wanted. One that has no memory waits for it, which is no
// error: QEMU removes a region and adds it again.
func (s *session) resume() {
	if s.mem == nil {
		return
	}
	for i := range s.rings {
		if err := s.rings[i].update(); err != nil {
			s.log.Warn("ring waits for other memory", "ring", i, "error", err)
		}
	}
}
