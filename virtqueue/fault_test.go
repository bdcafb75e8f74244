// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"errors"
	"runtime/debug"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/virtqueue"
	"vhost-user-9p/virtqueue/virtqtest"
)

// surviving runs f as a worker does: a fault is a panic, which must not get here.
func surviving(f func()) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	f()
}

// What the front end cuts off is the last page of memory. Each part of the ring has a page
// of its own, so that each can be the one.
const (
	faultMemory = 64 * page
	faultPage   = guestBase + faultMemory - page // goes
	stayingPage = guestBase                      // and the next ones stay
	faultData   = guestBase + 8*page
)

func TestMemoryTruncated(t *testing.T) {
	stays := virtqtest.Layout{Size: 8, Desc: stayingPage, Avail: stayingPage + page, Used: stayingPage + 2*page}
	noDesc, noAvail, noUsed := stays, stays, stays
	noDesc.Desc, noAvail.Avail, noUsed.Used = faultPage, faultPage, faultPage

	none := func(*ring) {}
	chain := func(r *ring) { r.drv.Add(nil, buffers(faultData, 1)) }
	pop := func(r *ring, _ *virtqueue.Chain) {
		if ok, err := r.q.Pop(new(virtqueue.Chain)); ok || !errors.Is(err, virtqueue.ErrBroken) {
			t.Errorf("Pop: %t, %v; want false, ErrBroken", ok, err)
		}
	}
	push := func(r *ring, c *virtqueue.Chain) { r.q.Push(c, 0) }
	eventIdx := virtqueue.FeatureEventIdx

	for name, tc := range map[string]struct {
		layout   virtqtest.Layout
		features virtqueue.Features
		before   func(r *ring) // memory is still there
		op       func(r *ring, inFlight *virtqueue.Chain)
	}{
		"Pop, no available ring":     {noAvail, 0, none, pop},
		"Pop, no descriptors":        {noDesc, 0, chain, pop},
		"Pop, no indirect table":     {stays, 0, func(r *ring) { r.drv.AddIndirect(faultPage, nil, buffers(faultData, 4)) }, pop},
		"Pop, no copy of a table":    {stays, 0, func(r *ring) { r.drv.AddIndirect(faultPage-24, nil, buffers(faultData, 4)) }, pop},
		"Pop, no unaligned table":    {stays, 0, func(r *ring) { r.drv.AddIndirect(faultPage+2, nil, buffers(faultData, 4)) }, pop},
		"Push, no used ring":         {noUsed, 0, none, push},
		"Notify, no used_event":      {noAvail, eventIdx, none, func(r *ring, _ *virtqueue.Chain) { r.q.Notify() }},
		"Notify, no available flags": {noAvail, 0, none, func(r *ring, _ *virtqueue.Chain) { r.q.Notify() }},
		"EnableKick, no avail_event": {noUsed, eventIdx, none, func(r *ring, _ *virtqueue.Chain) { r.q.EnableKick() }},
		"EnableKick, no index":       {noAvail, eventIdx, none, func(r *ring, _ *virtqueue.Chain) { r.q.EnableKick() }},
		"EnableKick, no used flags":  {noUsed, 0, func(r *ring) { r.q.DisableKick() }, func(r *ring, _ *virtqueue.Chain) { r.q.EnableKick() }},
		"DisableKick, no used flags": {noUsed, 0, none, func(r *ring, _ *virtqueue.Chain) { r.q.DisableKick() }},
		"Pending, no index":          {noAvail, 0, none, func(r *ring, _ *virtqueue.Chain) { r.q.Pending() }},
		"Arrived, no index":          {noAvail, 0, none, func(r *ring, _ *virtqueue.Chain) { r.q.Arrived(0) }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRing(t, setup{memory: faultMemory, features: tc.features, layout: &tc.layout})
			chain(r)
			inFlight := r.pop()
			tc.before(r)
			truncated(t, r, inFlight, tc.op)
		})
	}
}

// truncated has the queue's last page go, and then op find that out.
func truncated(t *testing.T, r *ring, inFlight *virtqueue.Chain, op func(*ring, *virtqueue.Chain)) {
	t.Helper()
	errFd := eventfd(t)
	r.q.SetErr(errFd)
	if err := unix.Ftruncate(r.fd, faultMemory-page); err != nil {
		t.Fatal(err)
	}
	surviving(func() { op(r, inFlight) })
	if len(r.dead) != 1 || !isFault(r.dead[0]) {
		t.Fatalf("broken because of %v, want one fault", r.dead)
	}
	within(t, "using the queue after a fault", func() {
		r.q.SetLog(nil)
		r.q.SetCall(-1)
	})
	if n := events(t, errFd); n != 1 {
		t.Errorf("error eventfd signalled %d times, want once", n)
	}
	// Nobody touches what is gone, though chains are still out.
	surviving(func() {
		r.q.Push(inFlight, 0)
		r.q.Notify()
		r.q.EnableKick()
		r.q.DisableKick()
		r.q.Pending()
		if _, err := r.q.Pop(new(virtqueue.Chain)); !errors.Is(err, virtqueue.ErrBroken) {
			t.Errorf("Pop: %v, want ErrBroken", err)
		}
	})
}

// isFault reports whether err says that shared memory is gone.
func isFault(err error) bool {
	return err != nil && strings.Contains(err.Error(), "fault in shared memory at 0x")
}

// A ring that is gone before there is a queue is an error.
func TestNewQueueTruncated(t *testing.T) {
	stays := virtqtest.Layout{Size: 8, Desc: stayingPage, Avail: stayingPage + page, Used: stayingPage + 2*page}
	noUsed, noDesc, noDevice := stays, stays, stays
	noUsed.Used = faultPage
	noDesc.Packed, noDesc.Desc = true, faultPage
	noDevice.Packed, noDevice.Used = true, faultPage
	for name, layout := range map[string]virtqtest.Layout{
		"used ring":          noUsed,
		"packed descriptors": noDesc,
		"device area":        noDevice,
	} {
		t.Run(name, func(t *testing.T) {
			var features virtqueue.Features
			if layout.Packed {
				features = packed
			}
			r := newRing(t, setup{memory: faultMemory, features: features, layout: &layout})
			r.cfg.Base = 0 // a packed ring is looked at then
			if err := unix.Ftruncate(r.fd, faultMemory-page); err != nil {
				t.Fatal(err)
			}
			surviving(func() {
				if q, err := virtqueue.NewQueue(r.mapped, r.cfg); q != nil || !isFault(err) {
					t.Errorf("NewQueue: %v, %v", q, err)
				}
			})
		})
	}
}

// A dirty log can go as well.
func TestLogTruncated(t *testing.T) { layouts(t, testLogTruncated) }

func testLogTruncated(t *testing.T, layout virtqueue.Features) {
	r := newRing(t, setup{features: layout})
	g := newGuest(t, page)
	l := newLog(t, g, page)
	r.q.SetLog(l)
	r.drv.Add(nil, buffers(r.data, 1))
	c := r.pop()
	if err := unix.Ftruncate(g.fd, 0); err != nil {
		t.Fatal(err)
	}
	surviving(func() { r.q.Push(c, 1) })
	if !r.q.Broken() {
		t.Fatal("not broken")
	}
	r.takeNone() // what is not in the log is not given back
}
