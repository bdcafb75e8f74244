// SPDX-License-Identifier: Apache-2.0

package virtio9p

import (
	"runtime"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// A driver with a processor of its own is told after a few replies, or soon; one that takes
// the device's own when it is told, after many, or late.
func TestTellingFollowsTheDriver(t *testing.T) {
	var w teller
	const began, cost = 1_000_000, 1_000
	replies := func(n int) {
		w.unsent = 0
		for range n {
			w.add(began)
		}
	}
	var left int64 // requests that wait
	expect := func(when string, most int, after int64) {
		t.Helper()
		replies(most - 1)
		if w.due(began, cost, left) {
			t.Errorf("%s: told of %d replies", when, most-1)
		}
		if at := began + after - cost; w.due(at, cost, left) || !w.due(at+1, cost, left) {
			t.Errorf("%s: not told when the next would be ready %d ns after the first", when, after+1)
		}
		replies(most)
		if !w.due(began, cost, left) {
			t.Errorf("%s: not told of %d replies", when, most)
		}
	}
	samples := func(n int, preempted bool) {
		for range n {
			w.sample(preempted)
		}
	}
	expect("at first", 5, 30_000)
	samples(100, true)
	expect("on the same processor", 32, 250_000)
	samples(2, false)
	expect("once or twice not", 32, 250_000)
	samples(100, false)
	expect("beside", 5, 30_000)
	left = 50
	expect("beside, and little waits", 5, 30_000)
	left = 51
	expect("beside, and much waits", 32, 250_000)
	left = 2_000
	expect("beside, and very much waits", 32, 500_000)
	left = 8_000
	expect("beside, and more than that waits", 32, 1_000_000)
	left = 0
	samples(3, true)
	expect("as often one as the other", 5, 30_000)
	samples(1, true)
	expect("on the same processor again", 32, 250_000)
	replies(0)
	if w.due(began+1_000_000_000, cost, left) {
		t.Error("told of nothing")
	}
}

// What the driver does when it is told shows if that woke it. One time in so many is looked at.
func TestTellSees(t *testing.T) {
	takes := func() bool {
		for before := preemptions(); preemptions() == before; {
		}
		return true
	}
	once := func(notify func() bool) int32 {
		var w teller
		for n := range sampleEvery {
			if got := w.near.Load(); got != 0 {
				t.Errorf("%d after being told %d times", got, n)
			}
			w.add(1)
			w.tell(w.take(true), func() bool {
				if n < sampleEvery-1 {
					return true
				}
				return notify()
			})
			if w.any() {
				t.Error("there is something left to tell of")
			}
		}
		return w.near.Load()
	}
	contend(t)
	if got := once(takes); got != 1 {
		t.Errorf("%d after it took the processor, want 1", got)
	}
	if got := once(func() bool { takes(); return false }); got != 0 {
		t.Errorf("%d after something else took the processor, want 0", got)
	}
	// Something else may do so just when the driver is told, but not often.
	for range 10 {
		if once(func() bool { return true }) == -1 {
			return
		}
	}
	t.Error("a driver that does not take the processor is not seen not to")
}

// contend puts this thread on one processor together with another one, which never waits.
func contend(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	for cpu := 0; one.Count() == 0; cpu++ {
		if all.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	pin := func(set *unix.CPUSet) {
		if err := unix.SchedSetaffinity(0, set); err != nil {
			t.Error(err)
		}
	}
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and the thread ends
		pin(&one)
		for !stop.Load() {
		}
	}()
	pin(&one)
	t.Cleanup(func() {
		pin(&all)
		stop.Store(true)
		<-done
		runtime.UnlockOSThread()
	})
}
