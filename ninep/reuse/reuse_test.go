// SPDX-License-Identifier: Apache-2.0

package reuse

import "testing"

// A thread gets back what it has given back, as many as it has needed at a time.
func TestReuse(t *testing.T) {
	var pool Pool[int]
	var list List[int]
	for _, n := range []int{1, maxValues} {
		given := map[*int]bool{}
		for range n {
			given[pool.Get(&list)] = true
		}
		for v := range given {
			*v = 7
			pool.Put(&list, v)
		}
		if len(list.values) != n {
			t.Errorf("%d values are kept of %d", len(list.values), n)
		}
		for range n {
			v := pool.Get(&list)
			if !given[v] || *v != 7 {
				t.Fatalf("%d: another value", n)
			}
			delete(given, v)
			defer pool.Put(&list, v)
		}
	}
}

// What a thread has too much of is for all, as is what comes from no thread.
func TestMoreThanAListHolds(t *testing.T) {
	var pool Pool[int]
	var list List[int]
	for range 2 * maxValues { // none of them is there
		pool.Get(&list)
	}
	for range 2 * maxValues {
		pool.Put(&list, new(int))
	}
	if n := len(list.values); n != maxValues {
		t.Errorf("a list of %d values, want %d", n, maxValues)
	}
	var giver List[int]
	pool.Put(&giver, new(int))
	if len(giver.values) != 0 {
		t.Error("a thread that needs no values keeps them from others")
	}
	pool.Put(nil, new(int))
	if *pool.Get(nil) != 0 || *pool.Get(&giver) != 0 {
		t.Error("a new value is not zero")
	}
}

func TestReuseDoesNotAllocate(t *testing.T) {
	var pool Pool[[64]byte]
	var list List[[64]byte]
	var held [maxValues]*[64]byte
	if n := testing.AllocsPerRun(100, func() {
		for i := range held {
			held[i] = pool.Get(&list)
		}
		for _, v := range held {
			pool.Put(&list, v)
		}
	}); n != 0 {
		t.Errorf("%v allocations for each row, want 0", n)
	}
}
