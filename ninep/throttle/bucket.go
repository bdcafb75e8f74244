// SPDX-License-Identifier: Apache-2.0

package throttle

import (
	"math/bits"
	"time"
)

// forever is a time in nanoseconds that does not come, and can be added to itself.
const forever = 1 << 61

// mulDiv returns a*b/c, at most forever. c is not 0.
func mulDiv(a, b, c uint64) int64 {
	hi, lo := bits.Mul64(a, b)
	if hi >= c {
		return forever
	}
	q, _ := bits.Div64(hi, lo, c)
	return int64(min(q, forever))
}

// bucket is a Rate in force. Times are nanoseconds of the Limiter's clock.
type bucket struct {
	rate  Rate
	size  int64 // how long it takes to leak as much as it holds
	empty int64 // when it will be
	peak  int64 // when that which leaks at rate.Max will be
}

// burstSize is what the bucket that leaks at Max, or at Avg if there is none, holds.
const burstSize = int64(time.Second / 10)

func newBucket(r Rate) bucket {
	b := bucket{rate: r, size: burstSize}
	b.rate.Length = max(r.Length, 1)
	if r.Max > 0 {
		b.size = mulDiv(r.Max*b.rate.Length, uint64(time.Second), r.Avg)
	}
	return b
}

// wait returns how long it is until a request may begin.
func (b *bucket) wait(now int64) int64 {
	if b.rate.Avg == 0 {
		return 0
	}
	w := b.empty - now - b.size
	if b.rate.Length > 1 {
		w = max(w, b.peak-now-burstSize)
	}
	return max(w, 0)
}

// pour takes in amount units divided by parts.
func (b *bucket) pour(now int64, amount, parts uint64) {
	if b.rate.Avg == 0 {
		return
	}
	fill := func(empty int64, rate uint64) int64 {
		return min(max(empty, now)+mulDiv(amount, uint64(time.Second), rate)/int64(parts), now+forever)
	}
	b.empty = fill(b.empty, b.rate.Avg)
	if b.rate.Length > 1 {
		b.peak = fill(b.peak, b.rate.Max)
	}
}

// buckets are Limits in force.
type buckets struct {
	bps, iops [classes]bucket
	iopsSize  uint64
}

func newBuckets(l *Limits) *buckets {
	bs := &buckets{iopsSize: l.IOPSSize}
	for c := range classes {
		bs.bps[c], bs.iops[c] = newBucket(l.BPS[c]), newBucket(l.IOPS[c])
	}
	return bs
}

// wait returns how long it is until a request of the class may begin.
func (bs *buckets) wait(now int64, c Class) int64 {
	return max(bs.bps[Total].wait(now), bs.iops[Total].wait(now), bs.bps[c].wait(now), bs.iops[c].wait(now))
}

// pour takes in a request of the class.
func (bs *buckets) pour(now int64, c Class, size uint64) {
	amount, parts := uint64(1), uint64(1)
	if bs.iopsSize > 0 && size > bs.iopsSize {
		amount, parts = size, bs.iopsSize
	}
	for _, class := range [...]Class{Total, c} {
		bs.bps[class].pour(now, size, 1)
		bs.iops[class].pour(now, amount, parts)
	}
}
