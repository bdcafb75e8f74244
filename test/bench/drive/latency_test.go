// SPDX-License-Identifier: Apache-2.0

package drive

import (
	"testing"
	"time"
)

func TestQuantiles(t *testing.T) {
	var h histogram
	for i := range 10000 {
		h.add(time.Duration(i) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 5 * time.Millisecond, 0.99: 9900 * time.Microsecond, 0.999: 9990 * time.Microsecond} {
		if got := h.quantile(q); got > want || got < want-want/fine {
			t.Errorf("the %v quantile is %v, not %v", q, got, want)
		}
	}
	for _, d := range []time.Duration{0, 1, 63, 64, 65, 127, 128, 1 << 40, 1<<63 - 1} {
		if low := floorOf(bucket(d)); low > d || d-low > d/fine {
			t.Errorf("%d is counted as %d", d, low)
		}
	}
}
