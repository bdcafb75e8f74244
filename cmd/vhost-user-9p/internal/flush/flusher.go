// SPDX-License-Identifier: Apache-2.0

package flush

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// pause is between two flushes aside, so that a flood of events becomes no flood of flushes.
const pause = 200 * time.Millisecond

// Stats is a snapshot of a Flusher's counters. They count from New.
type Stats struct {
	Flushes  map[Trigger]uint64 // that succeeded; has every trigger
	Failures map[Trigger]uint64 // has every trigger
	Last     time.Time          // when the last one succeeded; zero: none yet
}

// Flusher flushes the table.
type Flusher struct {
	flush func() error
	log   *slog.Logger

	counters struct {
		flushes, failures [triggerCount]atomic.Uint64
		last              atomic.Int64 // Unix time in ns; 0: never
	}

	closed chan struct{}
	aside  sync.WaitGroup // for work

	mu      sync.Mutex
	pending uint32 // set of triggers that work is to flush for
	working bool   // there is a goroutine in work
	ended   bool   // no more of them
}

// New returns a Flusher that flushes by calling flush, from several goroutines at once. What
// is amiss with the table flush logs itself.
func New(flush func() error, log *slog.Logger) *Flusher {
	return &Flusher{flush: flush, log: log, closed: make(chan struct{})}
}

// Stats returns the counters as they are now.
func (f *Flusher) Stats() Stats {
	s := Stats{Flushes: make(map[Trigger]uint64, triggerCount), Failures: make(map[Trigger]uint64, triggerCount)}
	for t := range triggerCount {
		s.Flushes[t] = f.counters.flushes[t].Load()
		s.Failures[t] = f.counters.failures[t].Load()
	}
	if ns := f.counters.last.Load(); ns != 0 {
		s.Last = time.Unix(0, ns)
	}
	return s
}

// Now flushes the table and returns when that is done.
func (f *Flusher) Now(t Trigger) error { return f.run(1<<t, f.flush) }

// Soon has the table flushed, and does not wait for that. Triggers that come while it is
// being done share the next flush. After End it does nothing.
func (f *Flusher) Soon(t Trigger) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return
	}
	f.pending |= 1 << t
	if !f.working {
		f.working = true
		f.aside.Go(f.work)
	}
}

// End waits for what Soon has begun, and flushes the table for the last time, by a function
// that may close it besides.
func (f *Flusher) End(last func() error) error {
	f.mu.Lock()
	if f.ended {
		f.mu.Unlock()
		return errors.New("flush: ended twice")
	}
	f.ended = true
	f.mu.Unlock()
	close(f.closed)
	f.aside.Wait()
	return f.run(1<<DaemonEnd, last)
}

func (f *Flusher) work() {
	for {
		f.mu.Lock()
		why := f.pending
		f.pending = 0
		f.working = why != 0
		f.mu.Unlock()
		if why == 0 {
			return
		}
		_ = f.run(why, f.flush)
		next := time.NewTimer(pause)
		select {
		case <-next.C:
		case <-f.closed:
			next.Stop()
		}
	}
}

// run is every flush that there is: for a set of triggers.
func (f *Flusher) run(why uint32, flush func() error) error {
	began := time.Now()
	err := flush()
	took := time.Since(began)
	counts := &f.counters.flushes
	if err != nil {
		counts = &f.counters.failures
	} else {
		f.counters.last.Store(time.Now().UnixNano())
	}
	for t := range triggerCount {
		if why&(1<<t) == 0 {
			continue
		}
		counts[t].Add(1)
		if err != nil {
			f.log.Warn("qid table not flushed", "trigger", t.String(), "seconds", took.Seconds(), "error", err)
		} else {
			f.log.Info("qid table flushed", "trigger", t.String(), "seconds", took.Seconds())
		}
	}
	return err
}
