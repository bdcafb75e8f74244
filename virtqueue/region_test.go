// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/virtqueue"
)

func TestMapRegionRefuses(t *testing.T) {
	g := newGuest(t, 4*page)
	readOnly, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", g.fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, readOnly)
	p := pipe(t, 0)
	for name, try := range map[string]struct {
		fd                        int
		guest, user, size, offset uint64
	}{
		"size 0":                 {g.fd, 0, 0, 0, 0},
		"one byte too many":      {g.fd, 0, 0, 4*page + 1, 0},
		"offset at the end":      {g.fd, 0, 0, 1, 4 * page},
		"offset beyond the end":  {g.fd, 0, 0, page, 1 << 40},
		"end beyond the end":     {g.fd, 0, 0, page, 3*page + 1},
		"guest address wraps":    {g.fd, math.MaxUint64 - page + 1, 0, page, 0},
		"user address wraps":     {g.fd, 0, math.MaxUint64 - page + 1, page, 0},
		"offset wraps":           {g.fd, 0, 0, page, math.MaxUint64 - page + 2},
		"size and offset wrap":   {g.fd, 0, 0, math.MaxUint64, 2},
		"offset beyond an int64": {g.fd, 0, 0, page, math.MaxInt64},
		"size beyond an int64":   {g.fd, 0, 0, math.MaxInt64 + 1, 0},
		"not writable":           {readOnly, 0, 0, page, 0},
		"a pipe":                 {p[0], 0, 0, page, 0},
		"not open":               {-1, 0, 0, page, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := virtqueue.MapRegion(try.fd, try.guest, try.user, try.size, try.offset)
			if err == nil {
				r.Unref()
				t.Fatal("mapped")
			}
			t.Log(err)
		})
	}
}

// A region may begin and end anywhere in its file, and shows just that.
func TestMapRegionAnywhere(t *testing.T) {
	g := newGuest(t, 4*page)
	for i := range g.mem {
		g.mem[i] = byte(i * i >> 7)
	}
	for _, at := range [][2]uint64{{0, 1}, {1, 1}, {page - 1, 2}, {page, page}, {100, 3 * page}, {4*page - 1, 1}, {0, 4 * page}} {
		r, err := virtqueue.MapRegion(g.fd, 1<<32, 1<<33, at[1], at[0])
		if err != nil {
			t.Errorf("%d bytes at %d: %v", at[1], at[0], err)
			continue
		}
		if r.GuestAddr() != 1<<32 || r.UserAddr() != 1<<33 || r.Size() != at[1] {
			t.Errorf("region says %#x, %#x, %#x", r.GuestAddr(), r.UserAddr(), r.Size())
		}
		if !bytes.Equal(virtqueue.RegionBytes(r), g.mem[at[0]:at[0]+at[1]]) {
			t.Errorf("%d bytes at %d are not those of the file", at[1], at[0])
		}
		r.Unref()
	}
}

// mapped returns how many mappings of a memfd of this name the process has.
func mapped(tb testing.TB, name string) int {
	tb.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		tb.Fatal(err)
	}
	return strings.Count(string(maps), name)
}

// hugetlbfs maps whole huge pages only. No page is touched, and none is needed.
func TestMapRegionOfHugePages(t *testing.T) {
	const name, huge = memfdName + "-huge", 2 << 20
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_HUGETLB|unix.MFD_HUGE_2MB)
	if err != nil {
		needs(t, "memfds of 2 MiB pages", err)
	}
	closeAtEnd(t, fd)
	if err := unix.Ftruncate(fd, 4*huge); err != nil {
		t.Fatal(err)
	}
	for _, at := range [][2]uint64{{0, huge}, {0, 4 * huge}, {page, huge}, {huge + page, page}, {huge - page, 2 * page}, {0, 1}, {4*huge - 1, 1}} {
		r, err := virtqueue.MapRegion(fd, 0, 0, at[1], at[0])
		if err != nil {
			t.Errorf("%#x bytes at %#x: %v", at[1], at[0], err)
			continue
		}
		if r.Size() != at[1] || uint64(virtqueue.HostAddr(r))%huge != at[0]%huge {
			t.Errorf("%#x bytes at %#x: region of %#x bytes at %#x", at[1], at[0], r.Size(), virtqueue.HostAddr(r))
		}
		r.Unref()
		if n := mapped(t, name); n != 0 {
			t.Fatalf("%#x bytes at %#x: still mapped after Unref", at[1], at[0])
		}
	}
	if r, err := virtqueue.MapRegion(fd, 0, 0, huge+1, 3*huge); err == nil {
		r.Unref()
		t.Error("mapped beyond the end of the file")
	}
}

