// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"vhost-user-9p/virtqueue"
	"vhost-user-9p/virtqueue/virtqtest"
)

// check compares a chain with the buffers that the driver put into it: what the device
// reads through it, and where what it writes arrives.
func (r *ring) check(c *virtqueue.Chain, out, in []virtqtest.Buf) {
	r.Helper()
	var want []byte
	for _, b := range out {
		p := r.bytes(b.Addr, int(b.Len))
		for i := range p {
			p[i] = byte(rand.Uint32())
		}
		want = append(want, p...)
	}
	if got := gather(c.Readable); c.ReadLen != len(want) || !bytes.Equal(got, want) {
		r.Errorf("readable: %d bytes, ReadLen %d, not the %d bytes that the driver wrote", len(got), c.ReadLen, len(want))
	}
	total := 0
	for _, b := range in {
		total += int(b.Len)
	}
	reply := make([]byte, total)
	for i := range reply {
		reply[i] = byte(rand.Uint32())
	}
	if n := scatter(c.Writable, reply); c.WriteLen != total || n != total {
		r.Errorf("writable: room for %d bytes, WriteLen %d, want %d", n, c.WriteLen, total)
	}
	for i, b := range in {
		p := r.bytes(b.Addr, int(b.Len))
		if !bytes.Equal(p, reply[:len(p)]) {
			r.Errorf("writable buffer %d at %#x does not hold what was written to it", i, b.Addr)
		}
		reply = reply[len(p):]
	}
}

func TestChainDirections(t *testing.T) { layouts(t, testChainDirections) }

func testChainDirections(t *testing.T, layout virtqueue.Features) {
	r := newRing(t, setup{features: layout})
	out, in := buffers(r.data, 3), buffers(r.data+8*page, 4)
	for _, tc := range []struct{ out, in []virtqtest.Buf }{{out, in}, {out, nil}, {nil, in}} {
		head := r.drv.Add(tc.out, tc.in)
		c := r.pop()
		if c.Head() != head {
			t.Errorf("head %d, want %d", c.Head(), head)
		}
		r.check(c, tc.out, tc.in)
		r.q.Push(c, c.WriteLen)
		r.take(head, uint32(c.WriteLen))
	}
	if n := r.q.Chains(); n != 3 {
		t.Errorf("%d chains counted, want 3", n)
	}
}

func TestChainMerges(t *testing.T) { layouts(t, testChainMerges) }

func testChainMerges(t *testing.T, layout virtqueue.Features) {
	r := newRing(t, setup{size: 32, features: layout})
	at := func(off uint64, n uint32) virtqtest.Buf { return virtqtest.Buf{Addr: r.data + off, Len: n} }
	// many are n buffers one behind the other.
	many := func(off uint64, n int) (bufs []virtqtest.Buf) {
		for i := range n {
			bufs = append(bufs, at(off+uint64(i)*100, 100))
		}
		return bufs
	}
	for _, tc := range []struct {
		name    string
		out, in []virtqtest.Buf
		r, w    int // iovecs
	}{
		{"adjacent", []virtqtest.Buf{at(0, 10), at(10, page), at(10+page, 1)}, nil, 1, 0},
		{"adjacent but for a byte", []virtqtest.Buf{at(0, 10), at(11, 10)}, nil, 2, 0},
		{"the wrong way round", []virtqtest.Buf{at(10, 10), at(0, 10)}, nil, 2, 0},
		{"twice the same", []virtqtest.Buf{at(0, 10), at(0, 10)}, nil, 2, 0},
		{"not across directions", []virtqtest.Buf{at(0, 10)}, []virtqtest.Buf{at(10, 10), at(20, 10)}, 1, 1},
		{"empty ones between", []virtqtest.Buf{at(0, 10), at(500, 0), at(10, 10)}, nil, 1, 0},
		{"many", many(0, 12), many(2*page, 12), 1, 1},
		{"many, from the end of others on", many(0, 12), many(1200, 12), 1, 1},
		{"many, with gaps", slices.Concat(many(0, 5), many(page, 1), many(2*page, 5)), nil, 3, 0},
		{"many, with empty ones between", slices.Concat(many(0, 5), many(500, 5), []virtqtest.Buf{at(1000, 0)}, many(1000, 3)), nil, 1, 0},
		{"empty", []virtqtest.Buf{at(0, 0)}, []virtqtest.Buf{at(0, 0)}, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r.TB = t
			r.drv.Add(tc.out, tc.in)
			c := r.pop()
			if len(c.Readable) != tc.r || len(c.Writable) != tc.w {
				t.Errorf("%d iovecs to read and %d to write, want %d and %d", len(c.Readable), len(c.Writable), tc.r, tc.w)
			}
			if tc.name != "twice the same" { // and so of random content
				r.check(c, tc.out, tc.in)
			}
			r.q.Push(c, 0)
			r.drv.Take()
		})
	}
}

