// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/virtqueue"
	"vhost-user-9p/virtqueue/virtqtest"
)

var nativeEndian = binary.NativeEndian

const (
	// guestBase is the guest-physical address of the first byte of a guest's memory.
	guestBase = 0x10_0000
	// userOffset is added to a guest address to make a front-end address.
	userOffset = 0x7000_0000_0000

	page = 4096
)

// guest is a guest's memory: a memfd, mapped once for the driver's side.
type guest struct {
	testing.TB
	fd  int
	mem []byte
}

func newGuest(tb testing.TB, size int) *guest {
	tb.Helper()
	fd, err := unix.MemfdCreate(memfdName, unix.MFD_CLOEXEC)
	if err != nil {
		tb.Fatal(err)
	}
	closeAtEnd(tb, fd)
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		tb.Fatal(err)
	}
	mem, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = unix.Munmap(mem) })
	return &guest{TB: tb, fd: fd, mem: mem}
}

// end is the first address after the guest's memory.
func (g *guest) end() uint64 { return guestBase + uint64(len(g.mem)) }

// region maps [from, to) for the device.
func (g *guest) region(from, to uint64) *virtqueue.Region {
	g.Helper()
	r, err := virtqueue.MapRegion(g.fd, from, from+userOffset, to-from, from-guestBase)
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(r.Unref)
	return r
}

// memory maps the guest's memory for the device, in one region or cut into several at the
// given guest addresses.
func (g *guest) memory(cuts ...uint64) *virtqueue.Memory {
	g.Helper()
	var regions []*virtqueue.Region
	from := uint64(guestBase)
	for _, to := range append(cuts, g.end()) {
		regions = append(regions, g.region(from, to))
		from = to
	}
	return g.snapshot(regions...)
}

func (g *guest) snapshot(regions ...*virtqueue.Region) *virtqueue.Memory {
	g.Helper()
	m, err := virtqueue.NewMemory(regions)
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(m.Unref)
	return m
}

// bytes returns the driver's view of n bytes at guest address addr.
func (g *guest) bytes(addr uint64, n int) []byte {
	return g.mem[addr-guestBase:][:n:n]
}

// layouts runs a test over both layouts of a ring, which is given as a feature.
func layouts(t *testing.T, f func(t *testing.T, layout virtqueue.Features)) {
	t.Run("split", func(t *testing.T) { f(t, 0) })
	t.Run("packed", func(t *testing.T) { f(t, virtqueue.FeatureRingPacked) })
}

// setup says what ring to make. The zero value is a split ring of 8 entries with indirect
// descriptors and without the event index.
type setup struct {
	size     int
	memory   int // bytes, 1 MiB if 0
	features virtqueue.Features
	plain    bool   // no indirect descriptors
	start    uint16 // index at which both sides begin
	cuts     func(data uint64) []uint64
	layout   *virtqtest.Layout // if set, where the parts of the ring lie
}

// ring is both sides of one queue.
type ring struct {
	*guest
	drv  *virtqtest.Driver
	q    *virtqueue.Queue
	cfg  virtqueue.Config
	call int
	data uint64 // first guest address after the ring, page-aligned

	mapped *virtqueue.Memory // the device's

	bad  []badChain
	dead []error
}

type badChain struct {
	head uint16
	err  error
}

func newRing(tb testing.TB, s setup) *ring {
	tb.Helper()
	if s.size == 0 {
		s.size = 8
	}
	if s.memory == 0 {
		s.memory = 1 << 20
	}
	if !s.plain {
		s.features |= virtqueue.FeatureIndirectDesc
	}
	g := newGuest(tb, s.memory)
	layoutAt := virtqtest.LayoutAt
	if s.features.Has(virtqueue.FeatureRingPacked) {
		layoutAt = virtqtest.PackedLayoutAt
	}
	layout, end := layoutAt(guestBase, s.size)
	if s.layout != nil {
		layout = *s.layout
	}
	r := &ring{guest: g, data: (end + page - 1) &^ (page - 1)}
	r.drv = virtqtest.New(g.mem, guestBase, layout, s.features.Has(virtqueue.FeatureEventIdx))
	r.drv.StartAt(s.start)
	var cuts []uint64
	if s.cuts != nil {
		cuts = s.cuts(r.data)
	}
	r.cfg = virtqueue.Config{
		Size:      s.size,
		Features:  s.features,
		DescAddr:  layout.Desc + userOffset,
		AvailAddr: layout.Avail + userOffset,
		UsedAddr:  layout.Used + userOffset,
		Base:      r.drv.Base(),
	}
	r.open(g.memory(cuts...))
	r.call = eventfd(tb)
	r.q.SetCall(r.call)
	if n := events(tb, r.call); n != 1 {
		tb.Fatalf("a new call fd was signalled %d times, want once", n)
	}
	return r
}

// open makes the device's side.
func (r *ring) open(m *virtqueue.Memory) {
	r.Helper()
	q, err := virtqueue.NewQueue(m, r.cfg)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = q.Close() })
	q.OnTrouble(
		func(head uint16, err error) { r.bad = append(r.bad, badChain{head, err}) },
		func(err error) { r.dead = append(r.dead, err) })
	r.q, r.mapped = q, m
}

// pop takes a chain that must be there.
func (r *ring) pop() *virtqueue.Chain {
	r.Helper()
	c := new(virtqueue.Chain)
	if ok, err := r.q.Pop(c); !ok || err != nil {
		r.Fatalf("Pop: %v, %v; want a chain", ok, err)
	}
	return c
}

// popNone checks that there is none.
func (r *ring) popNone() {
	r.Helper()
	c := new(virtqueue.Chain)
	if ok, err := r.q.Pop(c); ok || err != nil {
		r.Fatalf("Pop: %v, %v; want no chain", ok, err)
	}
}

// take checks the next used chain.
func (r *ring) take(head uint16, written uint32) {
	r.Helper()
	h, n, ok := r.drv.Take()
	if !ok {
		r.Fatalf("no used chain, want head %d with %d bytes", head, written)
	}
	if h != head || n != written {
		r.Fatalf("used chain: head %d, %d bytes; want head %d, %d bytes", h, n, head, written)
	}
}

// takeNone checks that there is none.
func (r *ring) takeNone() {
	r.Helper()
	if h, n, ok := r.drv.Take(); ok {
		r.Fatalf("used chain: head %d, %d bytes; want none", h, n)
	}
}

// gather copies the bytes of iovecs.
func gather(iovs []unix.Iovec) []byte {
	var b []byte
	for i := range iovs {
		b = append(b, virtqueue.Bytes(&iovs[i])...)
	}
	return b
}

// scatter copies b to iovecs and returns how much went.
func scatter(iovs []unix.Iovec, b []byte) (n int) {
	for i := range iovs {
		n += copy(virtqueue.Bytes(&iovs[i]), b[n:])
	}
	return n
}
