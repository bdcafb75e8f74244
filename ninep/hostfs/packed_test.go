// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"reflect"
	"strings"
	"testing"
)

func TestPacked(t *testing.T) {
	var s packed
	if reflect.TypeFor[packed]().Size() != 8 || !s.empty() || s.bytes() != nil {
		t.Error("the zero value is not empty")
	}
	for _, n := range []int{0, 1, 13, 14, 15, 30, 31, 254, maxPacked, 7, 0} {
		want := strings.Repeat("x", n)
		s.set([]byte(want))
		if got := string(s.bytes()); got != want || s.empty() != (n == 0) {
			t.Errorf("%d bytes: got %q", n, got)
		}
	}
	short := []byte("short")
	if n := testing.AllocsPerRun(10, func() { s.set(short) }); n > 0 {
		t.Errorf("%v allocations for what fits", n)
	}
	if s.clear(); s.p != nil {
		t.Error("keeps the memory of a long string")
	}
	s.set([]byte("short"))
	if s.clear(); s.p == nil || !s.empty() {
		t.Error("does not keep the memory of a short string")
	}
}
