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

// statShards is the number of sets of counters. Threads are dealt out to them, so
// that few take a cache line from one another with each request; the number is
// fixed because threads come and go, and counts must not go with them.
const statShards = 16

// statShard is one set. Requests are not counted: they are the sum of their
// histogram.
type statShard struct {
	sess *Session
	ops  [opCount]opCounters
}

type opCounters struct {
	errors  atomic.Uint64
	bytes   atomic.Uint64
	nanos   atomic.Uint64
	buckets [LatencyBuckets]atomic.Uint64
}

type sessionStats struct {
	shards [statShards]atomic.Pointer[statShard] // nil until a thread needs it
	dealt  atomic.Uint32
	faults atomic.Uint64
	panics atomic.Uint64
	failed atomic.Uint64 // errors that were no errno
}

// pick returns the shard of the number, which it makes if need be.
func (s *Session) pick(n uint32) *statShard {
	p := &s.stats.shards[n%statShards]
	if sh := p.Load(); sh != nil {
		return sh
	}
	p.CompareAndSwap(nil, &statShard{sess: s})
	return p.Load()
}

// sharedStats is where to count what ends on no worker's thread.
func (s *Session) sharedStats() *statShard { return s.pick(0) }

// threadStats returns where to count for c's thread.
func (s *Session) threadStats(c *Call) *statShard {
	th := c.Thread
	switch {
	case th == nil:
		return s.sharedStats()
	case th.stats == nil || th.stats.sess != s:
		th.stats = s.pick(s.stats.dealt.Add(1))
	}
	return th.stats
}

// count counts a request that has ended with the value n of Serve. Its time runs
// from when the transport took it, so that it holds the time in a queue, to here.
func (s *Session) count(c *Call, sh *statShard, n int) {
	st := &c.state
	o := &sh.ops[opIndex[st.typ]]
	c.Ended = Nanotime()
	ns := c.Ended - c.Began
	o.buckets[min(bits.Len64(uint64(ns)>>latencyShift), LatencyBuckets-1)].Add(1)
	o.nanos.Add(uint64(ns))
	if st.failed {
		o.errors.Add(1)
	}
	if st.bytes != 0 {
		o.bytes.Add(st.bytes)
	}
	if n == Fault {
		s.stats.faults.Add(1)
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

// Stats returns what was counted until now. Numbers of requests that end meanwhile
// may be in some fields already and in others not.
func (s *Session) Stats() Snapshot {
	snap := Snapshot{
		Ops:           make([]OpStats, len(ops)),
		FIDs:          int(s.fids.live.Load()),
		Faults:        s.stats.faults.Load(),
		Panics:        s.stats.panics.Load(),
		UnknownErrors: s.stats.failed.Load(),
	}
	if t := s.terms.Load(); t.dialect != DialectNone {
		snap.Msize = t.msize
	}
	for i := range ops {
		out := &snap.Ops[i]
		out.Name = ops[i].name
		for j := range s.stats.shards {
			sh := s.stats.shards[j].Load()
			if sh == nil {
				continue
			}
			o := &sh.ops[i]
			out.Errors += o.errors.Load()
			out.Bytes += o.bytes.Load()
			out.Nanos += o.nanos.Load()
			for b := range o.buckets {
				n := o.buckets[b].Load()
				out.Buckets[b] += n
				out.Requests += n
			}
		}
	}
	return snap
}
