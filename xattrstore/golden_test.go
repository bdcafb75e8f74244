// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pkg/xattr"

	"vhost-user-9p/qidpath"
)

// golden is what a golden stream's JSON file says.
type golden struct {
	Load    string // ok, recover, ok-or-recover, reject
	Reason  string
	Rule    string
	Entries []struct {
		Dev       uint64 `json:"dev"`
		InoPrefix uint16 `json:"ino_prefix"`
		QPPrefix  uint64 `json:"qp_prefix"`
	}
	Count *int `json:"entries_count"`
}

var goldenErrors = map[string]error{
	"bad-crc":      ErrChecksum,
	"duplicate":    ErrDuplicate,
	"short-header": ErrShortHeader,
	"version-2":    ErrVersion,
}

// TestGolden loads each golden stream from attributes of a real directory,
// through a Table, and then appends to it.
func TestGolden(t *testing.T) {
	names, err := filepath.Glob("testdata/qid-vectors/*.json")
	if err != nil || len(names) != 12 {
		t.Fatalf("%d golden streams, want 12 (%v)", len(names), err)
	}
	for _, path := range names {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var want golden
			if err := json.Unmarshal(text, &want); err != nil {
				t.Fatal(err)
			}
			dir := tmpfsDir(t)
			chunks := goldenChunks(t, strings.TrimSuffix(path, "json")+"0.bin")
			for i, c := range chunks {
				if err := xattr.Set(dir, elementSeries.chunk(i), c); err != nil {
					t.Fatal(err)
				}
			}
			if want.Load == "reject" {
				testRejected(t, dir, name, chunks)
			} else {
				testAccepted(t, dir, want)
			}
		})
	}
}

func openTable(t *testing.T, dir string) (*qidpath.Table, *Store) {
	store := openStore(t, dir, testConfig(t))
	table := qidpath.New(qidpath.Config{Store: store, Logger: testConfig(t).Logger})
	t.Cleanup(func() { table.Close() })
	return table, store
}

func wantPath(t *testing.T, table *qidpath.Table, dev, ino, want uint64) {
	t.Helper()
	table.Bind(dev, qidpath.Identity{}, nil)
	if got, err := table.Path(dev, ino); err != nil || got != want {
		t.Errorf("Path(%#x, %#x) = %#x, %v; want %#x", dev, ino, got, err, want)
	}
}

func testAccepted(t *testing.T, dir string, want golden) {
	elements := mustLoad(t, openStore(t, dir, testConfig(t)))
	if want.Count != nil {
		if len(elements) != *want.Count {
			t.Fatalf("%d elements, want %d", len(elements), *want.Count)
		}
		if strings.Contains(want.Rule, "element i is (0xfe00, i)") {
			for i, k := range elements {
				if labelOf(k) != (label{0xfe00, uint16(i)}) {
					t.Fatalf("element %d is %#v", i, k)
				}
			}
		}
	} else if len(elements) != len(want.Entries) {
		t.Fatalf("%d elements, want %d", len(elements), len(want.Entries))
	}

	table, _ := openTable(t, dir)
	if err := table.Load(); err != nil {
		t.Fatal(err)
	}
	for _, e := range want.Entries {
		wantPath(t, table, e.Dev, uint64(e.InoPrefix)<<48|5, e.QPPrefix<<48|5)
	}
	for i, k := range elements {
		wantPath(t, table, k.Dev, uint64(k.InoPrefix)<<48|5, uint64(i+1)<<48|5)
	}

	// A new key follows; only a table that is too long stays as it is.
	before := attributes(t, dir)
	if len(elements) > qidpath.MaxElements {
		wantPath(t, table, 99, 5, qidpath.MaxNumber)
		if err := table.Flush(); err != nil {
			t.Error(err)
		}
		if after := attributes(t, dir); !maps.Equal(after, before) {
			t.Error("a table that is too long was changed")
		}
		return
	}
	next := uint64(len(elements)+1)<<48 | 5
	wantPath(t, table, 99, 5, next)
	again, _ := openTable(t, dir)
	if err := again.Load(); err != nil {
		t.Fatal(err)
	}
	wantPath(t, again, 99, 5, next)
	for i, k := range elements {
		wantPath(t, again, k.Dev, uint64(k.InoPrefix)<<48|5, uint64(i+1)<<48|5)
	}
	stored := readTable(t, dir)
	if stored.surplus() != 0 {
		t.Errorf("%d bytes stored for %d elements", stored.image.size(), stored.n)
	}
}

