// SPDX-License-Identifier: Apache-2.0

package qidpath

import (
	"errors"
	"sync"
	"testing"
)

func TestIndexReadersWhileItGrows(t *testing.T) {
	var x index
	x.init()
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

// The full map tells files of different keys apart, whatever the keys' numbers.
func TestFullKeysDiffer(t *testing.T) {
	type pair struct {
		a uint64
		b uint16
	}
	seen := make(map[pair]bool)
	for _, k := range []uint64{0, 1, 1<<16 - 1, 1 << 16, 1<<16 + 1, 1 << 31, maxFullKeys - 1} {
		for _, ino := range []uint64{0, 1, 1 << 47, inoMask} {
			a, b := fullKey(firstFull+k, ino)
			if seen[pair{a, b}] {
				t.Errorf("key number %#x, inode %#x: taken", k, ino)
			}
			seen[pair{a, b}] = true
			if firstFull+k > indexMaxValue {
				t.Errorf("key number %#x does not fit into the index", k)
			}
		}
	}
}

func TestFullKeysExhausted(t *testing.T) {
	table := New(Config{})
	table.known = MaxElements
	table.fullKeys = maxFullKeys - 1
	if p, err := table.Path(1, 1); p != 1 || err != nil {
		t.Errorf("last key: %#x, %v", p, err)
	}
	if _, err := table.Path(2, 1); !errors.Is(err, ErrExhausted) {
		t.Errorf("error %v, want ErrExhausted", err)
	}
	if p, err := table.Path(1, 2); p != 2 || err != nil {
		t.Errorf("another file of the last key: %#x, %v", p, err)
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
