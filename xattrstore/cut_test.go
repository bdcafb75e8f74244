// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"vhost-user-9p/qidpath"
)

// cutBytes cuts a stream every n bytes.
func cutBytes(b []byte, n int) [][]byte { return slices.Collect(slices.Chunk(b, n)) }

// layout is a stored table and what it means.
type layout struct {
	name       string
	elements   [][]byte // chunks
	identities [][]byte // chunks
	maxValue   int
	old        []qidpath.Element
	add        int
}

// layouts returns tables as all kinds of writers leave them.
func layouts() []layout {
	k := newElements(1, 60)
	v1 := unproven(k)
	half := slices.Concat(k[:7], v1[7:12]) // the rest was appended without identities
	late := slices.Concat(v1[:5], k[5:12])
	return []layout{
		{"no table", nil, nil, 0, nil, 1},
		{"no table, many elements", nil, nil, 0, nil, 40},
		{"header only", [][]byte{table1()}, nil, 0, nil, 1},
		{"headers only", [][]byte{table1()}, [][]byte{identities1(0)}, 0, nil, 1},
		{"ragged header", cutBytes(append(table1(), 1, 2, 3), 9), nil, 0, nil, 1},

		{"v1, one chunk", [][]byte{table1(k[:5]...)}, nil, 0, v1[:5], 1},
		{"v1, one chunk, many elements", [][]byte{table1(k[:5]...)}, nil, 0, v1[:5], 40},
		{"v1, one chunk becomes two", [][]byte{table1(k[:5]...)}, nil, 60, v1[:5], 1},
		{"v1, one chunk becomes many", [][]byte{table1(k[:5]...)}, nil, 60, v1[:5], 40},
		{"v1, last of many grows", cutBytes(table1(k[:12]...), 48), nil, 60, v1[:12], 1},
		{"v1, many become more", cutBytes(table1(k[:12]...), 48), nil, 60, v1[:12], 20},
		{"v1, cut inside elements", cutBytes(table1(k[:12]...), 33), nil, 60, v1[:12], 2},
		{"v1, with empty chunks", [][]byte{table1(k[:2]...), {}, {}}, nil, 60, v1[:2], 2},
		{"v1, torn in one chunk", [][]byte{torn(5, k[:7]...)}, nil, 0, v1[:5], 1},
		{"v1, torn over chunks", cutBytes(torn(5, k[:20]...), 48), nil, 60, v1[:5], 1},
		{"v1, torn inside a chunk", cutBytes(torn(6, k[:20]...), 64), nil, 80, v1[:6], 9},
		{"v1, ragged", cutBytes(append(table1(k[:7]...), 1, 2), 48), nil, 60, v1[:7], 1},

		{"one chunk each", [][]byte{table1(k[:12]...)}, [][]byte{identities1(0, k[:12]...)}, 0, k[:12], 1},
		{"one chunk each becomes many", [][]byte{table1(k[:12]...)}, [][]byte{identities1(0, k[:12]...)}, 200, k[:12], 30},
		{"many chunks each", cutBytes(table1(k[:12]...), 48), cutBytes(identities1(0, k[:12]...), 56), 60, k[:12], 1},
		{"many chunks each become more", cutBytes(table1(k[:12]...), 48), cutBytes(identities1(0, k[:12]...), 56), 60, k[:12], 20},
		{"identities cut inside", cutBytes(table1(k[:12]...), 33), cutBytes(identities1(0, k[:12]...), 33), 60, k[:12], 2},
		{"identities with empty chunks", [][]byte{table1(k[:2]...)}, [][]byte{identities1(0, k[:2]...), {}, {}}, 60, k[:2], 2},
		{"ragged identities", [][]byte{table1(k[:5]...)}, cutBytes(append(identities1(0, k[:5]...), 1, 2, 3), 40), 60, k[:5], 3},

		{"surplus identities in one chunk", [][]byte{table1(k[:5]...)}, [][]byte{identities1(0, k[:7]...)}, 0, k[:5], 1},
		{"surplus identities in one chunk, which grows to many", [][]byte{table1(k[:5]...)}, [][]byte{identities1(0, k[:7]...)}, 130, k[:5], 9},
		{"surplus identities in the last chunk", cutBytes(table1(k[:5]...), 48), cutBytes(identities1(0, k[:7]...), 72), 80, k[:5], 1},
		{"surplus identities over chunks", cutBytes(table1(k[:5]...), 48), cutBytes(identities1(0, k[:20]...), 56), 60, k[:5], 1},
		{"surplus identities without elements", nil, cutBytes(identities1(0, k[:7]...), 56), 60, nil, 5},
		{"torn identities in one chunk", [][]byte{table1(k[:5]...)}, [][]byte{tornIdentities(5, k[:7]...)}, 0, k[:5], 1},
		{"torn identities over chunks", cutBytes(table1(k[:5]...), 48), cutBytes(tornIdentities(5, k[:20]...), 56), 60, k[:5], 7},
		{"both torn", cutBytes(torn(5, k[:20]...), 48), cutBytes(tornIdentities(7, k[:20]...), 56), 60, k[:5], 7},

		{"identities of the first ones, one chunk", [][]byte{table1(k[:12]...)}, [][]byte{identities1(0, k[:7]...)}, 0, half, 1},
		{"identities of the first ones", cutBytes(table1(k[:12]...), 48), cutBytes(identities1(0, k[:7]...), 56), 60, half, 3},
		{"torn identities of the first ones", cutBytes(table1(k[:12]...), 48), cutBytes(tornIdentities(7, k[:9]...), 56), 60, half, 3},
		{"first ones unproven", [][]byte{table1(k[:12]...)}, [][]byte{identities1(5, late...)}, 0, late, 1},
		{"first ones unproven, many chunks", cutBytes(table1(k[:12]...), 48), cutBytes(identities1(5, late...), 56), 60, late, 3},
		{"none, then not known", [][]byte{table1(k[:20]...)}, [][]byte{identities1(0, k[:12]...)}, 0, slices.Concat(k[:12], v1[12:20]), 1},

		{"bad identities", [][]byte{table1(k[:5]...)}, [][]byte{flip(identities1(0, k[:5]...), 10)}, 0, v1[:5], 1},
		{"bad identities in many chunks", cutBytes(table1(k[:12]...), 48), cutBytes(flip(identities1(0, k[:12]...), 30), 56), 60, v1[:12], 9},
		{"short identities", [][]byte{table1(k[:5]...)}, [][]byte{{1, 0}}, 0, v1[:5], 1},
		{"first chunk of identities missing", [][]byte{table1(k[:5]...)}, [][]byte{nil, {1}, {2}}, 0, v1[:5], 1},
	}
}

