// SPDX-License-Identifier: Apache-2.0

package drive

import (
	"math/bits"
	"time"
)

// histogram counts durations. Each power of two of nanoseconds has fine buckets: what it
// returns is at most a sixty-fourth too small.
type histogram struct {
	counts [64 * fine]uint32
	total  uint32
}

const (
	fineBits = 6
	fine     = 1 << fineBits
)

func bucket(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < fine {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - fineBits
	return (shift+1)*fine + int(v>>shift) - fine
}

// floorOf is the smallest duration of a bucket.
func floorOf(b int) time.Duration {
	if b < fine {
		return time.Duration(b)
	}
	shift := b/fine - 1
	return time.Duration(b%fine+fine) << shift
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucket(d)]++
	h.total++
}

// quantile returns the duration that the part q of all is not above.
func (h *histogram) quantile(q float64) time.Duration {
	left := uint32(q * float64(h.total))
	for b, n := range h.counts {
		if n > left {
			return floorOf(b)
		}
		left -= n
	}
	return 0
}
