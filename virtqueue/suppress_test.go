// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"vhost-user-9p/virtqueue"
	"vhost-user-9p/virtqueue/virtqtest"
)

// bothWays runs a test with suppression by flags and by the event index, over both layouts.
func bothWays(t *testing.T, f func(t *testing.T, features virtqueue.Features)) {
	for _, features := range []virtqueue.Features{
		0, virtqueue.FeatureEventIdx,
		virtqueue.FeatureRingPacked, virtqueue.FeatureRingPacked | virtqueue.FeatureEventIdx,
	} {
		t.Run(features.String(), func(t *testing.T) { f(t, features) })
	}
}

// ringSize makes an odd number of a power of two for packed rings, which may have any size.
func ringSize(features virtqueue.Features, size int) int {
	if features.Has(virtqueue.FeatureRingPacked) {
		return min(size|1, virtqueue.MaxSize-1)
	}
	return size
}

// passes reports whether an index that went from old to now, both counted without end, was
// event on the way: then the other side wants to know what was put there.
func passes(old, now uint64, event uint16) bool {
	for i := old; i < now; i++ {
		if uint16(i) == event {
			return true
		}
	}
	return false
}

// Notify against the definition, with whatever used_event and flags a driver may choose.
func TestNotifyModel(t *testing.T) {
	bothWays(t, func(t *testing.T, features virtqueue.Features) {
		if features.Has(virtqueue.FeatureRingPacked) {
			return // TestPackedNotifyModel
		}
		rng := rand.New(rand.NewPCG(3, 4))
		eventIdx := features != 0
		told, notTold := 0, 0
		for range 60 {
			start := uint64(rng.Uint32N(1 << 16))
			r := newRing(t, setup{features: features, start: uint16(start)})
			r.drv.Add(nil, buffers(r.data, 1))
			c := r.pop()
			r.q.Push(c, 0)
			r.q.Notify()
			if n := events(t, r.call); n != 1 {
				t.Fatalf("the first chain was signalled %d times", n)
			}
			used, signalled := start+1, start+1
			for range 100 {
				event, flags := uint16(rng.Uint32()), uint16(rng.Uint32N(4))
				if rng.IntN(4) > 0 { // near
					event = uint16(used) - 4 + uint16(rng.Uint32N(12))
				}
				if eventIdx {
					r.drv.SetUsedEvent(event)
				}
				r.drv.SetAvailFlags(flags)
				pushes := rng.IntN(6)
				switch rng.IntN(800) {
				case 0:
					pushes = rng.IntN(3 << 15)
				case 1:
					pushes = 1<<16 - 1 + rng.IntN(3)
				}
				for range pushes {
					r.q.Push(c, 0)
				}
				used += uint64(pushes)
				r.q.Notify()

				want := used != signalled && flags&1 == 0
				if eventIdx {
					want = passes(signalled, used, event)
				}
				signalled = used
				if got := events(t, r.call); got > 1 || (got == 1) != want {
					t.Fatalf("%d chains up to index %d, used_event %d, flags %d: signalled %d times, want %v",
						pushes, uint16(used), event, flags, got, want)
				}
				if want {
					told++
				} else {
					notTold++
				}
			}
		}
		if told < 100 || notTold < 100 {
			t.Errorf("told %d times, not told %d times: not worth the name of a test", told, notTold)
		}
	})
}

// What the device writes to ask for kicks.
func TestKickSuppression(t *testing.T) {
	bothWays(t, func(t *testing.T, features virtqueue.Features) {
		r := newRing(t, setup{features: features, start: 0xfffd})
		buf := buffers(r.data, 1)
		want := func(when string, kick bool) {
			t.Helper()
			if got := r.drv.NeedKick(); got != kick {
				t.Errorf("%s: the driver kicks: %v, want %v (next %d)", when, got, kick, r.q.NextAvail())
			}
		}
		for range 6 { // across the wrap of the index
			var chains []*virtqueue.Chain
			if r.q.EnableKick() {
				t.Error("EnableKick finds a chain on an empty ring")
			}
			r.drv.Add(nil, buf)
			want("first chain", true)
			r.q.DisableKick()
			r.drv.Add(nil, buf)
			want("second chain, kicks off", false)
			for range 2 {
				if !r.q.EnableKick() {
					t.Error("EnableKick does not find a chain that is left")
				}
				r.q.DisableKick()
				chains = append(chains, r.pop())
			}
			r.drv.Add(nil, buf)
			r.drv.Add(nil, buf)
			want("third and fourth, kicks off", false)
			chains = append(chains, r.pop(), r.pop())
			if r.q.EnableKick() {
				t.Error("EnableKick finds a chain when all were taken")
			}
			for _, c := range chains {
				r.q.Push(c, 0)
				r.take(c.Head(), 0)
			}
		}
	})
}

