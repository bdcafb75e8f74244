// SPDX-License-Identifier: Apache-2.0

package qidpath_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"

	"vhost-user-9p/qidpath"
)

// loaded returns a table of n elements and their keys in random order.
func loaded(tb testing.TB, n int) (*qidpath.Table, []qidpath.Element) {
	keys := elements(n)
	table := newTableOf(tb, qidpath.Config{
		Store: &memStore{elements: keys}, FullMap: (&memMap{}).open(), Logger: slog.New(slog.DiscardHandler),
	})
	if err := table.Load(); err != nil {
		tb.Fatal(err)
	}
	for _, k := range keys {
		mustPath(tb, table, k.Dev, uint64(k.InoPrefix)<<48)
	}
	rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return table, keys
}

func TestPathOfAKnownKeyAllocatesNothing(t *testing.T) {
	table, keys := loaded(t, qidpath.MaxElements)
	mustPath(t, table, 1, 1) // full map
	i := 0
	allocs := testing.AllocsPerRun(1000, func() {
		k := keys[i]
		i++
		if _, err := table.Path(k.Dev, uint64(k.InoPrefix)<<48|1); err != nil {
			t.Fatal(err)
		}
		if _, err := table.Path(1, 1); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkPath(b *testing.B) {
	for _, n := range []int{1, 40, qidpath.MaxElements} {
		b.Run(fmt.Sprintf("entries=%d", n), func(b *testing.B) {
			table, keys := loaded(b, n)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				k := keys[i]
				if i++; i == len(keys) {
					i = 0
				}
				if _, err := table.Path(k.Dev, uint64(k.InoPrefix)<<48|1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPathParallel(b *testing.B) {
	table, keys := loaded(b, qidpath.MaxElements)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.IntN(len(keys)); pb.Next(); i = (i + 1) % len(keys) {
			if _, err := table.Path(keys[i].Dev, uint64(keys[i].InoPrefix)<<48|1); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkPathFullMap(b *testing.B) {
	const files = 10_000
	table, _ := loaded(b, qidpath.MaxElements)
	for ino := range uint64(files) {
		if _, err := path(table, 1, ino); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	ino := uint64(0)
	for b.Loop() {
		ino = (ino*1103515245 + 12345) % files
		if _, err := table.Path(1, ino); err != nil {
			b.Fatal(err)
		}
	}
}
