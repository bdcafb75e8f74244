// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"testing"

	"vhost-user-9p/qidpath"
)

// simpleLoad is a reader of both streams, of its own.
func simpleLoad(elements, identities []byte) ([]qidpath.Element, bool) {
	if len(elements) == 0 {
		return nil, true
	}
	all, ok := simpleParse(elements)
	if !ok {
		return nil, false
	}
	ids, reserved := simpleIdentities(identities)
	with := slices.Clone(all)
	for i := range with {
		e := &with[i]
		e.FS, e.Unproven = qidpath.DeviceIdentity(e.Dev), true
		if i < len(ids) {
			e.Unproven = ids[i].IsZero() && i < reserved
			if !ids[i].IsZero() {
				e.FS = ids[i]
			}
		}
	}
	keys := make(map[qidpath.Key]bool)
	for _, e := range with {
		keys[e.Key] = true
	}
	if len(keys) < len(with) {
		return unproven(all), true
	}
	return with, true
}

func simpleIdentities(data []byte) (ids []qidpath.Identity, reserved int) {
	if len(data) < 8 || binary.LittleEndian.Uint16(data) != 1 {
		return nil, 0
	}
	reserved = int(binary.LittleEndian.Uint16(data[2:]))
	for b := data[8:]; len(b) >= 16; b = b[16:] {
		ids = append(ids, qidpath.Identity(b[:16]))
	}
	for n := len(ids); n > 0; n-- {
		if bytes.Equal(withHeader(0, data[8:8+16*n])[4:8], data[4:8]) {
			return ids[:n], reserved
		}
	}
	return nil, 0
}

// fuzzDisk returns a disk with two streams, cut after the same number of bytes.
func fuzzDisk(elements, identities []byte, cut int) *disk {
	d := newDisk()
	for s, data := range map[series][]byte{elementSeries: elements, identitySeries: identities} {
		if len(data) > 0 {
			d.put(s, cutBytes(data, 8+cut)...)
		}
	}
	return d
}

// vouch makes the header vouch for the first n-1 entries, if n is not 0.
func vouch(data []byte, entry int, n uint8) []byte {
	data = slices.Clone(data)
	if n > 0 && len(data) >= 8 {
		size := min(int(n-1), (len(data)-8)/entry) * entry
		copy(data[4:], withHeader(0, data[8:8+size])[4:8])
	}
	return data
}

// FuzzLoad loads what any two places hold, as a simple program does, and then
// appends to it. So that it comes to more than checksums, these are put right
// first. The hostile cases are in testdata/fuzz.
func FuzzLoad(f *testing.F) {
	for _, l := range layouts() {
		e, i := slices.Concat(l.elements...), slices.Concat(l.identities...)
		f.Add(e, i, uint8(48), []byte(nil), uint8(0), uint8(0))
		f.Add(e, i, uint8(40), []byte(nil), uint8(13), uint8(13))
		f.Add(e, i, uint8(200), file1([]byte(identitySeries.chunk(0)), i, []byte(elementSeries.chunk(0)), e), uint8(3), uint8(4))
	}
	k := newElements(1, 9)
	f.Add(table1(k[:5]...), []byte(nil), uint8(99), file1(
		[]byte(identitySeries.chunk(0)), identities1(0, k...), []byte(elementSeries.chunk(0)), table1(k...)), uint8(0), uint8(0))
	f.Fuzz(func(t *testing.T, elements, identities []byte, cut uint8, file []byte, n, m uint8) {
		if len(elements) > 4096 || len(identities) > 4096 || len(file) > 4096 {
			return // too slow for the simple program
		}
		elements, identities = vouch(elements, elementSize, n), vouch(identities, identitySize, m)
		if len(file) >= fileHeaderSize {
			file = fileHeader(file[fileHeaderSize:])
		}
		xattrs := fuzzDisk(elements, identities, int(cut))
		want, ok := simpleLoad(elements, identities)
		var other *disk
		if values, err := decodeFile(file); err == nil {
			if !bytes.Equal(encodeFile(values), file) {
				t.Fatal("a file has two forms")
			}
			other = &disk{attrs: values}
		}
		open := func() *Store {
			m := xattrs.open()
			if other == nil {
				return storeOn(m, quietConfig())
			}
			return newStore(m, m, other.open(), quietConfig())
		}
		before := maps.Clone(xattrs.attrs)
		got, err := open().Load()
		if !maps.EqualFunc(before, xattrs.attrs, bytes.Equal) {
			t.Fatal("a load changed something")
		}
		if other == nil {
			if ok != (err == nil) {
				t.Fatalf("error %v, but the simple program says %v", err, ok)
			}
			if err == nil && !slices.Equal(got, want) {
				t.Fatalf("elements %v, want %v", got, want)
			}
		}
		if err == nil {
			if err := unique(got); err != nil {
				t.Fatal(err)
			}
		}
		s := open()
		_, _ = s.Load() // as a table does, which goes on without
		next := newElements(777, 1)[0]
		tail, appendErr := s.Append(0, []qidpath.Element{next})
		again, againErr := open().Load()
		switch {
		case appendErr != nil && err == nil:
			if againErr != nil || !slices.Equal(again, got) {
				t.Fatalf("loaded %v, %v after an append that failed, before %v", again, againErr, got)
			}
		case appendErr == nil:
			if againErr != nil || !slices.Equal(again, tail) || !slices.ContainsFunc(tail, func(e qidpath.Element) bool { return e.Key == next.Key }) {
				t.Fatalf("loaded %v, %v after an append of %v", again, againErr, tail)
			}
			if err == nil && !slices.Equal(tail[:len(got)], got) {
				t.Fatalf("tail %v, before %v", tail, got)
			}
		}
	})
}

// TestSimpleReaderAgrees reads, with a program that knows the older format only,
// what a store has written on small and large file systems.
func TestSimpleReaderAgrees(t *testing.T) {
	for _, maxValue := range []int{40, 100, 4040, 0} {
		d := newDisk()
		d.maxValue = maxValue
		s := storeOn(d.open(), testConfig(t))
		k := newElements(1, 300)
		for i := range k {
			if i%7 == 0 {
				s = storeOn(d.open(), testConfig(t))
				mustLoad(t, s)
			}
			mustAppend(t, s, i, k[i])
			got, ok := simpleParse(d.stream(elementSeries))
			if !ok || !slices.Equal(labelsOf(got), labelsOf(k[:i+1])) {
				t.Fatalf("values of %d bytes, %d elements: %v", maxValue, i+1, got)
			}
			// All of it, not only what a reader of torn streams takes.
			if want := table1(k[:i+1]...); !bytes.Equal(d.stream(elementSeries), want) {
				t.Fatalf("stored %x\nwant %x", d.stream(elementSeries), want)
			}
		}
	}
}
