// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"vhost-user-9p/virtqueue"
	"vhost-user-9p/virtqueue/virtqtest"
)

// offWrap is a place of a packed ring, counted from its beginning, as event suppression
// structures have it.
func offWrap(place, size int) uint16 {
	v := uint16(place % size)
	if place/size%2 == 0 {
		v |= 1 << 15
	}
	return v
}

// Notify against the text of 2.8.10, with whatever a driver may write to its area.
func TestPackedNotifyModel(t *testing.T) {
	for _, features := range []virtqueue.Features{packed, packed | virtqueue.FeatureEventIdx} {
		t.Run(features.String(), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(8, 9))
			outcomes := map[string]int{}
			for range 100 {
				size := 1 + rng.IntN(9)
				start := rng.IntN(2 * size)
				r := newRing(t, setup{size: size, features: features, start: uint16(start)})
				// serve gives back one chain of n descriptors.
				serve := func(n int) {
					r.drv.Add(nil, buffers(r.data, n))
					r.q.Push(r.pop(), 0)
					r.drv.Take()
				}
				serve(1)
				r.q.Notify()
				if n := events(t, r.call); n != 1 {
					t.Fatalf("the first chain was signalled %d times", n)
				}
				used, told := start+1, start+1 // places
				for range 200 {
					flags := uint16(rng.IntN(4)) // 3 is reserved
					event := offWrap(rng.IntN(2*size), size)
					if rng.IntN(20) == 0 {
						event = uint16(rng.Uint32()) // likely no place at all
					}
					r.drv.SetDriverEvent(event, flags|uint16(rng.Uint32())&^3)
					for range rng.IntN(4) {
						n := 1 + rng.IntN(size)
						serve(n)
						used += n
					}
					r.q.Notify()

					want, why := true, fmt.Sprintf("flags %d", flags)
					switch {
					case used == told:
						want, why = false, "nothing used"
					case flags == virtqtest.EventDisable:
						want = false
					case flags == virtqtest.EventDesc && features.Has(virtqueue.FeatureEventIdx) && int(event&0x7fff) < size:
						want = false
						for place := told; place < used; place++ {
							if offWrap(place, size) == event {
								want = true
							}
						}
						why = fmt.Sprintf("descriptor used %v", want)
					}
					if got := events(t, r.call); got > 1 || (got == 1) != want {
						t.Fatalf("size %d, used from %d to %d, offset and wrap %#x, %s: signalled %d times, want %v",
							size, told, used, event, why, got, want)
					}
					told = used
					outcomes[why]++
				}
			}
			if n := len(outcomes); features.Has(virtqueue.FeatureEventIdx) && n < 6 {
				t.Errorf("not every case was seen: %v", outcomes)
			}
		})
	}
}

// What the device writes to its area: by flags, or the next place with its wrap counter.
func TestPackedDeviceArea(t *testing.T) {
	const size = 3
	for _, features := range []virtqueue.Features{packed, packed | virtqueue.FeatureEventIdx} {
		t.Run(features.String(), func(t *testing.T) {
			r := newRing(t, setup{size: size, features: features})
			want := func(when string, wantOff, wantFlags uint16) {
				t.Helper()
				if off, flags := r.drv.DeviceEvent(); off != wantOff || flags != wantFlags {
					t.Errorf("%s: offset and wrap %#x, flags %d; want %#x, %d", when, off, flags, wantOff, wantFlags)
				}
			}
			want("at the start", 0, virtqtest.EventEnable)
			for place := range 4 * size {
				r.q.EnableKick()
				enabled, flags := uint16(0), uint16(virtqtest.EventEnable)
				if features.Has(virtqueue.FeatureEventIdx) {
					enabled, flags = offWrap(place, size), virtqtest.EventDesc
				}
				want("enabled", enabled, flags)
				r.q.DisableKick()
				if features.Has(virtqueue.FeatureEventIdx) {
					want("disabled", enabled, flags) // stands still
				} else {
					want("disabled", 0, virtqtest.EventDisable)
				}
				r.serve()
			}
		})
	}
}

