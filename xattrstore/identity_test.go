// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
)

// proven returns elements with the element i on the file system fs.
func proven(elements []qidpath.Element, i int, fs qidpath.Identity) []qidpath.Element {
	elements = slices.Clone(elements)
	elements[i].FS, elements[i].Unproven = fs, false
	return elements
}

// A table of a version without identities keeps its prefixes and gets them.
func TestIdentitiesAreFilledIn(t *testing.T) {
	k := newElements(1, 20)
	d := newDisk().put(elementSeries, table1(k...))
	s := storeOn(d.open(), testConfig(t))
	want := unproven(k)
	if got := mustLoad(t, s); !slices.Equal(got, want) {
		t.Fatalf("loaded %v", got)
	}
	for _, i := range []int{3, 0, 19} {
		sets, syncs := d.sets, d.syncs
		want = proven(want, i, testIdentity(uint64(i)))
		mustIdentify(t, s, i, testIdentity(uint64(i)))
		if d.sets != sets+1 || d.syncs == syncs {
			t.Errorf("%d changes and %d syncs", d.sets-sets, d.syncs-syncs)
		}
		if got := mustLoad(t, storeOn(d.open(), testConfig(t))); !slices.Equal(got, want) {
			t.Fatalf("loaded %v", got)
		}
	}
	if got := d.stream(elementSeries); !bytes.Equal(got, table1(k...)) {
		t.Errorf("elements changed: %x", got)
	}
	if got := d.stream(identitySeries); !bytes.Equal(got, identities1(20, want...)) {
		t.Errorf("identities %x", got)
	}
	add := newElements(2, 20)
	mustAppend(t, s, 20, add...)
	if got := mustLoad(t, storeOn(d.open(), testConfig(t))); !slices.Equal(got, slices.Concat(want, add)) {
		t.Errorf("loaded %v", got)
	}
}

// What an unproven element is on is said once; by another daemon, too.
func TestIdentifyTwice(t *testing.T) {
	k := newElements(1, 4)
	d := newDisk().put(elementSeries, table1(k...))
	a, b := storeOn(d.open(), testConfig(t)), storeOn(d.open(), testConfig(t))
	mustLoad(t, a)
	mustLoad(t, b)
	mustIdentify(t, a, 1, testIdentity(7))
	mustIdentify(t, a, 1, testIdentity(7))
	mustIdentify(t, b, 1, testIdentity(7))
	wantReason(t, b.Identify(1, testIdentity(8)), qidpath.ReasonConflict)
	wantReason(t, a.Identify(1, testIdentity(8)), qidpath.ReasonConflict)

	// Element 0 has inode prefix 0 and element 1 has 1, so they may be on one file
	// system. Two with the same prefix may not.
	mustIdentify(t, b, 0, testIdentity(7))
	tail := mustAppend(t, a, 4, qidpath.Element{Key: qidpath.Key{FS: testIdentity(9), InoPrefix: 2}, Dev: 77})
	wantReason(t, b.Identify(2, testIdentity(9)), qidpath.ReasonConflict)
	want := slices.Concat(proven(proven(unproven(k), 1, testIdentity(7)), 0, testIdentity(7)), tail)
	if got := mustLoad(t, b); !slices.Equal(got, want) {
		t.Errorf("loaded %v, want %v", got, want)
	}
	for i, fs := range map[int]qidpath.Identity{-1: testIdentity(1), 5: testIdentity(1), 3: {}} {
		if err := b.Identify(i, fs); err == nil {
			t.Errorf("element %d identified as %v", i, fs)
		}
	}
}

// An unproven element may turn out to be on a file system without an identity.
func TestIdentifyAsNone(t *testing.T) {
	k := newElements(1, 4)
	d := newDisk().put(elementSeries, table1(k...))
	s := storeOn(d.open(), testConfig(t))
	mustLoad(t, s)
	mustIdentify(t, s, 2, qidpath.DeviceIdentity(k[2].Dev))
	want := proven(unproven(k), 2, qidpath.DeviceIdentity(k[2].Dev))
	if got := mustLoad(t, storeOn(d.open(), testConfig(t))); !slices.Equal(got, want) {
		t.Errorf("loaded %v, want %v", got, want)
	}
}

