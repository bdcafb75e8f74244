// SPDX-License-Identifier: Apache-2.0

package throttle

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// rig is a Limiter whose clock a test moves.
type rig struct {
	*testing.T
	*Limiter
	clock int64
	at    int64 // when the timer fires; 0: it does not
	fire  func()
}

func (r *rig) Reset(d time.Duration) bool { r.at = r.clock + int64(d); return true }
func (r *rig) Stop() bool                 { r.at = 0; return true }

func newRig(t *testing.T, text string) *rig {
	t.Helper()
	l, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t, clock: 1}
	r.Limiter = newLimiter(l, func() int64 { return r.clock }, func(f func()) timer { r.fire = f; return r })
	return r
}

// run lets time pass until d later, and the timer fire.
func (r *rig) run(d time.Duration) {
	r.Helper()
	end := r.clock + int64(d)
	for r.at != 0 && r.at <= end {
		if r.at > r.clock {
			r.clock = r.at
		}
		r.at = 0
		r.fire()
	}
	r.clock = end
}

// greedy has n requests wait at a time, for the given time, and returns how much they
// moved.
func (r *rig) greedy(c Class, n, size int, d time.Duration) (moved int) {
	end := r.clock + int64(d)
	ask := func(w *Waiter) {
		for r.clock <= end && r.Admit(c, size, w) {
			moved += size
		}
	}
	for range n {
		w := new(Waiter)
		w.Resume = func() {
			moved += size
			ask(w)
		}
		ask(w)
	}
	r.run(d)
	return moved
}

func (r *rig) near(what string, got, want int) {
	r.Helper()
	if got < want*99/100-2 || got > want*101/100+2 {
		r.Errorf("%s: %d, want %d", what, got, want)
	}
}

func TestRates(t *testing.T) {
	const mb = 1e6
	for _, c := range []struct {
		name, limits string
		size         int
		d            time.Duration
		want         int // bytes moved by reads
	}{
		// A tenth of a second's worth passes at once.
		{"bytes", "bps-total=1000000", 10000, 10 * time.Second, 10.1 * mb},
		{"bytes of reads", "bps-read=1000000", 10000, 10 * time.Second, 10.1 * mb},
		{"requests", "iops-total=1000", 4096, 10 * time.Second, 10100 * 4096},
		{"requests of reads", "iops-read=1000", 4096, 10 * time.Second, 10100 * 4096},
		// One and a half requests each.
		{"large requests", "iops-total=1000\niops-size=4096", 6144, 15 * time.Second, 10100 * 6144},
		{"small requests", "iops-total=1000\niops-size=4096", 512, 10 * time.Second, 10100 * 512},
		{"the lower of two", "iops-total=100\nbps-total=1000000", 1000, 10 * time.Second, 1010 * 1000},
		// A burst of a second at 5 MB/s: at once.
		{"burst of a second", "bps-total=1000000\nbps-total-max=5000000", 10000, 10 * time.Second, 15 * mb},
		// 3 seconds of 5 MB/s fill a bucket that leaks 1 MB/s in 15/4 seconds.
		{"long burst begins", "bps-total=1000000\nbps-total-max=5000000\nbps-total-max-length=3", 10000, 2 * time.Second, 10.5 * mb},
		{"long burst ends", "bps-total=1000000\nbps-total-max=5000000\nbps-total-max-length=3", 10000, 20 * time.Second, 35 * mb},
		{"other direction", "bps-write=1000000\niops-write=1", 1000, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.limits)
			if c.d == 0 {
				for range 1000 {
					if !r.Admit(Read, c.size, new(Waiter)) {
						t.Fatal("a read waits for a limit of writes")
					}
				}
				return
			}
			r.near("moved", r.greedy(Read, 8, c.size, c.d), c.want)
		})
	}
}

// TestTotalIsShared: reads and writes together, and neither starves.
func TestTotalIsShared(t *testing.T) {
	r := newRig(t, "bps-total=1000000")
	if !r.Admit(Read, 200000, new(Waiter)) {
		t.Fatal("throttled at once")
	}
	moved := map[Class]int{}
	for _, c := range []Class{Read, Write} {
		for range 10 {
			w := new(Waiter)
			w.Resume = func() {
				moved[c] += 1000
				r.Admit(c, 1000, w)
			}
			if r.Admit(c, 1000, w) {
				t.Fatal("not throttled")
			}
		}
	}
	r.run(20 * time.Second)
	if moved[Read] < 8e6 || moved[Write] < 8e6 || moved[Read]+moved[Write] > 20e6 {
		t.Errorf("moved %v", moved)
	}
}

// TestIdleTimeIsNotSaved: an hour of nothing allows no more than a tenth of a second's.
func TestIdleTimeIsNotSaved(t *testing.T) {
	r := newRig(t, "bps-total=1000000")
	r.greedy(Read, 1, 1000, time.Second)
	r.run(time.Hour)
	n := 0
	for r.Admit(Read, 1000, &Waiter{Resume: func() {}}) {
		n++
	}
	r.near("at once", n, 100)
}