// avail_event shares an aligned word with whatever the driver put behind the ring.
func TestAvailEventLeavesItsNeighbourAlone(t *testing.T) {
	r := newRing(t, setup{features: virtqueue.FeatureEventIdx})
	event := r.drv.Used + 4 + 8*uint64(r.drv.Size)
	if event%4 != 0 {
		t.Fatal("the neighbour is not behind avail_event")
	}
	neighbour := r.bytes(event+2, 2)
	virtqtest.Store16(neighbour, 0xbeef)
	r.q.EnableKick()
	if got := binary.LittleEndian.Uint16(neighbour); got != 0xbeef {
		t.Fatalf("the neighbour is %#x, its owner wrote 0xbeef", got)
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			r.q.EnableKick()
		}
	})
	for i := range uint16(50_000) {
		virtqtest.Store16(neighbour, i)
		if got := binary.LittleEndian.Uint16(neighbour); got != i {
			t.Errorf("the neighbour is %d, its owner wrote %d", got, i)
			break
		}
	}
	stop.Store(true)
	wg.Wait()
}

// party is a side of the model: step does the next thing that it can do, and says what; ""
// if it sleeps.
type party struct {
	name string
	step func() string
}

// TestNoLostWakeup runs the two threads of a driver (one adds, one takes what was used) and
// the threads of a device (a leader that takes, workers that give back, in any order) step
// by step in random order. As long as there is work, somebody can make a step.
func TestNoLostWakeup(t *testing.T) {
	bothWays(t, func(t *testing.T, features virtqueue.Features) {
		for _, size := range []int{1, 2, 8} {
			for seed := range uint64(8) {
				t.Run(fmt.Sprintf("size=%d/seed=%d", size, seed), func(t *testing.T) {
					model(t, features, size, rand.New(rand.NewPCG(seed, 5)))
				})
			}
		}
	})
}

func model(t *testing.T, features virtqueue.Features, size int, rng *rand.Rand) {
	const chains = 500
	size = ringSize(features, size)
	r := newRing(t, setup{size: size, features: features, start: uint16(0x10000 - chains/2)})
	kickFd := eventfd(t)
	setKick(t, r.q, kickFd)
	r.q.Wait(0)
	events(t, r.call)

	added, taken := 0, 0

	mustAsk := false // added, and not yet asked whether to kick
	adder := party{"adder", func() string {
		switch {
		case mustAsk && (added == chains || r.drv.Free() == 0 || rng.IntN(2) == 0):
			mustAsk = false
			if r.drv.NeedKick() {
				kick(t, kickFd)
				return "kicks"
			}
			return "need not kick"
		case added < chains && r.drv.Free() > 0:
			r.drv.Add(nil, []virtqtest.Buf{{Addr: r.data, Len: 1}})
			added++
			mustAsk = true
			return "adds"
		}
		return ""
	}}

	takerSleeps := false
	taker := party{"taker", func() string {
		if takerSleeps {
			if events(t, r.call) == 0 {
				return ""
			}
			takerSleeps = false
			r.drv.DisableInterrupts()
			return "wakes"
		}
		if _, _, ok := r.drv.Take(); ok {
			taken++
			return "takes"
		}
		takerSleeps = !r.drv.EnableInterrupts()
		return "asks for a notification"
	}}

	var inFlight []*virtqueue.Chain
	unsent, leaderSleeps := false, false
	leader := party{"leader", func() string {
		if leaderSleeps {
			before := r.q.Stats().Kicks.Load()
			if r.q.Wait(0); r.q.Stats().Kicks.Load() == before {
				return ""
			}
			leaderSleeps = false
			r.q.DisableKick()
			return "wakes"
		}
		c := new(virtqueue.Chain)
		switch ok, err := r.q.Pop(c); {
		case err != nil:
			t.Fatal(err)
		case ok:
			inFlight = append(inFlight, c)
			return "pops"
		}
		leaderSleeps = !r.q.EnableKick()
		return "asks for a kick"
	}}
	worker := party{"worker", func() string {
		switch {
		case unsent && (len(inFlight) == 0 || rng.IntN(2) == 0):
			unsent = false
			r.q.Notify()
			return "notifies"
		case len(inFlight) > 0:
			i := rng.IntN(len(inFlight))
			r.q.Push(inFlight[i], 0)
			inFlight[i] = inFlight[len(inFlight)-1]
			inFlight = inFlight[:len(inFlight)-1]
			unsent = true
			return "pushes"
		}
		return ""
	}}

	parties := []party{adder, taker, leader, worker}
	weights := make([]int, len(parties)) // some are slow for a time
	var history []string
	for taken < chains {
		if rng.IntN(50) == 0 {
			for i := range weights {
				weights[i] = rng.IntN(8)
			}
		}
		stuck := true
		for _, i := range rng.Perm(len(parties)) {
			if rng.IntN(8) < weights[i] {
				stuck = false // skipped, not asleep
				continue
			}
			if did := parties[i].step(); did != "" {
				history = append(history, parties[i].name+" "+did)
				stuck = false
				break
			}
		}
		if stuck {
			t.Fatalf("everybody sleeps: %d added, %d taken, %d in flight; last steps: %q",
				added, taken, len(inFlight), history[max(0, len(history)-20):])
		}
	}
	if added != chains || taken != chains || len(inFlight) != 0 {
		t.Errorf("%d added, %d taken, %d in flight", added, taken, len(inFlight))
	}
}
