// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"vhost-user-9p/virtqueue"
	"vhost-user-9p/virtqueue/virtqtest"
)

// newLog maps the first size bytes of a guest's memory as a dirty log.
func newLog(tb testing.TB, g *guest, size uint64) *virtqueue.Log {
	tb.Helper()
	l, err := virtqueue.MapLog(g.fd, size, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(l.Unref)
	return l
}

// dirty returns the pages whose bits are set, and clears them.
func dirty(bitmap []byte) (pages []uint64) {
	for i, b := range bitmap {
		for bit := range 8 {
			if b>>bit&1 != 0 {
				pages = append(pages, uint64(8*i+bit))
			}
		}
	}
	clear(bitmap)
	return pages
}

// pagesOf returns the pages of ranges of guest memory.
func pagesOf(bufs ...virtqtest.Buf) (pages []uint64) {
	for _, b := range bufs {
		for i := uint64(0); i < uint64(b.Len); i += page - (b.Addr+i)%page {
			pages = append(pages, (b.Addr+i)/page)
		}
	}
	slices.Sort(pages)
	return slices.Compact(pages)
}

// cutTo returns the first n bytes of buffers.
func cutTo(bufs []virtqtest.Buf, n int) (cut []virtqtest.Buf) {
	for _, b := range bufs {
		b.Len = min(b.Len, uint32(n))
		n -= int(b.Len)
		cut = append(cut, b)
	}
	return cut
}

func wantDirty(tb testing.TB, what string, bitmap []byte, want []uint64) {
	tb.Helper()
	if got := dirty(bitmap); !slices.Equal(got, want) {
		tb.Errorf("%s: dirty pages %#x, want %#x", what, got, want)
	}
}

// What was written is marked, and no page more: neither the rest of the chain, nor what the
// device only reads, nor the used ring unless that was asked for.
func TestLogBuffers(t *testing.T) { layouts(t, testLogBuffers) }

func testLogBuffers(t *testing.T, layout virtqueue.Features) {
	r := newRing(t, setup{features: layout, size: 64, cuts: func(data uint64) []uint64 {
		return []uint64{data + 5*page, data + 7*page + 100}
	}})
	logs := newGuest(t, page)
	r.q.SetLog(newLog(t, logs, page))
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		random := func(n int) (bufs []virtqtest.Buf) {
			for range n {
				bufs = append(bufs, virtqtest.Buf{Addr: r.data + rng.Uint64N(40*page), Len: rng.Uint32N(3 * page)})
				if n := len(bufs); n > 1 && rng.IntN(3) == 0 { // adjacent
					bufs[n-1].Addr = bufs[n-2].Addr + uint64(bufs[n-2].Len)
				}
			}
			return bufs
		}
		out, in := random(rng.IntN(3)), random(1+rng.IntN(4))
		r.drv.Add(out, in)
		c := r.pop()
		written := rng.IntN(c.WriteLen + 1)
		switch rng.IntN(4) {
		case 0:
			written = c.WriteLen
		case 1:
			written = min(11, written)
		}
		r.q.Push(c, written)
		r.drv.Take()
		want := pagesOf(cutTo(in, written)...)
		if got := dirty(logs.mem); !slices.Equal(got, want) {
			t.Fatalf("%d bytes written to %#x: dirty pages %#x, want %#x", written, in, got, want)
		}
	}
}