// Where one change cannot fill it in, and there is no file, nothing is changed.
func TestIdentifyInManyChunks(t *testing.T) {
	k := newElements(1, 30)
	d := newDisk().put(elementSeries, table1(k...)).put(identitySeries, cutBytes(identities1(30, unproven(k)...), 72)...)
	d.maxValue = 320
	s := storeOn(d.open(), testConfig(t))
	mustLoad(t, s)
	before := maps.Clone(d.attrs)
	wantReason(t, s.Identify(3, testIdentity(1)), qidpath.ReasonNoSpace)
	if !maps.EqualFunc(d.attrs, before, bytes.Equal) {
		t.Error("something was changed")
	}
	// The store goes on, and the element stays as it is.
	add := newElements(2, 1)
	mustAppend(t, s, 30, add...)
	if got := mustLoad(t, storeOn(d.open(), testConfig(t))); !slices.Equal(got, append(unproven(k), add...)) {
		t.Errorf("loaded %v", got)
	}
	// One that is many chunks but would fit into one is replaced.
	d.maxValue = 0
	s = storeOn(d.open(), testConfig(t))
	mustLoad(t, s)
	mustIdentify(t, s, 3, testIdentity(1))
	if got := mustLoad(t, storeOn(d.open(), testConfig(t))); !slices.Equal(got, append(proven(unproven(k), 3, testIdentity(1)), add...)) {
		t.Errorf("loaded %v", got)
	}
	if n := len(d.chunks(identitySeries)); n != 1 {
		t.Errorf("%d chunks", n)
	}
}

// A cut leaves the element as it was or with its identity, and all others alone.
func TestCutOfIdentify(t *testing.T) {
	for _, l := range layouts() {
		if len(l.old) == 0 || !l.old[0].Unproven {
			continue
		}
		t.Run(l.name, func(t *testing.T) {
			want := proven(l.old, 0, testIdentity(5))
			for cut := 0; ; cut++ {
				d := l.disk()
				d.maxValue = 0
				s := storeOn(&cutMedium{d.open(), cut}, testConfig(t))
				mustLoad(t, s)
				err := s.Identify(0, testIdentity(5))
				d.locked = false
				got := mustLoad(t, storeOn(d.open(), testConfig(t)))
				if !slices.Equal(got, want) && !slices.Equal(got, l.old) {
					t.Fatalf("cut after %d changes: loaded %v", cut, got)
				}
				if err == nil {
					if !slices.Equal(got, want) {
						t.Fatalf("loaded %v, want %v", got, want)
					}
					wantNextAppend(t, d, got)
					return
				}
			}
		})
	}
}

// A failed Identify changes nothing; it may be tried again.
func TestFailedIdentify(t *testing.T) {
	k := newElements(1, 4)
	d := newDisk().put(elementSeries, table1(k...))
	s := storeOn(d.open(), testConfig(t))
	mustLoad(t, s)
	d.maxTotal = 1
	wantReason(t, s.Identify(1, testIdentity(7)), qidpath.ReasonNoSpace)
	if got := mustLoad(t, s); !slices.Equal(got, unproven(k)) {
		t.Errorf("loaded %v", got)
	}
	d.maxTotal, d.syncErr = 0, unix.EIO
	wantReason(t, s.Identify(1, testIdentity(7)), qidpath.ReasonIO)
	d.syncErr = nil
	mustIdentify(t, s, 1, testIdentity(7))
	if got := mustLoad(t, s); !slices.Equal(got, proven(unproven(k), 1, testIdentity(7))) {
		t.Errorf("loaded %v", got)
	}
}

