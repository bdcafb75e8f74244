// SPDX-License-Identifier: Apache-2.0

package fullmap

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"vhost-user-9p/qidpath"
)

// elements is a qidpath.Store in memory.
type elements struct {
	mu  sync.Mutex
	all []qidpath.Element
}

func (s *elements) Load() ([]qidpath.Element, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all), nil
}

func (s *elements) Append(known int, add []qidpath.Element) ([]qidpath.Element, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range add {
		if !slices.ContainsFunc(s.all, func(o qidpath.Element) bool { return o.Key == e.Key }) {
			s.all = append(s.all, e)
		}
	}
	return slices.Clone(s.all[known:]), nil
}

func (s *elements) Identify(int, qidpath.Identity) error { return nil }
func (s *elements) Flush() error                         { return nil }
func (s *elements) Close() error                         { return nil }

// openTable opens a Table on the Map named test in the directory path, and loads it.
func openTable(t testing.TB, path string, store qidpath.Store) *qidpath.Table {
	t.Helper()
	table := qidpath.New(qidpath.Config{Store: store, FullMap: openMap(t, path), Logger: testLogger(t)})
	t.Cleanup(func() { table.Close() })
	if err := table.Load(); err != nil {
		t.Fatal(err)
	}
	table.Bind(7, testFS, nil)
	table.Bind(8, qidpath.Identity{}, nil)
	return table
}

func path(t testing.TB, table *qidpath.Table, dev, ino uint64) uint64 {
	t.Helper()
	p, err := table.Path(dev, ino)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// File systems with 64-bit inode numbers keep their files' paths, in whatever
// order these are seen after a restart.
func TestTable(t *testing.T) {
	type key struct{ dev, ino uint64 }
	var keys []key
	for prefix := range uint64(40) {
		for ino := range uint64(3) {
			keys = append(keys, key{7, prefix<<48 | ino}, key{8, prefix<<48 | ino})
		}
	}
	for range 500 {
		keys = append(keys, key{7, rand.Uint64()}, key{8, rand.Uint64()})
	}
	dir, store := tmpfsDir(t), new(elements)
	paths := make(map[key]uint64)
	owner := make(map[uint64]key)
	for run := range 4 {
		table := openTable(t, dir, store)
		rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		for _, k := range keys[:len(keys)*(run+1)/4] {
			p := path(t, table, k.dev, k.ino)
			if before, ok := paths[k]; ok && p != before {
				t.Fatalf("run %d: %v had path %#x and has %#x", run, k, before, p)
			}
			if other, ok := owner[p]; ok && other != k {
				t.Fatalf("run %d: path %#x was %v and is %v", run, p, other, k)
			}
			paths[k], owner[p] = p, k
		}
		st := table.Stats()
		if st.Degraded || st.VolatileNumbers > 0 {
			t.Errorf("run %d: %+v", run, st)
		}
		if run == 3 {
			// 16 prefixes a file system are elements, the other files numbered.
			if st.Entries != 32 || st.Numbers < 1000 {
				t.Errorf("%d elements, %d numbers", st.Entries, st.Numbers)
			}
		}
		if err := table.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Two Tables agree on the files of one export that are numbered one by one.
func TestTwoTables(t *testing.T) {
	dir, store := tmpfsDir(t), new(elements)
	a := openTable(t, dir, store)
	for prefix := range uint64(16) { // no other prefix becomes an element
		path(t, a, 7, prefix<<48)
	}
	b := openTable(t, dir, store)
	inos := make([]uint64, 300)
	for i := range inos {
		inos[i] = rand.Uint64() | 1<<63
	}
	var group sync.WaitGroup
	paths := [2][]uint64{make([]uint64, len(inos)), make([]uint64, len(inos))}
	for i, table := range []*qidpath.Table{a, b} {
		group.Go(func() {
			for _, j := range rand.Perm(len(inos)) {
				p, err := table.Path(7, inos[j])
				if err != nil {
					t.Error(err)
				}
				paths[i][j] = p
			}
		})
	}
	group.Wait()
	if !slices.Equal(paths[0], paths[1]) {
		t.Error("the same files have different paths")
	}
}
