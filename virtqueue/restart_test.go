// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"math/rand/v2"
	"testing"

	"vhost-user-9p/virtqueue"
)

// A ring is stopped and started again, by this back end or the next one, at whatever index
// it stands: nothing is lost, and nothing is done twice.
func TestRestart(t *testing.T) {
	for _, size := range []int{1, 2, 16, 32768} {
		bothWays(t, func(t *testing.T, features virtqueue.Features) {
			rng := rand.New(rand.NewPCG(6, 7))
			size := ringSize(features, size)
			r := newRing(t, setup{size: size, features: features, start: 0xff00})
			buf := buffers(r.data, 1)
			var want []uint16 // heads that are available or in flight, in order
			for range 60 {
				for range rng.IntN(min(r.drv.Free(), 300) + 1) {
					want = append(want, r.drv.Add(nil, buf))
				}
				n := rng.IntN(len(want) + 1)
				var chains []*virtqueue.Chain
				for _, head := range want[:n] {
					c := r.pop()
					if c.Head() != head {
						t.Fatalf("head %d, want %d", c.Head(), head)
					}
					chains = append(chains, c)
				}
				want = want[n:]
				for _, c := range chains {
					r.q.Push(c, 3)
				}
				// Taken before or after the restart.
				late := rng.IntN(2) == 0
				restart := func() {
					if got, want := r.q.NextAvail(), r.availIdx(-len(want)); got != want {
						t.Fatalf("next available index %d, want %d", got, want)
					}
					r.cfg.Base = r.q.Base()
					_ = r.q.Close()
					r.open(r.mapped)
					r.q.SetCall(r.call)
				}
				if late {
					restart()
				}
				for _, c := range chains {
					r.take(c.Head(), 3)
				}
				r.takeNone()
				if !late {
					restart()
				}
				if pending := r.q.EnableKick(); pending != (len(want) > 0) {
					t.Fatalf("EnableKick: %v with %d chains left", pending, len(want))
				}
			}
		})
	}
}

// availIdx returns the driver's available index plus n.
func (r *ring) availIdx(n int) uint16 {
	if r.drv.Packed {
		return uint16((int(r.drv.AvailIdx()) + n + r.cfg.Size) % r.cfg.Size)
	}
	return r.drv.AvailIdx() + uint16(n)
}

// What a device pushed and did not tell of before it stopped, the next one tells.
func TestRestartNotifies(t *testing.T) {
	bothWays(t, func(t *testing.T, features virtqueue.Features) {
		r := newRing(t, setup{features: features})
		r.drv.Add(nil, buffers(r.data, 1))
		r.drv.EnableInterrupts()
		r.q.Push(r.pop(), 0)
		r.cfg.Base = r.q.Base()
		_ = r.q.Close()
		r.open(r.mapped)
		call := eventfd(t)
		r.q.SetCall(call)
		if events(t, call) == 0 {
			t.Error("the driver is not told")
		}
		// It did not look, and asks for an event that the device before has passed by.
		r.drv.Add(nil, buffers(r.data, 1))
		r.q.Push(r.pop(), 0)
		r.q.Notify()
		if events(t, call) == 0 {
			t.Error("the driver is not told of the next chain")
		}
	})
}