// TestOrder: first come, first served, though a small one would fit.
func TestOrder(t *testing.T) {
	r := newRig(t, "bps-read=1000")
	var got []int
	for i, size := range []int{5000, 1000, 10, 2000} {
		w := &Waiter{Resume: func() { got = append(got, i) }}
		if r.Admit(Read, size, w) {
			w.Resume()
		}
	}
	if s := r.Stats(Read); s.Waiting != 3 || s.Requests != 3 {
		t.Errorf("stats: %+v", s)
	}
	r.run(4890 * time.Millisecond)
	if len(got) != 1 {
		t.Errorf("after 4.89 s: %v", got)
	}
	r.run(20 * time.Millisecond) // level 100
	if len(got) != 2 {
		t.Errorf("after 4.91 s: %v", got)
	}
	r.run(10 * time.Second)
	for i, n := range got {
		if i != n || len(got) != 4 {
			t.Fatalf("order %v", got)
		}
	}
	// 4.9 s, 5.9 s, 5.91 s
	s := r.Stats(Read)
	if s.Waiting != 0 || s.Waited.Round(10*time.Millisecond) != 16710*time.Millisecond {
		t.Errorf("stats: %+v", s)
	}
	if r.Stats(Write) != (Stats{}) {
		t.Error("writes have stats")
	}
}

func TestCancel(t *testing.T) {
	r := newRig(t, "bps-read=1000")
	resumed := 0
	ws := make([]*Waiter, 5)
	for i := range ws {
		ws[i] = &Waiter{Resume: func() { resumed++ }}
	}
	if !r.Admit(Read, 1000, ws[0]) {
		t.Fatal("not admitted")
	}
	for _, w := range ws[1:] {
		r.Admit(Read, 1000, w)
	}
	for _, i := range []int{4, 2, 1} { // the last, one in the middle, the first
		if !r.Cancel(ws[i]) || r.Cancel(ws[i]) {
			t.Error("not cancelled once")
		}
	}
	if r.Cancel(ws[0]) || r.Cancel(new(Waiter)) {
		t.Error("cancelled what did not wait")
	}
	r.run(3800 * time.Millisecond) // those that were cancelled count
	if resumed != 0 {
		t.Error("resumed too early")
	}
	r.run(200 * time.Millisecond)
	if resumed != 1 || r.at != 0 {
		t.Errorf("resumed %d, timer at %d", resumed, r.at)
	}
}

// TestSet: whoever waits for a limit that is lifted goes on at once.
func TestSet(t *testing.T) {
	r := newRig(t, "bps-total=1")
	resumed := 0
	for range 5 {
		if r.Admit(Read, 1e6, &Waiter{Resume: func() { resumed++ }}) {
			resumed++
		}
	}
	r.run(time.Hour)
	if resumed != 1 {
		t.Fatalf("%d may go on", resumed)
	}
	r.Set(Limits{})
	if resumed != 5 || r.at != 0 {
		t.Errorf("%d may go on", resumed)
	}
	for range 100 {
		if !r.Admit(Write, 1<<30, new(Waiter)) {
			t.Fatal("throttled without limits")
		}
	}
	l, _ := Parse("bps-total=1000")
	r.Set(l)
	if r.Limits() != l || !r.Admit(Write, 1000, new(Waiter)) || r.Admit(Write, 1000, &Waiter{Resume: func() {}}) {
		t.Error("not throttled")
	}
}

// TestExtremes: no sum runs over.
func TestExtremes(t *testing.T) {
	r := newRig(t, "bps-total=1\niops-total=1\niops-size=1")
	for range 1000 {
		w := &Waiter{Resume: func() {}}
		if !r.Admit(Read, 1<<40, w) {
			r.Cancel(w)
		}
		if w := r.buckets.wait(r.clock, Read); w <= 0 || w > 2*forever {
			t.Fatalf("wait %d", w)
		}
	}
	r = newRig(t, "bps-total=1000000000000000\nbps-total-max=1000000000000000")
	for range 1000 {
		if !r.Admit(Read, 1<<20, new(Waiter)) {
			t.Fatal("throttled")
		}
	}
}

// TestConcurrent: with the real clock, nobody is forgotten.
func TestConcurrent(t *testing.T) {
	l, _ := Parse("iops-total=20000")
	lim := New(l)
	var wg sync.WaitGroup
	began := time.Now()
	const each, goroutines = 200, 20
	for g := range goroutines {
		wg.Go(func() {
			ready := make(chan struct{}, 1)
			w := &Waiter{Resume: func() { ready <- struct{}{} }}
			rng := rand.New(rand.NewPCG(1, uint64(g)))
			for range each {
				c := Read + Class(rng.IntN(2))
				if lim.Admit(c, 100, w) {
					continue
				}
				if rng.IntN(10) == 0 && lim.Cancel(w) {
					continue
				}
				<-ready
			}
		})
	}
	wg.Wait()
	// 4000 requests, of which 2000 may pass at once.
	if d := time.Since(began); d < 90*time.Millisecond {
		t.Errorf("took %v", d)
	}
	if r, w := lim.Stats(Read), lim.Stats(Write); r.Waiting != 0 || w.Waiting != 0 || r.Requests == 0 || r.Waited == 0 {
		t.Errorf("stats: %+v, %+v", r, w)
	}
}