// The used ring: its index and flags, the entry written, which may lie across two pages,
// and avail_event.
func TestLogUsedRing(t *testing.T) {
	const size = 1024 // 8 KiB of entries
	for _, features := range []virtqueue.Features{0, virtqueue.FeatureEventIdx} {
		t.Run(features.String(), func(t *testing.T) {
			layout := virtqtest.Layout{Size: size, Desc: guestBase, Avail: guestBase + 5*page, Used: guestBase + 8*page}
			r := newRing(t, setup{size: size, features: features, layout: &layout, start: 0xff00})
			logs := newGuest(t, page)
			r.q.SetLog(newLog(t, logs, page))
			// Where the front end says that it is, not where we map it.
			const at = 100 * page
			r.drv.Add(nil, []virtqtest.Buf{{Addr: layout.Desc, Len: 8}})
			c := r.pop()
			flags := virtqtest.Buf{Addr: at, Len: 4}
			seen := map[int]bool{}
			for i := range 2 * size {
				slot := (0xff00 + i) % size
				entry := virtqtest.Buf{Addr: at + 4 + 8*uint64(slot), Len: 8}
				r.q.SetUsedLog(false, at)
				r.q.EnableKick()
				r.q.DisableKick()
				wantDirty(t, "not asked for", logs.mem, nil)
				r.q.SetUsedLog(true, at)
				r.q.Push(c, 0)
				want := pagesOf(flags, entry)
				wantDirty(t, fmt.Sprintf("entry %d", slot), logs.mem, want)
				seen[len(want)] = true

				r.q.EnableKick()
				if features == 0 {
					wantDirty(t, "flags cleared", logs.mem, pagesOf(flags))
					r.q.EnableKick()
					wantDirty(t, "flags as they were", logs.mem, nil)
				} else {
					wantDirty(t, "avail_event", logs.mem, pagesOf(virtqtest.Buf{Addr: at + 4 + 8*size, Len: 2}))
				}
				r.q.DisableKick()
				if features == 0 {
					wantDirty(t, "flags set", logs.mem, pagesOf(flags))
				} else {
					wantDirty(t, "nothing written", logs.mem, nil)
				}
			}
			if !seen[1] || !seen[2] {
				t.Error("every entry is on the same pages")
			}
		})
	}
}

// A chain that was given back because it was malformed was not written to.
func TestLogMalformedChain(t *testing.T) {
	r, data := newHostileRing(t, setup{})
	logs := newGuest(t, page)
	r.q.SetLog(newLog(t, logs, page))
	r.q.SetUsedLog(true, 10*page)
	hostile["second buffer not mapped"].make(r.drv, data)
	r.drv.AddHead(3)
	r.popNone()
	wantDirty(t, "malformed chain", logs.mem, []uint64{10})
}

func TestLogBounds(t *testing.T) {
	logs := newGuest(t, 3*page)
	const size, offset = 5, page + 1 // an odd place: 40 pages
	l, err := virtqueue.MapLog(logs.fd, size, offset)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Unref()
	bitmap := logs.mem[offset:][:size:size]
	for _, tc := range []struct {
		name    string
		addr, n uint64
		want    []uint64
		dropped uint64
	}{
		{"nothing", 5 * page, 0, nil, 0},
		{"one byte", 5*page + 5, 1, []uint64{5}, 0},
		{"last byte of a page", 6*page - 1, 1, []uint64{5}, 0},
		{"across", 6*page - 1, 2, []uint64{5, 6}, 0},
		{"across bytes and words of the bitmap", 7*page + 5, 3 * page, []uint64{7, 8, 9, 10}, 0},
		{"last page", 40*page - 1, 1, []uint64{39}, 0},
		{"first page outside", 40 * page, 1, nil, 1},
		{"across the end", 39*page + 1, 2 * page, []uint64{39}, 1},
		{"far outside", math.MaxUint64 - 1, 1, nil, 1},
		{"around the top", math.MaxUint64 - 1, 100, nil, 1},
		{"everything", 38 * page, math.MaxUint64, []uint64{38, 39}, 1},
	} {
		before := l.Dropped()
		l.Mark(tc.addr, tc.n)
		wantDirty(t, tc.name, bitmap, tc.want)
		wantDirty(t, tc.name+", beside the bitmap", logs.mem, nil)
		if n := l.Dropped() - before; n != tc.dropped {
			t.Errorf("%s: counted %d writes outside, want %d", tc.name, n, tc.dropped)
		}
	}
	for name, try := range map[string][2]uint64{
		"empty":           {0, 0},
		"beyond the end":  {3*page + 1, 0},
		"offset too far":  {page, 2*page + 1},
		"wraps around":    {math.MaxUint64, page},
		"beyond an int64": {math.MaxInt64, page},
	} {
		if l, err := virtqueue.MapLog(logs.fd, try[0], try[1]); err == nil {
			l.Unref()
			t.Errorf("%s: mapped", name)
		}
	}
}