func testRejected(t *testing.T, dir, name string, chunks [][]byte) {
	before := attributes(t, dir)
	table, store := openTable(t, dir)
	want, reason := goldenErrors[name], qidpath.ReasonRejected
	newer := name == "version-2"
	if newer {
		reason = qidpath.ReasonVersion
	}
	if err := table.Load(); !errors.Is(err, want) || want == nil {
		t.Fatalf("error %v, want %v", err, want)
	} else {
		wantReason(t, err, reason)
	}
	if s := table.Stats(); s.Entries != 0 || s.LoadFailures[reason] != 1 || !s.Degraded {
		t.Errorf("stats %+v", s)
	}
	if err := store.Flush(); err != nil && !newer {
		t.Error(err)
	}
	if after := attributes(t, dir); !maps.Equal(after, before) {
		t.Error("loading or flushing changed the attributes")
	}

	if newer {
		wantPath(t, table, 99, 5, 0xffff<<48|5)
		if after := attributes(t, dir); !maps.Equal(after, before) {
			t.Error("a table of an unknown version was changed")
		}
		return
	}
	wantPath(t, table, 99, 5, 1<<48|5)
	aside := 0
	for attr, value := range attributes(t, dir) {
		if strings.HasPrefix(attr, elementSeries.badPrefix()) {
			aside++
			if value != string(slices.Concat(chunks...)) {
				t.Errorf("%s is not what was there", attr)
			}
		}
	}
	if aside != 1 {
		t.Errorf("%d attributes set aside, want 1", aside)
	}
	again, _ := openTable(t, dir)
	if err := again.Load(); err != nil {
		t.Fatal(err)
	}
	wantPath(t, again, 99, 5, 1<<48|5)
}

// readTable returns the stored elements of a directory.
func readTable(t *testing.T, dir string) stream {
	t.Helper()
	im, err := readImage(openStore(t, dir, testConfig(t)).xattrs.medium, elementSeries)
	if err != nil {
		t.Fatal(err)
	}
	_, c, err := im.parseTable()
	if err != nil {
		t.Fatal(err)
	}
	return stream{elementSeries, im, c}
}

// attributes returns all of a directory's attributes.
func attributes(t *testing.T, dir string) map[string]string {
	t.Helper()
	names, err := xattr.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, name := range names {
		if strings.HasPrefix(name, "user.") {
			v, err := xattr.Get(dir, name)
			if err != nil {
				t.Fatal(err)
			}
			all[name] = string(v)
		}
	}
	return all
}

// TestRenumbered starts from a table of the older version, and gives the file
// systems other device numbers from run to run: each keeps its prefixes, and none
// inherits those of another.
func TestRenumbered(t *testing.T) {
	root, state := tmpfsDir(t), tmpfsDir(t)
	const a, b, c = 1, 2, 3
	if err := xattr.Set(root, elementSeries.chunk(0), table1(
		qidpath.Element{Dev: 0xfd00},
		qidpath.Element{Dev: 0xfd01},
		qidpath.Element{Dev: 0xfd00, Key: qidpath.Key{InoPrefix: 1}},
	)); err != nil {
		t.Fatal(err)
	}
	type file struct{ fs, dev, inoPrefix, want uint64 }
	for i, run := range [][]file{
		{{a, 0xfd00, 0, 1}, {a, 0xfd00, 1, 3}},                                            // b is not mounted
		{{b, 0xfd01, 0, 2}, {a, 0xfd02, 1, 3}},                                            // a has moved
		{{b, 0xfd00, 0, 2}, {a, 0xfd01, 0, 1}, {a, 0xfd01, 1, 3}, {c, 0xfd02, 0, 4}},      // they swap
		{{0, 0xfd00, 0, 5}, {c, 0xfd01, 0, 4}, {a, 0xfd09, 0, 1}},                         // one without an identity
		{{0, 0xfd00, 0, 5}, {0, 0xfd02, 0, 6}, {b, 0xfd09, 0, 2}, {b, 0xfd09, 0xffff, 7}}, // and another
	} {
		store := openStoreIn(t, root, state)
		table := qidpath.New(qidpath.Config{Store: store, Logger: testConfig(t).Logger})
		if err := table.Load(); err != nil {
			t.Fatal(err)
		}
		for _, f := range run {
			var id qidpath.Identity
			if f.fs != 0 {
				id = testIdentity(f.fs)
			}
			table.Bind(f.dev, id, nil)
			if got, err := table.Path(f.dev, f.inoPrefix<<48|9); err != nil || got != f.want<<48|9 {
				t.Errorf("run %d: %+v has the path %#x, %v", i, f, got, err)
			}
		}
		if s := table.Stats(); s.Degraded || s.Volatile != 0 {
			t.Errorf("run %d: stats %+v", i, s)
		}
		if err := table.Close(); err != nil {
			t.Error(err)
		}
	}
	// Who reads only the older format sees a table that is whole.
	if labels, ok := simpleParse(must(xattr.Get(root, elementSeries.chunk(0)))); !ok || len(labels) != 7 {
		t.Errorf("%d elements", len(labels))
	}
}