// The device takes over what the one before it wrote.
func TestPackedDeviceAreaLeftBehind(t *testing.T) {
	for _, features := range []virtqueue.Features{packed, packed | virtqueue.FeatureEventIdx} {
		r := newRing(t, setup{features: features})
		r.q.DisableKick()
		r.q.EnableKick()
		r.q.DisableKick()
		r.cfg.Base = r.q.Base()
		r.open(r.mapped)
		r.q.EnableKick()
		r.drv.Add(nil, buffers(r.data, 1))
		if !r.drv.NeedKick() {
			t.Errorf("features %v: the driver does not kick", features)
		}
	}
}

// The dirty log: what was written to buffers; and if the ring is logged, the used descriptors
// where the ring is, and the device area where the front end says that it is.
func TestPackedLog(t *testing.T) {
	const size = 700 // nearly three pages, so that one round ends inside a page
	for _, features := range []virtqueue.Features{packed, packed | virtqueue.FeatureEventIdx} {
		t.Run(features.String(), func(t *testing.T) {
			r := newRing(t, setup{size: size, features: features})
			logs := newGuest(t, page)
			r.q.SetLog(newLog(t, logs, page))
			const at = 1000 * page
			in := []virtqtest.Buf{{Addr: r.data + page, Len: page}, {Addr: r.data + 3*page, Len: page}}
			pages := map[uint64]bool{}
			for i := range 1500 {
				logged := i%2 == 0
				slot := uint64(2*i) % size
				r.q.SetUsedLog(false, at)
				r.drv.Add(nil, in)
				c := r.pop()
				r.q.DisableKick()
				wantDirty(t, "not asked for", logs.mem, nil)
				r.q.SetUsedLog(logged, at)
				r.q.Push(c, 8)
				want := []virtqtest.Buf{{Addr: in[0].Addr, Len: 8}}
				if logged {
					want = append(want, virtqtest.Buf{Addr: r.drv.Desc + 16*slot, Len: 16})
				}
				wantDirty(t, fmt.Sprintf("descriptor %d", slot), logs.mem, pagesOf(want...))
				pages[slot/256] = true
				r.q.EnableKick()
				want = nil
				if logged {
					want = []virtqtest.Buf{{Addr: at, Len: 4}}
				}
				wantDirty(t, "device area", logs.mem, pagesOf(want...))
				r.drv.Take()
			}
			if len(pages) != 3 {
				t.Errorf("descriptors in %d pages, want 3", len(pages))
			}
		})
	}
}

// Each part of a packed ring can go.
func TestPackedMemoryTruncated(t *testing.T) {
	stays := virtqtest.Layout{Size: 8, Desc: stayingPage, Avail: stayingPage + page, Used: stayingPage + 2*page, Packed: true}
	noDesc, noDriver, noDevice := stays, stays, stays
	noDesc.Desc, noDriver.Avail, noDevice.Used = faultPage, faultPage, faultPage
	for name, tc := range map[string]struct {
		layout   virtqtest.Layout
		features virtqueue.Features
		op       func(r *ring, inFlight *virtqueue.Chain)
	}{
		"Pop, no descriptors":         {noDesc, 0, func(r *ring, _ *virtqueue.Chain) { _, _ = r.q.Pop(new(virtqueue.Chain)) }},
		"Pending, no descriptors":     {noDesc, 0, func(r *ring, _ *virtqueue.Chain) { r.q.Pending() }},
		"Push, no descriptors":        {noDesc, 0, func(r *ring, c *virtqueue.Chain) { r.q.Push(c, 0) }},
		"Notify, no driver area":      {noDriver, 0, func(r *ring, _ *virtqueue.Chain) { r.q.Notify() }},
		"EnableKick, no device area":  {noDevice, virtqueue.FeatureEventIdx, func(r *ring, _ *virtqueue.Chain) { r.q.EnableKick() }},
		"DisableKick, no device area": {noDevice, 0, func(r *ring, _ *virtqueue.Chain) { r.q.DisableKick() }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRing(t, setup{memory: faultMemory, features: packed | tc.features, layout: &tc.layout})
			r.drv.Add(nil, buffers(faultData, 1))
			inFlight := r.pop()
			truncated(t, r, inFlight, tc.op)
		})
	}
}