// Buffers may lie in several regions, as long as nothing is missing between them.
func TestChainAcrossRegions(t *testing.T) { layouts(t, testChainAcrossRegions) }

func testChainAcrossRegions(t *testing.T, layout virtqueue.Features) {
	for _, cuts := range [][]uint64{
		{page},
		{page, 2 * page, 3 * page, 4 * page},
		{1},
		{100, 101, 102, page + 1, 3*page - 1},
	} {
		t.Run(fmt.Sprint(cuts), func(t *testing.T) {
			r := newRing(t, setup{features: layout, cuts: func(data uint64) []uint64 {
				at := []uint64{data}
				for _, c := range cuts {
					at = append(at, data+c)
				}
				return at
			}})
			whole := virtqtest.Buf{Addr: r.data, Len: 8 * page}
			out := []virtqtest.Buf{{Addr: r.data, Len: 90}, {Addr: r.data + 90, Len: 20}, {Addr: r.data + page - 1, Len: 3 * page}}
			r.drv.Add([]virtqtest.Buf{whole}, nil)
			r.drv.Add(nil, []virtqtest.Buf{whole})
			r.drv.Add(out, []virtqtest.Buf{{Addr: r.data + 4*page - 2, Len: 4}, {Addr: r.data + 4*page + 2, Len: page}})
			c := r.pop()
			r.check(c, []virtqtest.Buf{whole}, nil)
			if n := len(c.Readable); n > len(cuts)+1 {
				t.Errorf("%d iovecs in %d regions", n, len(cuts)+1)
			}
			r.check(r.pop(), nil, []virtqtest.Buf{whole})
			c = r.pop()
			// The readable ones overlap: the last that was written to a byte counts.
			if c.ReadLen != 90+20+3*page || c.WriteLen != 4+page {
				t.Errorf("ReadLen %d, WriteLen %d", c.ReadLen, c.WriteLen)
			}
			if got := gather(c.Readable)[90+20:]; !bytes.Equal(got, r.bytes(r.data+page-1, 3*page)) {
				t.Error("the last readable buffer is not the driver's")
			}
		})
	}
}

// A piece never reaches from one region into another, even if they happen to be mapped next to
// each other: the pages of both are in the dirty log.
func TestPieceLiesInOneRegion(t *testing.T) {
	r := newRing(t, setup{memory: 64 << 20})
	// The kernel hands addresses out downwards, so that the second lies below the first,
	// unless a hole of just that size was left somewhere.
	const half = 8 << 20
	for range 16 {
		middle := r.data + half
		high, low := r.region(middle, middle+half), r.region(guestBase, middle)
		if virtqueue.HostAddr(low)+uintptr(low.Size()) != virtqueue.HostAddr(high) {
			continue
		}
		_ = r.q.Close()
		r.open(r.snapshot(low, high))
		logs := newGuest(t, page)
		r.q.SetLog(newLog(t, logs, page))
		buf := []virtqtest.Buf{{Addr: middle - 100, Len: 300}}
		r.drv.Add(nil, buf)
		c := r.pop()
		if len(c.Writable) != 2 {
			t.Errorf("%d iovecs, want 2", len(c.Writable))
		}
		r.check(c, nil, buf)
		r.q.Push(c, 300)
		wantDirty(t, "a buffer across regions", logs.mem, pagesOf(buf...))
		return
	}
	t.Fatal("no two regions were mapped next to each other")
}

func TestIndirect(t *testing.T) { layouts(t, testIndirect) }

func testIndirect(t *testing.T, layout virtqueue.Features) {
	for _, size := range []int{1, 4, 128, 2048} {
		for _, descs := range []int{1, 2, 3, 64, 128, 1024, 2048} {
			if descs > 1024 && descs > size {
				continue
			}
			for _, place := range []struct {
				name  string
				table uint64 // from data on
				cuts  []uint64
			}{
				{"aligned", 0, nil},
				{"off by 1", 1, nil},
				{"off by 2", 2, nil},
				{"off by 4", 4, nil},
				{"off by 8", 8, nil},
				{"regions between descriptors", page - 16, []uint64{page}},
				{"regions inside a descriptor", page - 12, []uint64{page}},
				{"regions inside a field", page - 3, []uint64{page}},
				{"many regions", 3, []uint64{4, 5, 7, 16, 17, 33}},
			} {
				t.Run(fmt.Sprintf("size=%d/descs=%d/%s", size, descs, place.name), func(t *testing.T) {
					r := newRing(t, setup{features: layout, size: size, memory: 4 << 20, start: 0xffff, cuts: func(data uint64) []uint64 {
						var at []uint64
						for _, c := range place.cuts {
							at = append(at, data+c)
						}
						return at
					}})
					bufs := make([]virtqtest.Buf, descs)
					for i := range bufs {
						bufs[i] = virtqtest.Buf{Addr: r.data + 16*page + uint64(i)*512, Len: uint32(1 + i%300)}
					}
					split := descs / 3
					head := r.drv.AddIndirect(r.data+place.table, bufs[:split], bufs[split:])
					c := r.pop()
					if len(c.Readable)+len(c.Writable) != descs {
						t.Errorf("%d and %d iovecs, want %d in all", len(c.Readable), len(c.Writable), descs)
					}
					r.check(c, bufs[:split], bufs[split:])
					r.q.Push(c, 7)
					r.take(head, 7)
				})
			}
		}
	}
}