// No two elements have one label, so that whoever reads only the labels takes no
// two file systems for one.
func TestLabels(t *testing.T) {
	d := newDisk()
	s := storeOn(d.open(), testConfig(t))
	element := func(fs qidpath.Identity, dev uint64) qidpath.Element {
		return qidpath.Element{Key: qidpath.Key{FS: fs, InoPrefix: 3}, Dev: dev}
	}
	none := qidpath.DeviceIdentity
	tail := mustAppend(t, s, 0,
		element(testIdentity(1), 5),
		element(testIdentity(2), 5), // the number is in use again
		element(none(5), 5),         // and again, by one without an identity
		element(none(6), 6),
		element(testIdentity(3), 6),
		element(testIdentity(1), 9), // the first one has another number
	)
	want := []qidpath.Element{
		element(testIdentity(1), 5),
		element(testIdentity(2), 1<<63|1),
		element(none(5), 1<<63|2),
		element(none(6), 6),
		element(testIdentity(3), 1<<63|4),
	}
	if !slices.Equal(tail, want) {
		t.Errorf("tail %v\nwant %v", tail, want)
	}
	if got := mustLoad(t, storeOn(d.open(), testConfig(t))); !slices.Equal(got, want) {
		t.Errorf("loaded %v\nwant %v", got, want)
	}
	if got := d.stream(elementSeries); !bytes.Equal(got, table1(want...)) {
		t.Errorf("elements %x", got)
	}
	// The identity of an element without one is zero, but for the one whose
	// label does not say what it is.
	var zero []int
	for i := range want {
		if qidpath.Identity(d.stream(identitySeries)[8+16*i:][:16]).IsZero() {
			zero = append(zero, i)
		}
	}
	if !slices.Equal(zero, []int{3}) {
		t.Errorf("no identity for %v", zero)
	}
}

// Lost identities are stored again by who knows them.
func TestVanishedIdentitiesAreStoredAgain(t *testing.T) {
	k := newElements(1, 12)
	for name, damage := range map[string]func(d *disk){
		"all":        func(d *disk) { delete(d.attrs, identitySeries.chunk(0)) },
		"some":       func(d *disk) { d.put(identitySeries, identities1(0, k[:4]...)) },
		"unusable":   func(d *disk) { d.put(identitySeries, []byte("\x01\x00garbage")) },
		"in between": func(d *disk) { d.put(identitySeries, identities1(12, append(unproven(k[:2]), k[2:]...)...)) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisk()
			s := storeOn(d.open(), testConfig(t))
			mustAppend(t, s, 0, k...)
			damage(d)
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			if got := mustLoad(t, storeOn(d.open(), testConfig(t))); !slices.Equal(got, k) {
				t.Errorf("loaded %v, want %v", got, k)
			}
		})
	}
}

// Identities of a later version are not used, and nothing is stored.
func TestNewerIdentities(t *testing.T) {
	k := newElements(1, 5)
	newer := append([]byte{2}, identities1(0, k...)[1:]...)
	d := newDisk().put(elementSeries, table1(k...)).put(identitySeries, newer)
	s := storeOn(&cutMedium{d.open(), 0}, testConfig(t))
	if got := mustLoad(t, s); !slices.Equal(got, unproven(k)) {
		t.Errorf("loaded %v", got)
	}
	_, err := s.Append(5, newElements(2, 1))
	wantReason(t, err, qidpath.ReasonVersion)
	wantReason(t, s.Identify(0, testIdentity(1)), qidpath.ReasonVersion)

	// With a damaged table, too.
	d.put(elementSeries, flip(table1(k...), 20))
	s = storeOn(&cutMedium{d.open(), 0}, testConfig(t))
	_, err = s.Load()
	wantReason(t, err, qidpath.ReasonRejected)
	_, err = s.Append(0, newElements(2, 1))
	wantReason(t, err, qidpath.ReasonVersion)
}

// Identities that make one element of two are damaged.
func TestDuplicateIdentities(t *testing.T) {
	k := newElements(1, 12)
	twice := slices.Clone(k)
	twice[7].FS = k[0].FS // both have inode prefix 0
	d := newDisk().put(elementSeries, table1(k...)).put(identitySeries, identities1(0, twice...))
	s := storeOn(d.open(), testConfig(t))
	if got := mustLoad(t, s); !slices.Equal(got, unproven(k)) {
		t.Errorf("loaded %v", got)
	}
	wantNextAppend(t, d, unproven(k))
}
