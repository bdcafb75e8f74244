// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"strings"
	"testing"

	"vhost-user-9p/virtqueue"
	"vhost-user-9p/virtqueue/virtqtest"
)

// newHostileRing is a ring with what hostile chains need: descriptor 3 is not the
// driver's, and data to the end of memory is hostileData.
func newHostileRing(tb testing.TB, s setup) (r *ring, data uint64) {
	s.size, s.memory = hostileSize, hostileData+2*page
	r = newRing(tb, s)
	return r, r.end() - hostileData
}

// A malformed chain is given back with length 0 and counted, and costs nothing else: the
// chains around it are served.
func TestMalformedChain(t *testing.T) {
	for name, h := range hostile {
		for _, features := range []virtqueue.Features{0, virtqueue.FeatureEventIdx} {
			t.Run(name+"/"+features.String(), func(t *testing.T) {
				r, data := newHostileRing(t, setup{features: features, start: 0xfffe})
				errFd := eventfd(t)
				r.q.SetErr(errFd)
				good := []virtqtest.Buf{{Addr: data + 2*page, Len: page}}
				first := r.drv.Add(good, nil)
				c := r.pop()
				h.make(r.drv, data)
				r.drv.AddHead(3)
				r.drv.AddHead(3)
				last := r.drv.Add(nil, good)
				if first == 3 || last == 3 {
					t.Fatal("the driver uses descriptor 3")
				}

				next := r.pop()
				if next.Head() != last {
					t.Fatalf("popped head %d, want %d", next.Head(), last)
				}
				r.check(next, nil, good)
				r.take(3, 0)
				r.take(3, 0)
				r.takeNone()
				if n := events(t, r.call); n == 0 {
					t.Error("the driver is not told")
				}
				r.q.Push(next, 5)
				r.q.Push(c, 0)
				r.take(last, 5)
				r.take(first, 0)
				r.popNone()

				stats := r.q.Stats()
				if bad, ok := stats.BadChains.Load(), r.q.Chains(); bad != 2 || ok != 2 {
					t.Errorf("counted %d bad chains and %d good ones, want 2 and 2", bad, ok)
				}
				if len(r.bad) != 2 || r.bad[0].head != 3 || !strings.Contains(r.bad[0].err.Error(), h.want) {
					t.Errorf("told of %v, want twice head 3 with %q", r.bad, h.want)
				}
				if r.q.Broken() || len(r.dead) != 0 || events(t, errFd) != 0 {
					t.Error("the queue is broken")
				}
			})
		}
	}
}

func TestIndirectNotNegotiated(t *testing.T) { layouts(t, testIndirectNotNegotiated) }

func testIndirectNotNegotiated(t *testing.T, layout virtqueue.Features) {
	r := newRing(t, setup{features: layout, plain: true})
	head := r.drv.AddIndirect(r.data, nil, buffers(r.data+page, 2))
	r.popNone()
	r.take(head, 0)
	if len(r.bad) != 1 || !strings.Contains(r.bad[0].err.Error(), "not negotiated") {
		t.Errorf("told of %v", r.bad)
	}
}

// What a hole in memory costs, on both sides of it.
func TestBufferInHole(t *testing.T) { layouts(t, testBufferInHole) }

func testBufferInHole(t *testing.T, layout virtqueue.Features) {
	r := newRing(t, setup{features: layout})
	hole, after := r.data+page, r.data+2*page
	_ = r.q.Close()
	r.open(r.snapshot(r.region(guestBase, hole), r.region(after, r.end())))
	for name, tc := range map[string]struct {
		buf virtqtest.Buf
		ok  bool
	}{
		"up to it":    {virtqtest.Buf{Addr: hole - 10, Len: 10}, true},
		"into it":     {virtqtest.Buf{Addr: hole - 10, Len: 11}, false},
		"in it":       {virtqtest.Buf{Addr: hole + 10, Len: 10}, false},
		"out of it":   {virtqtest.Buf{Addr: after - 1, Len: 10}, false},
		"from it":     {virtqtest.Buf{Addr: after, Len: 10}, true},
		"across it":   {virtqtest.Buf{Addr: hole - 1, Len: page + 2}, false},
		"up to end":   {virtqtest.Buf{Addr: r.end() - 10, Len: 10}, true},
		"past end":    {virtqtest.Buf{Addr: r.end() - 10, Len: 11}, false},
		"from end":    {virtqtest.Buf{Addr: r.end(), Len: 1}, false},
		"below start": {virtqtest.Buf{Addr: guestBase - 1, Len: 2}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r.TB = t
			head := r.drv.Add([]virtqtest.Buf{tc.buf}, nil)
			if tc.ok {
				c := r.pop()
				r.check(c, []virtqtest.Buf{tc.buf}, nil)
				r.q.Push(c, 0)
			} else {
				r.popNone()
			}
			r.take(head, 0)
		})
	}
}

// A driver that adds malformed chains as fast as they are given back does not keep Pop for
// itself: the caller gets to see whether it is to stop.
func TestOnlyMalformedChains(t *testing.T) {
	r, data := newHostileRing(t, setup{})
	hostile["loop of one"].make(r.drv, data)
	given := 0
	r.q.OnTrouble(func(uint16, error) {
		given++
		r.drv.AddHead(3)
	}, nil)
	r.drv.AddHead(3)
	within(t, "Pop", r.popNone)
	if given != hostileSize {
		t.Errorf("%d chains given back by one Pop, want %d", given, hostileSize)
	}
	if r.q.Pending() == 0 {
		t.Error("nothing left, but the driver added one more")
	}
}
