// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"vhost-user-9p/qidpath"
)

// cutBytes cuts a stream every n bytes.
func cutBytes(b []byte, n int) [][]byte { return slices.Collect(slices.Chunk(b, n)) }

// TestCutAfterEveryChange kills a store after each change of an append, and
// loads what is then there: exactly the old or the new table. The next append
// goes on from it.
func TestCutAfterEveryChange(t *testing.T) {
	k := newKeys(1, 60)
	for _, tc := range []struct {
		name     string
		chunks   [][]byte
		maxValue int
		old      []qidpath.Key
		add      int
	}{
		{"no table", nil, 0, nil, 1},
		{"header only", [][]byte{stream()}, 0, nil, 1},
		{"ragged header", cutBytes(append(stream(), 1, 2, 3), 9), 0, nil, 1},
		{"one chunk", [][]byte{stream(k[:5]...)}, 0, k[:5], 1},
		{"one chunk, many keys", [][]byte{stream(k[:5]...)}, 0, k[:5], 40},
		{"one chunk becomes two", [][]byte{stream(k[:5]...)}, 60, k[:5], 1},
		{"one chunk becomes many", [][]byte{stream(k[:5]...)}, 60, k[:5], 40},
		{"last of many grows", cutBytes(stream(k[:12]...), 48), 60, k[:12], 1},
		{"many become more", cutBytes(stream(k[:12]...), 48), 60, k[:12], 20},
		{"cut inside elements", cutBytes(stream(k[:12]...), 33), 60, k[:12], 2},
		{"with empty chunks", [][]byte{stream(k[:2]...), {}, {}}, 60, k[:2], 2},
		{"torn in one chunk", [][]byte{torn(5, k[:7]...)}, 0, k[:5], 1},
		{"torn over chunks", cutBytes(torn(5, k[:20]...), 48), 60, k[:5], 1},
		{"torn inside a chunk", cutBytes(torn(6, k[:20]...), 64), 80, k[:6], 9},
		{"ragged", cutBytes(append(stream(k[:7]...), 1, 2), 48), 60, k[:7], 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			start := newDisk().put(tc.chunks...)
			start.maxValue = tc.maxValue
			add := k[len(tc.old):][:tc.add]
			if len(tc.old) > 0 {
				add = newKeys(2, tc.add)
			}
			whole := slices.Concat(tc.old, add)

			for cut := 0; ; cut++ {
				d := start.clone()
				s := newStore(&cutMedium{d.open(), cut}, testConfig(t))
				s.lockTimeout = 0
				mustLoad(t, s)
				tail, err := s.Append(len(tc.old), add)
				d.locked = false // the lock dies with the process

				got := mustLoad(t, newStore(d.open(), testConfig(t)))
				if !slices.Equal(got, tc.old) && !slices.Equal(got, whole) {
					t.Fatalf("cut after %d changes: %d elements, want the first %d or all %d", cut, len(got), len(tc.old), len(whole))
				}
				if err == nil && (!slices.Equal(got, whole) || !slices.Equal(tail, add)) {
					t.Fatalf("%d elements after an append that succeeded, want %d", len(got), len(whole))
				}
				wantNextAppend(t, d, got)
				if err == nil {
					return
				}
				if !errors.Is(err, errCut) {
					t.Fatal(err)
				}
			}
		})
	}
}

// wantNextAppend appends to what a cut has left, and checks that nothing else is
// stored then.
func wantNextAppend(t *testing.T, d *disk, old []qidpath.Key) {
	t.Helper()
	s := newStore(d.open(), testConfig(t))
	mustLoad(t, s)
	next := qidpath.Key{Dev: 999}
	mustAppend(t, s, len(old), next)
	if want := stream(append(slices.Clone(old), next)...); !bytes.Equal(d.stream(), want) {
		t.Fatalf("stored\n%x\nwant\n%x", d.stream(), want)
	}
	if n := len(d.chunks()); len(d.attrs) != n {
		t.Fatalf("%d attributes for %d chunks", len(d.attrs), n)
	}
}

// A first append that does not fit into chunk 0 may be cut between its two
// parts, but never loses or swaps elements.
func TestCutOfALongFirstAppend(t *testing.T) {
	keys := newKeys(1, 40)
	for cut := 0; ; cut++ {
		d := newDisk()
		d.maxValue = 100
		s := newStore(&cutMedium{d.open(), cut}, testConfig(t))
		_, err := s.Append(0, keys)
		d.locked = false
		got := mustLoad(t, newStore(d.open(), testConfig(t)))
		if !slices.Equal(got, keys[:len(got)]) {
			t.Fatalf("cut after %d changes: elements %v", cut, got)
		}
		wantNextAppend(t, d, got)
		if err == nil {
			return
		}
	}
}

