// SPDX-License-Identifier: Apache-2.0

package report

import (
	"math"
	"slices"
)

// streamed is the payload of an operation from which on bytes are counted, not operations.
const streamed = 64 << 10

func (r *Result) streams() bool {
	return len(r.Rounds) > 0 && r.Rounds[0].streams()
}

// perSecond is the round's operations per second.
func (r Round) perSecond() float64 { return float64(r.Operations) / r.Elapsed.Seconds() }

// megabytesPerSecond is the round's payload per second, in 10^6 bytes.
func (r Round) megabytesPerSecond() float64 { return float64(r.Bytes) / 1e6 / r.Elapsed.Seconds() }

// cpu is the round's CPU time per operation in microseconds.
func (r Round) cpu() float64 { return float64(r.CPU.Nanoseconds()) / 1e3 / float64(r.Operations) }

// switches is the round's voluntary context switches per operation.
func (r Round) switches() float64 { return float64(r.Switches) / float64(r.Operations) }

// median returns the middle of the numbers that there are, NaN of none.
func median(values []float64) float64 {
	values = slices.DeleteFunc(slices.Clone(values), func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// each computes a figure of each round.
func each(rounds []Round, f func(Round) float64) []float64 {
	values := make([]float64, len(rounds))
	for i, r := range rounds {
		values[i] = f(r)
	}
	return values
}

// paired computes a figure of each two rounds that followed each other, and returns the
// median: what changes slowly on the machine is the same for both.
func paired(a, b *Result, f func(a, b Round) float64) float64 {
	if a == nil || b == nil {
		return math.NaN()
	}
	values := make([]float64, min(len(a.Rounds), len(b.Rounds)))
	for i := range values {
		values[i] = f(a.Rounds[i], b.Rounds[i])
	}
	return median(values)
}

// work is what a round got done, in the unit that a's speed is told in: operations of
// systems may carry different amounts of payload.
func (r Round) work(streams bool) float64 {
	if streams {
		return float64(r.Bytes)
	}
	return float64(r.Operations)
}

// streams reports whether bytes count, and not operations.
func (r Round) streams() bool { return r.Operations > 0 && r.Bytes/r.Operations >= streamed }

// speedRatio is the ratio of the work done in the same time.
func speedRatio(a, b Round) float64 {
	s := a.streams()
	return a.work(s) / a.Elapsed.Seconds() / (b.work(s) / b.Elapsed.Seconds())
}

// cpuRatio is the ratio of the CPU time for the same work.
func cpuRatio(a, b Round) float64 {
	s := a.streams()
	return a.CPU.Seconds() / a.work(s) / (b.CPU.Seconds() / b.work(s))
}

// aboveFloor is the CPU time above the floor's, as a share of the floor's.
func aboveFloor(a, floor Round) float64 { return (a.cpu() - floor.cpu()) / floor.cpu() }
