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

// stream returns a good stream of keys, written without the code under test.
func stream(keys ...qidpath.Key) []byte {
	var elements []byte
	for _, k := range keys {
		elements = binary.LittleEndian.AppendUint64(elements, k.Dev)
		elements = binary.LittleEndian.AppendUint16(elements, k.InoPrefix)
	}
	crc := crc32.Checksum(elements, crc32.MakeTable(crc32.Castagnoli))
	return append(binary.LittleEndian.AppendUint32([]byte{1, 0, 0, 0}, crc), elements...)
}

// torn returns the stream of keys with the header of only the first n.
func torn(n int, keys ...qidpath.Key) []byte {
	return append(stream(keys[:n]...)[:8], stream(keys...)[8:]...)
}

func TestChecksumIsCastagnoli(t *testing.T) {
	if got := crc32.Checksum([]byte("123456789"), castagnoli); got != 0xe3069283 {
		t.Errorf("crc32c %08x, want e3069283", got)
	}
}

func TestParse(t *testing.T) {
	k := newKeys(1, 5)
	for _, tc := range []struct {
		name   string
		stream []byte
		keys   []qidpath.Key
		err    error
	}{
		{"whole", stream(k...), k, nil},
		{"header only", stream(), nil, nil},
		{"reserved bits set", append([]byte{1, 0, 9, 9}, stream(k...)[4:]...), k, nil},
		{"ragged by one", append(stream(k...), 1), k, nil},
		{"ragged by nine", append(stream(k...), make([]byte, 9)...), k, nil},
		{"ragged header", append(stream(), 1, 2, 3), nil, nil},
		{"torn by one", torn(4, k...), k[:4], nil},
		{"torn by four", torn(1, k...), k[:1], nil},
		{"torn and ragged", append(torn(3, k...), 1, 2), k[:3], nil},
		{"torn, duplicate in the surplus", torn(2, k[0], k[1], k[0]), k[:2], nil},
		{"torn after nothing", torn(0, k...), nil, ErrChecksum},
		{"empty", []byte{}, nil, ErrShortHeader},
		{"one byte", []byte{1}, nil, ErrShortHeader},
		{"seven bytes", stream()[:7], nil, ErrShortHeader},
		{"version 0", make([]byte, 8), nil, ErrVersion},
		{"version 2", append([]byte{2}, stream(k...)[1:]...), nil, ErrVersion},
		{"version 257", append([]byte{1, 1}, stream(k...)[2:]...), nil, ErrVersion},
		{"version 2, short", []byte{2, 0, 0}, nil, ErrVersion},
		{"checksum of nothing is 0", []byte{1, 0, 0, 0, 1, 0, 0, 0}, nil, ErrChecksum},
		{"bit flipped in the first element", flip(stream(k...), 8), nil, ErrChecksum},
		{"bit flipped in the last element", flip(stream(k...), 57), nil, ErrChecksum},
		{"bit flipped in the checksum", flip(stream(k...), 4), nil, ErrChecksum},
		{"elements lost", stream(k...)[:38], nil, ErrChecksum},
		{"duplicate", stream(k[0], k[1], k[0]), nil, ErrDuplicate},
		{"twice the same device is no duplicate", stream(k[0], k[1], k[2]), k[:3], nil},
		{"as long as may be", stream(newKeys(1, 65535)...), newKeys(1, 65535), nil},
		{"longer", stream(newKeys(1, 65536)...), nil, ErrTooLong},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := parse(tc.stream)
			if !errors.Is(err, tc.err) || (err == nil) != (tc.err == nil) {
				t.Errorf("error %v, want %v", err, tc.err)
			}
			if !slices.Equal(got.keys, tc.keys) {
				t.Errorf("%d elements, want %d", len(got.keys), len(tc.keys))
			}
		})
	}
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
		got, err := parse(data)
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
		if !slices.Equal(got.keys, want) {
			t.Fatalf("elements %v, want %v", got.keys, want)
		}
		if again := appendElements(got.header(), got.keys); !bytes.Equal(again, stream(want...)) {
			t.Fatalf("written again as %x", again)
		}
		if got.end() > len(data) || !bytes.Equal(data[8:got.end()], stream(want...)[8:]) {
			t.Fatalf("ends at %d of %d", got.end(), len(data))
		}
	})
}

func simpleParse(data []byte) ([]qidpath.Key, bool) {
	if len(data) < 8 || binary.LittleEndian.Uint16(data) != 1 {
		return nil, false
	}
	var all []qidpath.Key
	for e := data[8:]; len(e) >= 10; e = e[10:] {
		all = append(all, qidpath.Key{Dev: binary.LittleEndian.Uint64(e), InoPrefix: binary.LittleEndian.Uint16(e[8:])})
	}
	for n := len(all); n >= min(1, len(all)); n-- {
		if !bytes.Equal(stream(all[:n]...)[4:8], data[4:8]) {
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
