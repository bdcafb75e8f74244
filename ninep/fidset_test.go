// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"math/rand/v2"
	"testing"
)

// The set does what a map does, over sizes that rise and fall.
func TestFIDSet(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var s fidSet
		want := make(map[uint32]*fid)
		adding := 8
		for step := range 20_000 {
			if step%2000 == 0 {
				adding = 2 + rng.IntN(7)
			}
			id := rng.Uint32N(3000)
			if seed%2 == 0 {
				id *= 64 // as in one part of a table
			}
			if got := s.get(id); got != want[id] {
				t.Fatalf("step %d: fid %d is %p, want %p", step, id, got, want[id])
			}
			switch add := rng.IntN(10) < adding; {
			case add && want[id] == nil:
				want[id] = &fid{id: id}
				s.add(want[id])
			case !add && want[id] != nil:
				s.remove(want[id])
				delete(want, id)
			}
			if s.count != len(want) {
				t.Fatalf("step %d: %d fids, want %d", step, s.count, len(want))
			}
		}
		for id, f := range want {
			if s.get(id) != f {
				t.Fatalf("fid %d is missing", id)
			}
			s.remove(f)
		}
		if s.count != 0 || len(s.slots) > minFIDSlots {
			t.Errorf("%d fids and %d slots are left", s.count, len(s.slots))
		}
	}
}

// However the numbers are chosen, the search for one stays short.
func TestFIDSetSpreads(t *testing.T) {
	const count = 10_000
	for name, id := range map[string]func(i int) uint32{
		"dense":     func(i int) uint32 { return uint32(i) },
		"one shard": func(i int) uint32 { return uint32(i) * fidShards },
		"high bits": func(i int) uint32 { return uint32(i) << 18 },
	} {
		var s fidSet
		for i := range count {
			s.add(&fid{id: id(i)})
		}
		steps, longest := 0, 0
		for i := range count {
			f := id(i)
			n := 1
			for at := s.home(f); s.slots[at].id != f; at = s.next(at) {
				n++
			}
			steps += n
			longest = max(longest, n)
		}
		if steps > 4*count || longest > 200 {
			t.Errorf("%s: %d steps for %d fids, %d for one", name, steps, count, longest)
		}
	}
}
