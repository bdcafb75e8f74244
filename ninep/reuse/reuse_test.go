// SPDX-License-Identifier: Apache-2.0

package reuse

import "testing"

// A thread gets back what it has given back, and allocates no more than it needs at a time.
func TestReuse(t *testing.T) {
	var pool Pool[int]
	var list List[int]
	for _, n := range []int{1, Len} {
		given := map[*int]bool{}
		for range n {
			given[pool.Get(&list)] = true
		}
		for v := range given {
			*v = 7
			pool.Put(&list, v)
		}
		for range n {
			if v := pool.Get(&list); !given[v] || *v != 7 {
				t.Fatalf("%d: another value", n)
			} else {
				delete(given, v)
			}
		}
	}
}

// What one thread has too much of is for all, as is what comes from no thread.
func TestMoreThanAListHolds(t *testing.T) {
	var pool Pool[int]
	var full List[int]
	seen := map[*int]bool{}
	for range 2 * Len {
		v := new(int)
		seen[v] = true
		pool.Put(&full, v)
	}
	if n := len(full.values); n != Len {
		t.Errorf("a list of %d values, want %d", n, Len)
	}
	pool.Put(nil, new(int))
	for range Len {
		if !seen[pool.Get(&full)] {
			t.Fatal("the list does not hold what was given back")
		}
	}
	if *pool.Get(nil) != 0 || *pool.Get(&full) != 0 {
		t.Error("a new value is not zero")
	}
}

func TestReuseDoesNotAllocate(t *testing.T) {
	var pool Pool[[64]byte]
	var list List[[64]byte]
	var held [Len]*[64]byte
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
