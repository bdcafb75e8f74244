// SPDX-License-Identifier: Apache-2.0

package qidpath_test

import (
	"log/slog"
	"math/rand/v2"
	"testing"

	"vhost-user-9p/qidpath"
)

type file struct{ dev, ino uint64 }

// model is the mapping as its documentation says it, for one table whose store
// is not shared.
type model struct {
	prefixes     map[qidpath.Key]uint64
	elements     uint64
	nextVolatile uint64
	full         map[file]uint64
}

func (m *model) path(f file, storeWorks bool) uint64 {
	key := qidpath.Key{Dev: f.dev, InoPrefix: uint16(f.ino >> 48)}
	p, ok := m.prefixes[key]
	if !ok {
		switch {
		case m.elements < qidpath.MaxElements && storeWorks:
			m.elements++
			p = m.elements
		case m.elements < qidpath.MaxElements && m.nextVolatile > qidpath.MaxElements:
			p = m.nextVolatile
			m.nextVolatile--
		}
		m.prefixes[key] = p
	}
	if p != 0 {
		return p<<48 | f.ino&low48
	}
	if _, ok := m.full[f]; !ok {
		m.full[f] = uint64(len(m.full)) + 1
	}
	return m.full[f]
}

// TestMappingAgainstModel asks for random files, some again and again, and
// checks each answer against the model, and that no two files share one.
func TestMappingAgainstModel(t *testing.T) {
	for name, preload := range map[string]int{"empty": 0, "nearly full": qidpath.MaxElements - 100} {
		t.Run(name, func(t *testing.T) {
			seed := [2]uint64{rand.Uint64(), rand.Uint64()}
			t.Logf("seed %#x", seed)
			rng := rand.New(rand.NewPCG(seed[0], seed[1]))

			store := &memStore{keys: elements(preload)}
			table := qidpath.New(qidpath.Config{Store: store, Logger: slog.New(slog.DiscardHandler)})
			if err := table.Load(); err != nil {
				t.Fatal(err)
			}
			m := &model{prefixes: map[qidpath.Key]uint64{}, nextVolatile: 65535, full: map[file]uint64{}}
			for _, k := range store.keys {
				m.elements++
				m.prefixes[k] = m.elements
			}

			// Devices and inode prefixes that collide now and then, with low
			// bits that do so often.
			pick := func() file {
				f := file{rng.Uint64(), rng.Uint64()}
				if rng.IntN(4) > 0 {
					f.dev = 0xfe00 + f.dev%8
				}
				switch rng.IntN(3) {
				case 0:
					f.ino &= 1<<52 - 1
				case 1:
					f.ino &= 0x3_0000_0000_000f
				}
				return f
			}
			files := make(map[uint64]file)
			for range 3000 {
				f := pick()
				works := rng.IntN(10) > 0
				store.fail = nil
				if !works {
					store.fail = errFake
				}
				want := m.path(f, works)
				got, err := table.Path(f.dev, f.ino)
				if err != nil || got != want {
					t.Fatalf("Path(%#x, %#x) = %#x, %v; the model says %#x", f.dev, f.ino, got, err, want)
				}
				if other, ok := files[got]; ok && other != f {
					t.Fatalf("%#x names both %#x and %#x", got, other, f)
				}
				files[got] = f
			}
			for p, f := range files {
				wantPath(t, table, f.dev, f.ino, p)
			}
		})
	}
}