func (l layout) disk() *disk {
	d := newDisk().put(elementSeries, l.elements...).put(identitySeries, l.identities...)
	d.maxValue = l.maxValue
	return d
}

// added returns the elements that a test appends to the table.
func (l layout) added() []qidpath.Element { return newElements(2, l.add) }

// TestCutAfterEveryChange kills a store after each change of an append, and
// loads what is then there: exactly the old or the new table. The next append
// goes on from it.
func TestCutAfterEveryChange(t *testing.T) {
	for _, l := range layouts() {
		t.Run(l.name, func(t *testing.T) {
			add := l.added()
			whole := slices.Concat(l.old, add)
			for cut := 0; ; cut++ {
				d := l.disk()
				s := storeOn(&cutMedium{d.open(), cut}, testConfig(t))
				if got := mustLoad(t, s); !slices.Equal(got, l.old) {
					t.Fatalf("loaded %v\nwant %v", got, l.old)
				}
				tail, err := s.Append(len(l.old), add)
				d.locked = false // the lock dies with the process

				got := mustLoad(t, storeOn(d.open(), testConfig(t)))
				if len(l.old) == 0 && len(got) < len(whole) && slices.Equal(got, whole[:len(got)]) && len(add) > 1 {
					// A long first append may be cut off between its two parts.
				} else if !slices.Equal(got, l.old) && !slices.Equal(got, whole) {
					t.Fatalf("cut after %d changes: %v\nwant the first %d or all of %v", cut, got, len(l.old), whole)
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
func wantNextAppend(t *testing.T, d *disk, old []qidpath.Element) {
	t.Helper()
	s := storeOn(d.open(), testConfig(t))
	mustLoad(t, s)
	next := newElements(999, 1)[0]
	mustAppend(t, s, len(old), next)
	all := append(slices.Clone(old), next)
	if got, want := d.stream(elementSeries), table1(all...); !bytes.Equal(got, want) {
		t.Fatalf("stored elements\n%x\nwant\n%x", got, want)
	}
	got := d.stream(identitySeries)
	reserved := binary.LittleEndian.Uint16(got[2:])
	if want := identities1(reserved, all...); !bytes.Equal(got, want) {
		t.Fatalf("stored identities\n%x\nwant\n%x", got, want)
	}
	if int(reserved) < unknownEnd(old) {
		t.Fatalf("%d elements may have no identity, want %d", reserved, unknownEnd(old))
	}
	n := len(d.chunks(elementSeries)) + len(d.chunks(identitySeries))
	for name := range d.attrs {
		if strings.HasPrefix(name, identitySeries.badPrefix()) {
			n++
		}
	}
	if len(d.attrs) != n {
		t.Fatalf("%d attributes for %d chunks", len(d.attrs), n)
	}
}

// A first append that does not fit into chunk 0 may be cut between its two
// parts, but never loses or swaps elements.
func TestCutOfALongFirstAppend(t *testing.T) {
	keys := newElements(1, 40)
	for cut := 0; ; cut++ {
		d := newDisk()
		d.maxValue = 100
		s := storeOn(&cutMedium{d.open(), cut}, testConfig(t))
		_, err := s.Append(0, keys)
		d.locked = false
		got := mustLoad(t, storeOn(d.open(), testConfig(t)))
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
	k := newElements(1, 12)
	bad := flip(table1(k...), 20)
	for name, chunks := range map[string][][]byte{
		"one chunk":           {bad},
		"many chunks":         cutBytes(bad, 31),
		"first chunk missing": append([][]byte{nil}, cutBytes(bad, 31)[1:]...),
		"short header":        {{1, 0}, {0}},
		"no bytes":            {{}},
	} {
		t.Run(name, func(t *testing.T) {
			start := newDisk().put(elementSeries, chunks...)
			for cut := 0; ; cut++ {
				d := start.clone()
				s := storeOn(&cutMedium{d.open(), cut}, testConfig(t))
				_, err := s.Load()
				wantReason(t, err, qidpath.ReasonRejected)
				_, err = s.Append(0, k[:1])
				d.locked = false

				got, loadErr := storeOn(d.open(), testConfig(t)).Load()
				// Without its last chunk, what has no first one is no table at all.
				gone := len(got) == 0 && len(d.chunks(elementSeries)) == 0
				if loadErr == nil && !slices.Equal(got, k[:1]) && !gone {
					t.Fatalf("cut after %d changes: elements %v", cut, got)
				}
				crc := image(chunks).checksum()
				for i, c := range chunks {
					if c == nil {
						continue
					}
					inPlace := bytes.Equal(d.attrs[elementSeries.chunk(i)], c) && d.attrs[elementSeries.chunk(i)] != nil
					aside, ok := d.attrs[elementSeries.bad(crc, i)]
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
	d := newDisk().put(elementSeries, []byte{1})
	var synced []bool
	s := storeOn(&watchMedium{d.open(), func(name string) {
		if name == elementSeries.chunk(0) {
			synced = append(synced, d.syncs > 0)
		}
	}}, testConfig(t))
	mustAppend(t, s, 0, newElements(1, 1)...)
	if !slices.Equal(synced, []bool{true}) {
		t.Errorf("synced before the first chunk was written: %v", synced)
	}
}

// TestRandomCuts goes through a long life of small tables, with file systems of
// all limits, with and without a file, and daemons that are killed. No element
// that an append has confirmed is ever lost or moved, and no identity.
func TestRandomCuts(t *testing.T) {
	seed := [2]uint64{rand.Uint64(), rand.Uint64()}
	t.Logf("seed %#x", seed)
	rng := rand.New(rand.NewPCG(seed[0], seed[1]))
	cfg := quietConfig()
	for life := range 100 {
		dir := ""
		if rng.IntN(3) == 0 {
			dir = tmpfsDir(t)
		}
		d := newDisk()
		d.maxValue = 60 + rng.IntN(300)
		if rng.IntN(2) == 0 {
			d.maxTotal = 500 + rng.IntN(4000)
		}
		var confirmed []qidpath.Element
		if rng.IntN(2) == 0 {
			k := newElements(1<<20, 1+rng.IntN(9))
			d.put(elementSeries, cutBytes(table1(k...), 40)...)
			confirmed = unproven(k)
		}
		open := func(m lockedMedium, left int) *Store {
			if dir == "" {
				return newStore(m, m, nil, cfg)
			}
			file := fileIn(t, dir)
			file.dir = &cutDir{file.dir, left, errCut}
			return newStore(m, m, file, cfg)
		}
		check := func(what string, day int) {
			d.locked = false
			s := open(d.open(), 99)
			defer s.Close()
			got := mustLoad(t, s)
			if len(got) < len(confirmed) {
				t.Fatalf("life %d, day %d: %d elements after %s, of which %d were confirmed", life, day, len(got), what, len(confirmed))
			}
			for i, e := range confirmed {
				if both, ok := unify(e, got[i]); !ok || both != got[i] {
					t.Fatalf("life %d, day %d: element %d is %v after %s, confirmed %v", life, day, i, got[i], what, e)
				}
			}
			confirmed = got
		}
		for day := range 20 {
			s := open(&cutMedium{d.open(), rng.IntN(30)}, rng.IntN(12))
			loaded := mustLoad(t, s)
			for hour := range 10 {
				if i := slices.IndexFunc(loaded, func(e qidpath.Element) bool { return e.Unproven }); i >= 0 && rng.IntN(4) == 0 {
					fs := testIdentity(uint64(1)<<50 + uint64(i))
					if s.Identify(i, fs) == nil {
						loaded = proven(loaded, i, fs)
						confirmed = proven(confirmed, i, fs)
						check("identify", day)
					}
				}
				add := newElements(uint64(1000*day+hour+1), 1+rng.IntN(4))
				tail, err := s.Append(len(loaded), add)
				if err != nil {
					continue
				}
				if n := len(tail) - len(add); n < 0 || !slices.Equal(tail[n:], add) {
					t.Fatalf("life %d, day %d: tail %v", life, day, tail)
				}
				loaded = append(loaded, tail...)
				confirmed = append(slices.Clone(confirmed[:len(loaded)-len(tail)]), tail...)
				check("append", day)
			}
			s.Close()
			check("a kill", day)
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
			old := newElements(1, 30)
			add := newElements(2, 20)
			for cut := 0; ; cut++ {
				dir := mkdir(t)
				s := openStore(t, dir, testConfig(t))
				s.xattrs.chunkMax = 128
				mustAppend(t, s, 0, old...)
				before := attributes(t, dir)

				dying := openStore(t, dir, testConfig(t))
				dying.xattrs.chunkMax = 128
				dying.xattrs.medium = &cutMedium{rootAndLock{dying.xattrs.medium, dying.lock}, cut}
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
