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
				if err := xattr.Set(dir, chunkName(i), c); err != nil {
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

func newTable(t *testing.T, dir string) (*qidpath.Table, *Store) {
	store := openStore(t, dir, testConfig(t))
	table := qidpath.New(qidpath.Config{Store: store, Logger: testConfig(t).Logger})
	t.Cleanup(func() { table.Close() })
	return table, store
}

func wantPath(t *testing.T, table *qidpath.Table, dev, ino, want uint64) {
	t.Helper()
	if got, err := table.Path(dev, ino); err != nil || got != want {
		t.Errorf("Path(%#x, %#x) = %#x, %v; want %#x", dev, ino, got, err, want)
	}
}

func testAccepted(t *testing.T, dir string, want golden) {
	keys := mustLoad(t, openStore(t, dir, testConfig(t)))
	if want.Count != nil {
		if len(keys) != *want.Count {
			t.Fatalf("%d elements, want %d", len(keys), *want.Count)
		}
		if strings.Contains(want.Rule, "element i is (0xfe00, i)") {
			for i, k := range keys {
				if k != (qidpath.Key{Dev: 0xfe00, InoPrefix: uint16(i)}) {
					t.Fatalf("element %d is %#v", i, k)
				}
			}
		}
	} else if len(keys) != len(want.Entries) {
		t.Fatalf("%d elements, want %d", len(keys), len(want.Entries))
	}

	table, _ := newTable(t, dir)
	if err := table.Load(); err != nil {
		t.Fatal(err)
	}
	for _, e := range want.Entries {
		wantPath(t, table, e.Dev, uint64(e.InoPrefix)<<48|5, e.QPPrefix<<48|5)
	}
	for i, k := range keys {
		wantPath(t, table, k.Dev, uint64(k.InoPrefix)<<48|5, uint64(i+1)<<48|5)
	}

	// A new key follows; only a table that is too long stays as it is.
	before := attributes(t, dir)
	if len(keys) > qidpath.MaxElements {
		wantPath(t, table, 99, 5, 1)
		if err := table.Flush(); err != nil {
			t.Error(err)
		}
		if after := attributes(t, dir); !maps.Equal(after, before) {
			t.Error("a table that is too long was changed")
		}
		return
	}
	next := uint64(len(keys)+1)<<48 | 5
	wantPath(t, table, 99, 5, next)
	again, _ := newTable(t, dir)
	if err := again.Load(); err != nil {
		t.Fatal(err)
	}
	wantPath(t, again, 99, 5, next)
	for i, k := range keys {
		wantPath(t, again, k.Dev, uint64(k.InoPrefix)<<48|5, uint64(i+1)<<48|5)
	}
	im, err := readImage(openStore(t, dir, testConfig(t)).medium)
	if err != nil {
		t.Fatal(err)
	}
	if content, err := im.parse(); err != nil || im.size() != content.end() {
		t.Errorf("%d bytes stored for %d elements, %v", im.size(), len(content.keys), err)
	}
}

func testRejected(t *testing.T, dir, name string, chunks [][]byte) {
	before := attributes(t, dir)
	table, store := newTable(t, dir)
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
		if strings.HasPrefix(attr, badPrefix) {
			aside++
			if value != string(slices.Concat(chunks...)) {
				t.Errorf("%s is not what was there", attr)
			}
		}
	}
	if aside != 1 {
		t.Errorf("%d attributes set aside, want 1", aside)
	}
	again, _ := newTable(t, dir)
	if err := again.Load(); err != nil {
		t.Fatal(err)
	}
	wantPath(t, again, 99, 5, 1<<48|5)
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
