// SPDX-License-Identifier: Apache-2.0

package qidpath_test

import (
	"testing"

	"vhost-user-9p/qidpath"
)

// The codes of the first prefixes are those of QEMU's multidevs=remap.
func TestSuffixes(t *testing.T) {
	table := newTableOf(t, qidpath.Config{Store: &memStore{}, FullMap: (&memMap{}).open(), Layout: qidpath.Suffix})
	codes := map[uint64]struct{ code, bits uint64 }{
		1: {0x1, 1}, 2: {0x2, 3}, 3: {0x6, 3}, 4: {0x4, 5}, 5: {0x14, 5}, 6: {0xc, 5}, 7: {0x1c, 5}, 8: {0x8, 7},
		255: {0x7f80, 15},
	}
	for p := uint64(1); p <= 255; p++ {
		path := mustPath(t, table, p, 12)
		if c, ok := codes[p]; ok && path != 12<<c.bits|c.code {
			t.Errorf("prefix %d: path %#x", p, path)
		}
	}
	const big = 1<<48 - 1
	wantPath(t, table, 255, big, big<<15|0x7f80)
	// No code has more than 16 bits: the files of later ones are numbered.
	wantPath(t, table, 256, 12, 1<<17|0x100)
	wantPath(t, table, 256, 13, 2<<17|0x100)
	wantPath(t, table, 257, 12, 3<<17|0x100)
}

// No code ends with another: paths of different prefixes differ.
func TestSuffixesAreFree(t *testing.T) {
	table := newTableOf(t, qidpath.Config{Store: &memStore{}, FullMap: (&memMap{}).open(), Layout: qidpath.Suffix})
	type code struct{ code, bits uint64 }
	var codes []code
	for p := uint64(1); p <= 255; p++ {
		c, bits := mustPath(t, table, p, 0), uint64(0)
		for mustPath(t, table, p, 1) != 1<<bits|c {
			bits++
		}
		for i, other := range codes {
			n := min(bits, other.bits)
			if c&(1<<n-1) == other.code&(1<<n-1) {
				t.Fatalf("the code %#x of %d and %#x of %d", c, p, other.code, i+1)
			}
		}
		if 0x100&(1<<min(bits, 17)-1) == c&(1<<min(bits, 17)-1) {
			t.Fatalf("the code %#x of %d and the full map's", c, p)
		}
		codes = append(codes, code{c, bits})
	}
}

// A span has the inode numbers that share a prefix with the one it is of, and no others.
func TestSpan(t *testing.T) {
	const big, other = 1<<48 - 1, 7 << 48
	for _, layout := range []qidpath.Layout{qidpath.Prefix, qidpath.Suffix} {
		table := newTableOf(t, qidpath.Config{Store: &memStore{}, FullMap: (&memMap{}).open(), Layout: layout})
		if _, ok := table.Span(1, 5).Path(5); ok {
			t.Errorf("%v: a file system that was never seen", layout)
		}
		for dev := uint64(1); dev <= 3; dev++ {
			mustPath(t, table, dev, 5)
			mustPath(t, table, dev, other)
		}
		for _, ino := range []uint64{0, 5, big, other, other + 1, other | big} {
			span := table.Span(3, ino)
			for _, of := range []uint64{0, 1, 5, big, other, other + 6, other | big} {
				path, ok := span.Path(of)
				if same := of>>48 == ino>>48; ok != same || ok && path != mustPath(t, table, 3, of) {
					t.Errorf("%v: the span of %#x has %#x for %#x, %v", layout, ino, path, of, ok)
				}
			}
		}
		if _, ok := table.Span(1, 1<<63).Path(1 << 63); ok {
			t.Errorf("%v: a prefix that was never seen", layout)
		}
	}
	table := newTableOf(t, qidpath.Config{Store: &memStore{}, FullMap: (&memMap{}).open()})
	fill(t, table, 1)
	mustPath(t, table, 1, hashed(16))
	if _, ok := table.Span(1, hashed(16)).Path(hashed(16)); ok {
		t.Error("a file that has a number")
	}
	if _, ok := (qidpath.Span{}).Path(0); ok {
		t.Error("the zero value has 0")
	}
}

func TestLayoutNames(t *testing.T) {
	for _, name := range []string{"prefix", "suffix"} {
		if l, ok := qidpath.ParseLayout(name); !ok || l.String() != name {
			t.Errorf("%s: %v, %v", name, l, ok)
		}
	}
	if _, ok := qidpath.ParseLayout("Prefix"); ok {
		t.Error("Prefix is taken for a layout")
	}
	if s := qidpath.Layout(9).String(); s != "unknown" {
		t.Errorf("unknown layout %q", s)
	}
}
