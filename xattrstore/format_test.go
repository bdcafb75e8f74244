// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"vhost-user-9p/qidpath"
)

// table1 returns a good stream of elements, written without the code under test.
func table1(elements ...qidpath.Element) []byte {
	var body []byte
	for _, e := range elements {
		body = binary.LittleEndian.AppendUint64(body, e.Dev)
		body = binary.LittleEndian.AppendUint16(body, e.InoPrefix)
	}
	return withHeader(0, body)
}

// identities1 returns a good stream of the elements' identities.
func identities1(reserved uint16, elements ...qidpath.Element) []byte {
	var body []byte
	for i, e := range elements {
		switch {
		case e.Unproven, i >= int(reserved) && e.FS == qidpath.DeviceIdentity(e.Dev):
			body = append(body, make([]byte, 16)...)
		default:
			body = append(body, e.FS[:]...)
		}
	}
	return withHeader(reserved, body)
}

func withHeader(reserved uint16, body []byte) []byte {
	crc := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))
	h := binary.LittleEndian.AppendUint16([]byte{1, 0}, reserved)
	return append(binary.LittleEndian.AppendUint32(h, crc), body...)
}

// torn returns the stream of elements with the header of only the first n.
func torn(n int, elements ...qidpath.Element) []byte {
	return append(table1(elements[:n]...)[:8], table1(elements...)[8:]...)
}

// tornIdentities is torn for the identities.
func tornIdentities(n int, elements ...qidpath.Element) []byte {
	return append(identities1(0, elements[:n]...)[:8], identities1(0, elements...)[8:]...)
}

func TestChecksumIsCastagnoli(t *testing.T) {
	if got := crc32.Checksum([]byte("123456789"), castagnoli); got != 0xe3069283 {
		t.Errorf("crc32c %08x, want e3069283", got)
	}
}

func TestParse(t *testing.T) {
	k := newElements(1, 5)
	for _, tc := range []struct {
		name     string
		stream   []byte
		elements []qidpath.Element
		err      error
	}{
		{"whole", table1(k...), k, nil},
		{"header only", table1(), nil, nil},
		{"reserved bits set", append([]byte{1, 0, 9, 9}, table1(k...)[4:]...), k, nil},
		{"ragged by one", append(table1(k...), 1), k, nil},
		{"ragged by nine", append(table1(k...), make([]byte, 9)...), k, nil},
		{"ragged header", append(table1(), 1, 2, 3), nil, nil},
		{"torn by one", torn(4, k...), k[:4], nil},
		{"torn by four", torn(1, k...), k[:1], nil},
		{"torn and ragged", append(torn(3, k...), 1, 2), k[:3], nil},
		{"torn, duplicate in the surplus", torn(2, k[0], k[1], k[0]), k[:2], nil},
		{"torn after nothing", torn(0, k...), nil, ErrChecksum},
		{"empty", []byte{}, nil, ErrShortHeader},
		{"one byte", []byte{1}, nil, ErrShortHeader},
		{"seven bytes", table1()[:7], nil, ErrShortHeader},
		{"version 0", make([]byte, 8), nil, ErrVersion},
		{"version 2", append([]byte{2}, table1(k...)[1:]...), nil, ErrVersion},
		{"version 257", append([]byte{1, 1}, table1(k...)[2:]...), nil, ErrVersion},
		{"version 2, short", []byte{2, 0, 0}, nil, ErrVersion},
		{"checksum of nothing is 0", []byte{1, 0, 0, 0, 1, 0, 0, 0}, nil, ErrChecksum},
		{"bit flipped in the first element", flip(table1(k...), 8), nil, ErrChecksum},
		{"bit flipped in the last element", flip(table1(k...), 57), nil, ErrChecksum},
		{"bit flipped in the checksum", flip(table1(k...), 4), nil, ErrChecksum},
		{"elements lost", table1(k...)[:38], nil, ErrChecksum},
		{"duplicate", table1(k[0], k[1], k[0]), nil, ErrDuplicate},
		{"twice the same device is no duplicate", table1(k[0], k[1], k[2]), k[:3], nil},
		{"as long as may be", table1(newElements(1, 65535)...), newElements(1, 65535), nil},
		{"longer", table1(newElements(1, 65536)...), nil, ErrTooLong},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, c, err := parseTable(tc.stream)
			if !errors.Is(err, tc.err) || (err == nil) != (tc.err == nil) {
				t.Errorf("error %v, want %v", err, tc.err)
			}
			if c.n != len(tc.elements) || !slices.Equal(got, labelsOf(tc.elements)) {
				t.Errorf("%d elements, %d covered, want %d", len(got), c.n, len(tc.elements))
			}
		})
	}
}

func labelsOf(elements []qidpath.Element) []label {
	var labels []label
	for _, e := range elements {
		labels = append(labels, labelOf(e))
	}
	return labels
}

func flip(b []byte, i int) []byte {
	b[i] ^= 0x10
	return b
}

// FuzzParse holds parse to the format's rules as a simple program has them. The
// hostile cases are in testdata/fuzz.
func FuzzParse(f *testing.F) {
	names, err := filepath.Glob("testdata/qid-vectors/*.0.bin")
	if err != nil || len(names) == 0 {
		f.Fatal("no golden streams")
	}
	for _, name := range names {
		f.Add(slices.Concat(goldenChunks(f, name)...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		got, c, err := parseTable(data)
		if !bytes.Equal(data, before) {
			t.Fatal("the input was changed")
		}
		if len(data) > 4096 {
			return // too slow for the simple program
		}
		want, ok := simpleParse(data)
		if ok != (err == nil) {
			t.Fatalf("error %v, but the simple program says %v", err, ok)
		}
		if err != nil {
			return
		}
		if !slices.Equal(got, labelsOf(want)) {
			t.Fatalf("elements %v, want %v", got, want)
		}
		c.reserved = 0
		if again := appendElements(c.header(), want); !bytes.Equal(again, table1(want...)) {
			t.Fatalf("written again as %x", again)
		}
		if end := elementSeries.size(c.n); end > len(data) || !bytes.Equal(data[8:end], table1(want...)[8:]) {
			t.Fatalf("ends at %d of %d", end, len(data))
		}
	})
}

// simpleParse is a reader of the format, of its own.
func simpleParse(data []byte) ([]qidpath.Element, bool) {
	if len(data) < 8 || binary.LittleEndian.Uint16(data) != 1 {
		return nil, false
	}
	var all []qidpath.Element
	for e := data[8:]; len(e) >= 10; e = e[10:] {
		all = append(all, qidpath.Element{
			Dev: binary.LittleEndian.Uint64(e),
			Key: qidpath.Key{InoPrefix: binary.LittleEndian.Uint16(e[8:])},
		})
	}
	for n := len(all); n >= min(1, len(all)); n-- {
		if !bytes.Equal(table1(all[:n]...)[4:8], data[4:8]) {
			continue
		}
		for i, k := range all[:n] {
			if slices.Contains(all[:i], k) {
				return nil, false
			}
		}
		return all[:n], true
	}
	return nil, false
}

// goldenChunks returns the chunks of the golden stream whose first is the file
// name.
func goldenChunks(t testing.TB, name string) [][]byte {
	t.Helper()
	var chunks [][]byte
	base := name[:len(name)-len("0.bin")]
	for i := 0; ; i++ {
		chunk, err := os.ReadFile(base + string(rune('0'+i)) + ".bin")
		if errors.Is(err, os.ErrNotExist) && i > 0 {
			return chunks
		}
		if err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, chunk)
	}
}
