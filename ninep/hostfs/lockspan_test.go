// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"math"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSetSpan(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const size = 40
	for range 200 {
		var spans []lockSpan
		var model [size]int16
		for i := range model {
			model[i] = unix.F_UNLCK
		}
		for range 30 {
			start := rng.Int64N(size)
			end := start + rng.Int64N(size-start)
			typ := []int16{unix.F_RDLCK, unix.F_WRLCK, unix.F_UNLCK}[rng.IntN(3)]
			spans = setSpan(spans, lockSpan{start, end, typ})
			for i := start; i <= end; i++ {
				model[i] = typ
			}
			for i := range int64(size) {
				got := int16(unix.F_UNLCK)
				for _, s := range spans {
					if s.start <= i && i <= s.end {
						got = s.typ
					}
				}
				if got != model[i] {
					t.Fatalf("byte %d of %+v: %d, want %d", i, spans, got, model[i])
				}
			}
			for i := 1; i < len(spans); i++ {
				if a, b := spans[i-1], spans[i]; b.start <= a.end || b.start == a.end+1 && a.typ == b.typ {
					t.Fatalf("not merged: %+v", spans)
				}
			}
		}
	}
	all := setSpan(nil, lockSpan{0, math.MaxInt64, unix.F_WRLCK})
	got := setSpan(all, lockSpan{5, math.MaxInt64, unix.F_UNLCK})
	if len(got) != 1 || got[0] != (lockSpan{0, 4, unix.F_WRLCK}) {
		t.Errorf("got %+v", got)
	}
}

func TestCover(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const size = 30
	for range 3000 {
		var model [size]int16
		for i := range model {
			model[i] = unix.F_UNLCK
		}
		var spans []lockSpan
		for range rng.IntN(8) {
			s := lockSpan{start: rng.Int64N(size), typ: unix.F_RDLCK}
			s.end = s.start + rng.Int64N(size-s.start)
			if rng.IntN(3) == 0 {
				s.typ = unix.F_WRLCK
			}
			if fits := func() bool {
				for i := s.start; i <= s.end; i++ {
					if model[i] == unix.F_WRLCK || s.typ == unix.F_WRLCK && model[i] != unix.F_UNLCK {
						return false
					}
				}
				return true
			}(); !fits {
				continue
			}
			spans = append(spans, s)
			for i := s.start; i <= s.end; i++ {
				model[i] = s.typ
			}
		}
		in := lockSpan{start: rng.Int64N(size)}
		in.end = in.start + rng.Int64N(size-in.start)
		next := in.start
		out := cover(spans, in)
		for i, piece := range out {
			if piece.start != next || piece.end < piece.start || i > 0 && out[i-1].typ == piece.typ {
				t.Fatalf("%+v of %+v is %+v", in, spans, out)
			}
			for b := piece.start; b <= piece.end; b++ {
				if model[b] != piece.typ {
					t.Fatalf("byte %d of %+v is %+v", b, spans, out)
				}
			}
			next = piece.end + 1
		}
		if next != in.end+1 {
			t.Fatalf("%+v of %+v is %+v", in, spans, out)
		}
	}
	whole := lockSpan{0, math.MaxInt64, unix.F_UNLCK}
	got := cover([]lockSpan{{5, math.MaxInt64, unix.F_WRLCK}}, whole)
	if len(got) != 2 || got[0] != (lockSpan{0, 4, unix.F_UNLCK}) || got[1] != (lockSpan{5, math.MaxInt64, unix.F_WRLCK}) {
		t.Errorf("got %+v", got)
	}
}