// needs skips a test on a machine that lacks what it needs.
func needs(tb testing.TB, what string, err error) {
	tb.Helper()
	tb.Skipf("this machine has no %s: %v", what, err)
}

func TestNewMemoryRefusesOverlaps(t *testing.T) {
	g := newGuest(t, 4*page)
	at := func(guestAddr, userAddr, size uint64) *virtqueue.Region {
		r, err := virtqueue.MapRegion(g.fd, guestAddr, userAddr, size, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Unref)
		return r
	}
	a := at(10*page, 110*page, 2*page)
	for name, tc := range map[string]struct {
		b  *virtqueue.Region
		ok bool
	}{
		"apart":                       {at(20*page, 120*page, page), true},
		"touch above":                 {at(12*page, 112*page, page), true},
		"touch below":                 {at(9*page, 109*page, page), true},
		"guest overlaps above":        {at(12*page-1, 120*page, page), false},
		"guest overlaps below":        {at(9*page+1, 120*page, page), false},
		"user overlaps above":         {at(20*page, 112*page-1, page), false},
		"user overlaps below":         {at(20*page, 109*page+1, page), false},
		"guest inside":                {at(11*page, 120*page, 1), false},
		"user around":                 {at(20*page, 109*page, 4*page), false},
		"the same":                    {a, false},
		"guest and user change order": {at(9*page, 120*page, page), true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, regions := range [][]*virtqueue.Region{{a, tc.b}, {tc.b, a}} {
				m, err := virtqueue.NewMemory(regions)
				if (err == nil) != tc.ok {
					t.Errorf("%v, want ok: %v", err, tc.ok)
				}
				if m != nil {
					if r := m.Regions(); len(r) != 2 || r[0].GuestAddr() > r[1].GuestAddr() {
						t.Error("regions are not in the order of guest addresses")
					}
					m.Unref()
				}
			}
		})
	}
}

// A region stays mapped as long as anybody holds it: whoever mapped it, a snapshot, a queue.
func TestRegionLifetime(t *testing.T) {
	g := newGuest(t, 16*page)
	before := mapped(t, memfdName)
	check := func(when string, n int) {
		t.Helper()
		if got := mapped(t, memfdName) - before; got != n {
			t.Errorf("%s: %d mappings, want %d", when, got, n)
		}
	}
	// Apart, so that the kernel does not show them as one.
	low, err := virtqueue.MapRegion(g.fd, 0, 0, page, 8*page)
	if err != nil {
		t.Fatal(err)
	}
	high, err := virtqueue.MapRegion(g.fd, page, page, page, 0)
	if err != nil {
		t.Fatal(err)
	}
	check("mapped", 2)
	both, err := virtqueue.NewMemory([]*virtqueue.Region{high, low})
	if err != nil {
		t.Fatal(err)
	}
	one, err := virtqueue.NewMemory([]*virtqueue.Region{low})
	if err != nil {
		t.Fatal(err)
	}
	low.Unref()
	high.Unref()
	check("in snapshots", 2)
	q, err := virtqueue.NewQueue(one, virtqueue.Config{Size: 4, DescAddr: 0, AvailAddr: 256, UsedAddr: 512})
	if err != nil {
		t.Fatal(err)
	}
	one.Unref()
	q.SetMemory(both)
	both.Unref()
	check("in a queue", 2)
	_ = q.Close()
	check("after the last", 0)
}
