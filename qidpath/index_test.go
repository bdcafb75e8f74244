// SPDX-License-Identifier: Apache-2.0

package qidpath

import (
	"errors"
	"sync"
	"testing"
)

func TestIndexReadersWhileItGrows(t *testing.T) {
	var x index
	x.init(0)
	const count = 20000
	var wg sync.WaitGroup
	start := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			<-start
			for i := uint64(0); i < count; {
				switch v := x.get(i, i*i); v {
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
		x.put(i, i*i, i+1)
	}
	wg.Wait()
	if v := x.get(3, 8); v != 0 {
		t.Errorf("a pair that was never put has value %d", v)
	}
}

func TestFullMapExhausted(t *testing.T) {
	table := New(Config{})
	table.known = MaxElements
	table.nextFull = maxFull
	if p, err := table.Path(1, 1); p != 1<<48-1 || err != nil {
		t.Errorf("last number: %#x, %v", p, err)
	}
	for range 2 {
		if _, err := table.Path(1, 2); !errors.Is(err, ErrExhausted) {
			t.Errorf("error %v, want ErrExhausted", err)
		}
	}
	if p, err := table.Path(1, 1); p != 1<<48-1 || err != nil {
		t.Errorf("last number again: %#x, %v", p, err)
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