// 2.7.5.3.2: some descriptors of the ring, then one that refers to a table; the flag
// VIRTQ_DESC_F_WRITE of that one means nothing. The table need not be in order, nor full.
func TestIndirectAfterDirect(t *testing.T) {
	r := newRing(t, setup{})
	b := buffers(r.data+page, 4)
	table := r.data
	set := func(table uint64, i int, b virtqtest.Buf, flags, next uint16) {
		r.drv.SetDesc(table, i, virtqtest.Desc{Addr: b.Addr, Len: b.Len, Flags: flags, Next: next})
	}
	set(r.drv.Desc, 2, b[0], virtqtest.Next, 5)
	set(r.drv.Desc, 5, virtqtest.Buf{Addr: table, Len: 16 * 6}, virtqtest.Indirect|virtqtest.Write, 0)
	set(table, 0, b[1], virtqtest.Next, 4)
	set(table, 4, b[2], virtqtest.Next|virtqtest.Write, 1)
	set(table, 1, b[3], virtqtest.Write, 0)
	r.drv.AddHead(2)
	c := r.pop()
	if c.Head() != 2 {
		t.Errorf("head %d, want 2", c.Head())
	}
	r.check(c, b[:2], b[2:])
}

// Chains are reused: nothing of the last one shows.
func TestChainReuse(t *testing.T) { layouts(t, testChainReuse) }

func testChainReuse(t *testing.T, layout virtqueue.Features) {
	r := newRing(t, setup{features: layout, memory: 16 << 20})
	many := make([]virtqtest.Buf, 1024)
	for i := range many {
		many[i] = virtqtest.Buf{Addr: r.data + 16*page + uint64(i)*page*2, Len: 8}
	}
	few := buffers(r.data+16*page, 2)
	var c virtqueue.Chain
	for range 3 {
		r.drv.AddIndirect(r.data, many[:600], many[600:])
		r.drv.Add(few[:1], few[1:])
		r.drv.Add(nil, few[1:])
		for _, want := range [][2][]virtqtest.Buf{{many[:600], many[600:]}, {few[:1], few[1:]}, {nil, few[1:]}} {
			if ok, err := r.q.Pop(&c); !ok || err != nil {
				t.Fatal(ok, err)
			}
			r.check(&c, want[0], want[1])
			r.q.Push(&c, 0)
			r.drv.Take()
		}
	}
}

// SetMemory keeps chains in flight valid, and buffers in the new region can be used.
func TestMemoryGrows(t *testing.T) { layouts(t, testMemoryGrows) }

func testMemoryGrows(t *testing.T, layout virtqueue.Features) {
	r := newRing(t, setup{features: layout, memory: 1 << 20})
	half := uint64(guestBase + 1<<19)
	low, high := r.region(guestBase, half), r.region(half, r.end())
	_ = r.q.Close()
	r.open(r.snapshot(low))
	old := []virtqtest.Buf{{Addr: r.data, Len: 100}}
	added := []virtqtest.Buf{{Addr: half - 50, Len: 100}}

	r.drv.Add(old, nil)
	before := r.pop()
	lost := r.drv.Add(nil, added)
	r.popNone()
	r.take(lost, 0)

	r.q.SetMemory(r.snapshot(low, high))
	r.check(before, old, nil)
	r.drv.Add(nil, added)
	r.check(r.pop(), nil, added)
}

// Pending counts what waits, and Arrived sees what came since Pop found nothing, whatever has
// become of it.
func TestPendingAndArrived(t *testing.T) {
	layouts(t, func(t *testing.T, layout virtqueue.Features) {
		size := ringSize(layout, 4)
		for start := range uint16(2 * size) {
			r := newRing(t, setup{size: size, features: layout, start: start})
			for n := range size + 1 {
				r.popNone()
				position := r.q.Position()
				if r.q.Pending() != 0 || r.q.Arrived(position) {
					t.Fatalf("start %d: %d chains wait on an empty ring, arrived: %v", start, r.q.Pending(), r.q.Arrived(position))
				}
				for range n {
					r.drv.Add(nil, buffers(r.data, 1))
				}
				for left := n; left > 0; left-- {
					if got := r.q.Pending(); got != left || !r.q.Arrived(position) {
						t.Fatalf("start %d: %d chains wait, want %d; arrived: %v", start, got, left, r.q.Arrived(position))
					}
					r.q.Push(r.pop(), 0)
					r.drv.Take()
				}
				if r.q.Arrived(position) != (n > 0) {
					t.Fatalf("start %d: of %d chains that were served none has arrived", start, n)
				}
			}
		}
	})
}
