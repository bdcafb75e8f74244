// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"math/bits"
	"sync/atomic"
)

// LatencyBuckets is the number of buckets of a latency histogram. Bucket i counts
// requests that took less than LatencyBound(i) nanoseconds and not less than the
// bound before; the last has no bound.
const LatencyBuckets = 24

// latencyShift makes the first bound 1024 ns: below, there is nothing to tell.
const latencyShift = 10

// LatencyBound returns the upper bound of bucket i, in nanoseconds. Bounds are
// powers of two, so that finding a request's bucket is one instruction.
func LatencyBound(i int) int64 { return 1 << (latencyShift + i) }

// sessionStats is guarded by Session.mu, but for what is atomic. Requests are not counted: they
// are the sum of their histogram.
type sessionStats struct {
	ops    [opCount]opCounters
	faults uint64
	panics atomic.Uint64
	failed atomic.Uint64 // errors that were no errno
}

type opCounters struct {
	errors  uint64
	bytes   uint64
	nanos   uint64
	buckets [LatencyBuckets]uint64
}

// count counts a request that has been served. Its time runs from when the transport took it, so
// that it holds the time in a queue, to when it had its result.
func (s *sessionStats) count(c *Call) {
	st := &c.state
	if c.Ended == 0 {
		return
	}
	o := &s.ops[opIndex[st.typ]]
	ns := uint64(c.Ended - c.Began)
	o.buckets[min(bits.Len64(ns>>latencyShift), LatencyBuckets-1)]++
	o.nanos += ns
	o.bytes += st.bytes
	if st.failed {
		o.errors++
	}
	if st.gone {
		s.faults++
	}
}

// Snapshot is what a session has counted since it was made.
type Snapshot struct {
	Ops    []OpStats // one per operation, always in the same order
	FIDs   int       // in use
	Msize  uint32    // bytes, as agreed to; 0: the client has not said Tversion
	Faults uint64    // requests whose memory was gone
	Panics uint64    // of operations
	// UnknownErrors counts errors of the backend that named no errno.
	UnknownErrors uint64
}

// OpStats is what a session has counted of one operation.
type OpStats struct {
	Name     string // "walk" of Twalk; "unknown" for message types not served
	Requests uint64
	Errors   uint64 // answered by Rlerror or Rerror
	Bytes    uint64 // of payload: read, write, readdir
	Nanos    uint64 // spent, in sum
	Buckets  [LatencyBuckets]uint64
}

// Stats returns what was counted until now: requests that have ended.
func (s *Session) Stats() Snapshot {
	snap := Snapshot{
		Ops:           make([]OpStats, len(ops)),
		Panics:        s.stats.panics.Load(),
		UnknownErrors: s.stats.failed.Load(),
	}
	if t := s.terms.Load(); t.dialect != DialectNone {
		snap.Msize = t.msize
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	snap.FIDs = s.fids.live
	snap.Faults = s.stats.faults
	for i := range ops {
		o := &s.stats.ops[i]
		out := &snap.Ops[i]
		*out = OpStats{Name: ops[i].name, Errors: o.errors, Bytes: o.bytes, Nanos: o.nanos, Buckets: o.buckets}
		for _, n := range o.buckets {
			out.Requests += n
		}
	}
	return snap
}
