// SPDX-License-Identifier: Apache-2.0

package fullmap

import (
	"bytes"
	"slices"
	"testing"
)

// FuzzNumbers loads, appends to, and loads again what anyone may have put in the
// place of a full map.
func FuzzNumbers(f *testing.F) {
	f.Fuzz(func(t *testing.T, content []byte) {
		mem := newMemory()
		mem.put("test.fullmap", content)
		open := func() *Map { return newMap(mem.open(), Config{Name: "test", Logger: quiet}) }
		load := func(m *Map) (list []numbered, err error) {
			err = m.Load(collect(&list))
			for i, x := range list {
				if x.n == 0 || x.n > maxNumber || i > 0 && x.n <= list[i-1].n || x.f.FS.IsZero() {
					t.Fatalf("loaded %v", list)
				}
			}
			return list, err
		}
		m := open()
		first, err := load(m)
		if err != nil {
			if _, err := m.Append(inode(1), ignore); err == nil {
				t.Fatal("appended to what could not be loaded")
			}
			if !bytes.Equal(mem.names["test.fullmap"].data, content) {
				t.Fatal("what could not be loaded has changed")
			}
			return
		}
		n, err := m.Append(inode(1<<50), ignore)
		if err != nil {
			if len(first) == 0 || first[len(first)-1].n < maxNumber-66*skip {
				t.Fatal(err)
			}
			return
		}
		want := append(first, numbered{inode(1 << 50), n})
		got, err := load(open())
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("loaded %v, error %v, want %v", got, err, want)
		}
		if size := len(mem.names["test.fullmap"].data); size != headerSize+len(want)*recordSize {
			t.Fatalf("%d bytes for %d records", size, len(want))
		}
	})
}
