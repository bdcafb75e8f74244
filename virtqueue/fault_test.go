// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"errors"
	"runtime/debug"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/virtqueue"
	"vhost-user-9p/virtqueue/virtqtest"
)

// faults runs f as a worker does and returns the fault in shared memory that ended it, or
// nil.
func faults(t *testing.T, f func()) (fault error) {
	t.Helper()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			var at interface{ Addr() uintptr }
			err, ok := v.(error)
			if !ok || !errors.As(err, &at) {
				panic(v)
			}
			fault = err
		}
	}()
	f()
	return nil
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
	pop := func(r *ring, _ *virtqueue.Chain) { _, _ = r.q.Pop(new(virtqueue.Chain)) }
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
		"NewQueue, no used ring":     {noUsed, 0, none, func(r *ring, _ *virtqueue.Chain) { _, _ = virtqueue.NewQueue(r.mapped, r.cfg) }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRing(t, setup{memory: faultMemory, features: tc.features, layout: &tc.layout})
			errFd := eventfd(t)
			r.q.SetErr(errFd)
			chain(r)
			inFlight := r.pop()
			tc.before(r)
			if err := unix.Ftruncate(r.fd, faultMemory-page); err != nil {
				t.Fatal(err)
			}
			err := faults(t, func() { tc.op(r, inFlight) })
			if err == nil {
				t.Fatal("no fault")
			}
			within(t, "breaking the queue after a fault", func() {
				r.q.Break(err)
				r.q.SetLog(nil)
				r.q.SetCall(-1)
			})
			if n := events(t, errFd); n != 1 {
				t.Errorf("error eventfd signalled %d times, want once", n)
			}
			// Nobody touches what is gone, though chains are still out.
			if err := faults(t, func() {
				r.q.Push(inFlight, 0)
				r.q.Notify()
				r.q.EnableKick()
				r.q.DisableKick()
				r.q.Pending()
				if _, err := r.q.Pop(new(virtqueue.Chain)); !errors.Is(err, virtqueue.ErrBroken) {
					t.Errorf("Pop: %v, want ErrBroken", err)
				}
			}); err != nil {
				t.Errorf("broken, and yet: %v", err)
			}
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
	err := faults(t, func() { r.q.Push(c, 1) })
	if err == nil {
		t.Fatal("no fault")
	}
	r.takeNone() // what is not in the log is not given back
	within(t, "breaking the queue after a fault", func() { r.q.Break(err) })
}
