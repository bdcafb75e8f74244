// SPDX-License-Identifier: Apache-2.0

package qidpath

import (
	"sync"
	"testing"
)

func TestIndexReadersWhileItGrows(t *testing.T) {
	var x index
	x.reset()
	const count = 20000
	var wg sync.WaitGroup
	start := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			<-start
			for i := uint64(0); i < count; {
				switch v := x.get(i*i, uint16(i)); v {
				case 0: // not there yet
				case i + 1:
					i++
				default:
					t.Errorf("pair %d has value %d", i, v)
					return
				}
			}
		})
	}
	close(start)
	for i := range uint64(count) {
		x.put(i*i, uint16(i), i+1)
	}
	wg.Wait()
	if v := x.get(9, 4); v != 0 {
		t.Errorf("a pair that was never put has value %d", v)
	}
}

// A part of the full map that is as full as it gets still finds what it has, and
// soon what it has not.
func TestDenseIndex(t *testing.T) {
	x := index{dense: true}
	x.reset()
	const count = 1 << 12 / 8 * 7
	for i := range uint64(count) {
		x.put(i, 7, i+1)
	}
	if n := len(x.table.Load().slots); n != 1<<12 {
		t.Fatalf("%d slots for %d keys", n, count)
	}
	for i := range uint64(count) {
		if v := x.get(i, 7); v != i+1 {
			t.Fatalf("key %d has value %d", i, v)
		}
		if v := x.get(i, 8); v != 0 {
			t.Fatalf("a key that was never put has value %d", v)
		}
	}
	x.put(count, 7, 1)
	if n := len(x.table.Load().slots); n != 1<<13 {
		t.Errorf("%d slots for one key more", n)
	}
}

func TestReasonsHaveNames(t *testing.T) {
	seen := make(map[string]bool)
	for r := range reasonCount {
		if r.String() == "" || seen[r.String()] {
			t.Errorf("reason %d: name %q", r, r)
		}
		seen[r.String()] = true
	}
	if s := reasonCount.String(); s != "reason(0xb)" {
		t.Errorf("unknown reason: %q", s)
	}
}