// No mark is lost, and none comes back, while others mark pages of the same word and the
// front end takes them.
func TestLogIsShared(t *testing.T) {
	logs := newGuest(t, page)
	l := newLog(t, logs, page)
	const rounds, markers = 100_000, 4
	var wg sync.WaitGroup
	for m := range markers {
		wg.Go(func() {
			for range rounds {
				l.Mark(uint64(m)*page, 1)
				for virtqueue.LoadWord(logs.mem)>>m&1 != 0 {
					runtime.Gosched()
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	var taken [markers]int
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			runtime.Gosched()
		}
		v := virtqueue.SwapWord(logs.mem, 0)
		for m := range taken {
			taken[m] += int(v >> m & 1)
		}
	}
	for m, n := range taken {
		if n != rounds {
			t.Errorf("page %d was marked %d times, and seen %d times", m, rounds, n)
		}
	}
}

func TestLogEvent(t *testing.T) { layouts(t, testLogEvent) }

func testLogEvent(t *testing.T, layout virtqueue.Features) {
	r := newRing(t, setup{features: layout})
	l := newLog(t, newGuest(t, page), page)
	fd := eventfd(t)
	r.q.SetLog(l)
	r.serve()
	if n := events(t, fd); n != 0 {
		t.Errorf("signalled %d times before it was named", n)
	}
	l.SetEvent(fd)
	r.serve()
	if n := events(t, fd); n != 1 {
		t.Errorf("signalled %d times for one chain, want once", n)
	}
	l.SetEvent(-1)
	r.serve()
	if n := events(t, fd); n != 0 {
		t.Errorf("signalled %d times after it was taken back", n)
	}
}

// The log changes while chains go round. An old log is unmapped at once: a write to it
// would end the test.
func TestLogToggledWhileRunning(t *testing.T) {
	for _, features := range []virtqueue.Features{0, virtqueue.FeatureEventIdx} {
		r := newRing(t, setup{features: features})
		logs := newGuest(t, page)
		var stop atomic.Bool
		served := make(chan struct{}, 1)
		var wg sync.WaitGroup
		wg.Go(func() {
			in := buffers(r.data, 1)
			for !stop.Load() {
				r.drv.Add(nil, in)
				var c virtqueue.Chain
				r.q.Lock()
				r.q.EnableKick()
				if ok, err := r.q.Pop(&c); !ok || err != nil {
					r.q.Unlock()
					t.Error(ok, err)
					return
				}
				r.q.Unlock()
				r.q.Lock()
				r.q.Push(&c, 1)
				r.q.DisableKick()
				r.q.Unlock()
				r.drv.Take()
				select {
				case served <- struct{}{}:
				default:
				}
			}
		})
		pushed := func() { // at least one chain that was taken after the call
			for range 3 {
				<-served
			}
		}
		used := r.drv.Used / page
		for i := range 300 {
			l, err := virtqueue.MapLog(logs.fd, page, 0)
			if err != nil {
				t.Fatal(err)
			}
			r.q.SetUsedLog(i%2 == 0, r.drv.Used)
			r.q.SetLog(l)
			pushed()
			if i%3 == 0 {
				r.q.SetLog(nil)
			} else if l2, err := virtqueue.MapLog(logs.fd, page/2, page/2); err == nil {
				r.q.SetLog(l2) // larger or smaller, elsewhere: as when memory is plugged
				l2.Unref()
				r.q.SetLog(nil)
			}
			l.Unref()
			pages := dirty(logs.mem[:page/2])
			if !slices.Contains(pages, r.data/page) {
				t.Errorf("round %d: the buffer's page is not in %#x", i, pages)
			}
			if slices.Contains(pages, used) != (i%2 == 0) {
				t.Errorf("round %d: dirty pages %#x, the used ring is %#x", i, pages, used)
			}
			clear(logs.mem)
			pushed()
			wantDirty(t, "no log", logs.mem, nil)
		}
		stop.Store(true)
		wg.Wait()
	}
}