// At every cut the damaged table is either still in place or set aside in full.
func TestCutWhileSettingAside(t *testing.T) {
	k := newKeys(1, 12)
	bad := flip(stream(k...), 20)
	for name, chunks := range map[string][][]byte{
		"one chunk":           {bad},
		"many chunks":         cutBytes(bad, 31),
		"first chunk missing": append([][]byte{nil}, cutBytes(bad, 31)[1:]...),
		"short header":        {{1, 0}, {0}},
		"no bytes":            {{}},
	} {
		t.Run(name, func(t *testing.T) {
			start := newDisk().put(chunks...)
			for cut := 0; ; cut++ {
				d := start.clone()
				s := newStore(&cutMedium{d.open(), cut}, testConfig(t))
				_, err := s.Load()
				wantReason(t, err, qidpath.ReasonRejected)
				_, err = s.Append(0, k[:1])
				d.locked = false

				got, loadErr := newStore(d.open(), testConfig(t)).Load()
				// Without its last chunk, what has no first one is no table at all.
				gone := len(got) == 0 && len(d.chunks()) == 0
				if loadErr == nil && !slices.Equal(got, k[:1]) && !gone {
					t.Fatalf("cut after %d changes: elements %v", cut, got)
				}
				crc := image(chunks).checksum()
				for i, c := range chunks {
					if c == nil {
						continue
					}
					inPlace := bytes.Equal(d.attrs[chunkName(i)], c) && d.attrs[chunkName(i)] != nil
					aside, ok := d.attrs[badName(crc, i)]
					if !inPlace && (!ok || !bytes.Equal(aside, c)) {
						t.Fatalf("cut after %d changes: chunk %d is lost", cut, i)
					}
				}
				if err == nil {
					if loadErr != nil {
						t.Fatal(loadErr)
					}
					return
				}
			}
		})
	}
}

// A damaged table is only touched when its copy is on stable storage.
func TestSetAsideIsSyncedFirst(t *testing.T) {
	d := newDisk().put([]byte{1})
	var synced []bool
	s := newStore(&watchMedium{d.open(), func(name string) {
		if name == chunkName(0) {
			synced = append(synced, d.syncs > 0)
		}
	}}, testConfig(t))
	mustAppend(t, s, 0, newKeys(1, 1)...)
	if !slices.Equal(synced, []bool{true}) {
		t.Errorf("synced before the first chunk was written: %v", synced)
	}
}

// TestRandomCuts goes through a long life of small tables, with file systems of
// all limits, and daemons that are killed. No element that an append has
// confirmed is ever lost or moved.
func TestRandomCuts(t *testing.T) {
	seed := [2]uint64{rand.Uint64(), rand.Uint64()}
	t.Logf("seed %#x", seed)
	rng := rand.New(rand.NewPCG(seed[0], seed[1]))
	cfg := testConfig(t)
	for life := range 100 {
		d := newDisk()
		d.maxValue = 40 + rng.IntN(200)
		if rng.IntN(2) == 0 {
			d.maxTotal = 500 + rng.IntN(4000)
		}
		var confirmed []qidpath.Key
		for day := range 20 {
			s := newStore(&cutMedium{d.open(), rng.IntN(20)}, cfg)
			loaded := mustLoad(t, s)
			if len(loaded) < len(confirmed) || !slices.Equal(loaded[:len(confirmed)], confirmed) {
				t.Fatalf("life %d, day %d: %d elements, of which %d confirmed ones are not the same", life, day, len(loaded), len(confirmed))
			}
			known := len(loaded)
			for hour := range 10 {
				add := newKeys(uint64(1000*day+hour+1), 1+rng.IntN(4))
				tail, err := s.Append(known, add)
				if err != nil {
					continue
				}
				known += len(tail)
				confirmed = mustLoad(t, newStore(&diskMedium{disk: d, holds: true}, cfg))
				if len(confirmed) != known || !slices.Equal(confirmed[known-len(add):], add) {
					t.Fatalf("life %d, day %d: append returned %d elements", life, day, len(tail))
				}
			}
			d.locked = false
		}
	}
}

// TestCutOnRealFileSystem kills real appends after each change: it copies the
// attributes at each step.
func TestCutOnRealFileSystem(t *testing.T) {
	for fs, mkdir := range map[string]func(testing.TB) string{
		"tmpfs":   tmpfsDir,
		"default": func(t testing.TB) string { return xattrDir(t, t.TempDir()) },
	} {
		t.Run(fs, func(t *testing.T) {
			old := newKeys(1, 30)
			add := newKeys(2, 20)
			for cut := 0; ; cut++ {
				dir := mkdir(t)
				s := openStore(t, dir, testConfig(t))
				s.chunkMax = 128
				mustAppend(t, s, 0, old...)
				before := attributes(t, dir)

				dying := openStore(t, dir, testConfig(t))
				dying.chunkMax = 128
				dying.medium = &cutMedium{dying.medium, cut}
				mustLoad(t, dying)
				_, err := dying.Append(len(old), add)
				dying.Close()

				got := mustLoad(t, openStore(t, dir, testConfig(t)))
				if !slices.Equal(got, old) && !slices.Equal(got, slices.Concat(old, add)) {
					t.Fatalf("cut after %d changes: %d elements", cut, len(got))
				}
				if cut == 0 && !maps.Equal(attributes(t, dir), before) {
					t.Fatal("something changed before the first change")
				}
				if err == nil {
					if cut < 3 {
						t.Fatalf("an append of several chunks took %d changes", cut)
					}
					return
				}
			}
		})
	}
}
