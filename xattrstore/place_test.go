// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"bytes"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
)

const testFile = "dev-1-2" + fileSuffix

// fileIn returns the file's medium in a directory.
func fileIn(t testing.TB, dir string) *fileMedium {
	t.Helper()
	own, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return &fileMedium{dir: stateDir{own}, name: testFile}
}

// bothOn returns a Store of a disk and a state directory.
func bothOn(t testing.TB, m lockedMedium, dir string, cfg Config) *Store {
	t.Helper()
	s := newStore(m, m, fileIn(t, dir), cfg)
	t.Cleanup(func() { s.Close() })
	return s
}

// putFile writes a table into the file in dir.
func putFile(t testing.TB, dir string, elements, identities []byte) {
	t.Helper()
	values := map[string][]byte{elementSeries.chunk(0): elements}
	if identities != nil {
		values[identitySeries.chunk(0)] = identities
	}
	if err := os.WriteFile(filepath.Join(dir, testFile), encodeFile(values), 0o600); err != nil {
		t.Fatal(err)
	}
}

func wantPlace(t testing.TB, s *Store, want string) {
	t.Helper()
	if got := s.Place(); got != want {
		t.Errorf("the table is in %q, want %q", got, want)
	}
}

// wantFiles checks the names in dir.
func wantFiles(t testing.TB, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}

// refusing is a root whose attributes cannot be written or read.
type refusing struct {
	lockedMedium
	read, write error
}

func (m *refusing) get(name string) ([]byte, error) {
	if m.read != nil {
		return nil, m.read
	}
	return m.lockedMedium.get(name)
}

func (m *refusing) set(name string, value []byte) error {
	if m.write != nil {
		return m.write
	}
	return m.lockedMedium.set(name, value)
}

// A table that outgrows the attributes moves to the file, with all it has, and
// says so once. What is in the attributes stays.
func TestMove(t *testing.T) {
	d, dir := newDisk(), t.TempDir()
	d.maxTotal = 1000
	var log bytes.Buffer
	cfg := Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	s, other := bothOn(t, d.open(), dir, cfg), bothOn(t, d.open(), dir, quietConfig())
	k := newElements(1, 100)
	mustLoad(t, other)
	wantPlace(t, s, "")
	for i, e := range k {
		mustAppend(t, s, i, e)
		if i == 0 {
			wantPlace(t, s, PlaceXattr)
		}
		if i == 20 {
			// The other one goes along.
			mustAppend(t, other, 0)
		}
	}
	wantPlace(t, s, PlaceFile)
	wantFiles(t, dir, testFile)
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("log %s", &log)
	}
	before := maps.Clone(d.attrs)
	d.maxTotal = 0 // even if there is room again
	add := newElements(2, 5)
	if tail := mustAppend(t, other, 21, add...); !slices.Equal(tail, slices.Concat(k[21:], add)) {
		t.Errorf("tail %v", tail)
	}
	wantPlace(t, other, PlaceFile)
	if !maps.EqualFunc(d.attrs, before, bytes.Equal) {
		t.Error("the attributes changed")
	}
	again := bothOn(t, d.open(), dir, testConfig(t))
	if got := mustLoad(t, again); !slices.Equal(got, slices.Concat(k, add)) {
		t.Errorf("loaded %d elements", len(got))
	}
	if old := mustLoad(t, storeOn(d.open(), testConfig(t))); len(old) < 20 || !slices.Equal(old, k[:len(old)]) {
		t.Errorf("the attributes have %d elements", len(old))
	}
}

// Whatever keeps a table out of the attributes, it goes to the file.
func TestWhatTheExportCannotHold(t *testing.T) {
	for name, m := range map[string]*refusing{
		"no user attributes": {read: unix.ENOTSUP, write: unix.ENOTSUP},
		"not permitted":      {write: unix.EPERM},
		"denied":             {write: unix.EACCES},
		"read-only":          {write: unix.EROFS},
		"full":               {write: unix.ENOSPC},
		"over quota":         {write: unix.EDQUOT},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			m.lockedMedium = newDisk().open()
			k := newElements(1, 9)
			s := bothOn(t, m, dir, testConfig(t))
			mustLoad(t, s)
			mustAppend(t, s, 0, k[:5]...)
			wantPlace(t, s, PlaceFile)
			mustAppend(t, s, 5, k[5:]...)
			if got := mustLoad(t, bothOn(t, m, dir, testConfig(t))); !slices.Equal(got, k) {
				t.Errorf("loaded %v", got)
			}
		})
	}
}

// What is not about room or rights is an error, and moves nothing.
func TestNoMoveOnErrors(t *testing.T) {
	for name, m := range map[string]*refusing{
		"write":                    {write: unix.EIO},
		"read":                     {read: unix.EIO},
		"read that is denied":      {read: unix.EACCES},
		"read where quota is used": {read: unix.EDQUOT},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			m.lockedMedium = newDisk().open()
			s := bothOn(t, m, dir, testConfig(t))
			if _, err := s.Append(0, newElements(1, 1)); err == nil {
				t.Error("no error")
			}
			wantFiles(t, dir)
		})
	}
}

// An identity that the attributes have no room to fill in moves the table.
func TestIdentifyMoves(t *testing.T) {
	k, dir := newElements(1, 30), t.TempDir()
	d := newDisk().put(elementSeries, table1(k...)).put(identitySeries, cutBytes(identities1(30, unproven(k)...), 72)...)
	d.maxValue = 320
	before := maps.Clone(d.attrs)
	s, other := bothOn(t, d.open(), dir, testConfig(t)), bothOn(t, d.open(), dir, testConfig(t))
	mustLoad(t, s)
	mustLoad(t, other)
	wantPlace(t, s, PlaceXattr)
	mustIdentify(t, s, 3, testIdentity(1))
	mustIdentify(t, other, 3, testIdentity(1))
	mustIdentify(t, other, 7, testIdentity(2))
	wantReason(t, s.Identify(7, testIdentity(3)), qidpath.ReasonConflict)
	if !maps.EqualFunc(d.attrs, before, bytes.Equal) {
		t.Error("the attributes changed")
	}
	wantPlace(t, s, PlaceFile)
	want := proven(proven(unproven(k), 3, testIdentity(1)), 7, testIdentity(2))
	if got := mustLoad(t, bothOn(t, d.open(), dir, testConfig(t))); !slices.Equal(got, want) {
		t.Errorf("loaded %v, want %v", got, want)
	}
}

// A read-only store writes nothing to the export.
func TestReadOnlyWritesToTheFile(t *testing.T) {
	k, dir := newElements(1, 9), t.TempDir()
	d := newDisk()
	writer := bothOn(t, d.open(), dir, testConfig(t))
	mustAppend(t, writer, 0, k[:3]...)
	cfg := testConfig(t)
	cfg.ReadOnly = true
	s := bothOn(t, &refusing{lockedMedium: d.open(), write: errCut}, dir, cfg)
	if got := mustLoad(t, s); !slices.Equal(got, k[:3]) {
		t.Errorf("loaded %v", got)
	}
	mustAppend(t, s, 3)
	wantFiles(t, dir)
	mustAppend(t, s, 3, k[3])
	wantPlace(t, s, PlaceFile)
	// The one that may write finds it there and goes on there.
	if tail := mustAppend(t, writer, 3, k[4]); !slices.Equal(tail, k[3:5]) {
		t.Errorf("tail %v", tail)
	}
	if tail := mustAppend(t, s, 4, k[5]); !slices.Equal(tail, k[4:6]) {
		t.Errorf("tail %v", tail)
	}
	if got := mustLoad(t, bothOn(t, d.open(), dir, testConfig(t))); !slices.Equal(got, k[:6]) {
		t.Errorf("loaded %v", got)
	}
}

func TestModes(t *testing.T) {
	k := newElements(1, 9)
	t.Run("xattr", func(t *testing.T) {
		dir := t.TempDir()
		root := openDir(t, tmpfsDir(t))
		cfg := testConfig(t)
		cfg.Mode, cfg.StateDir = ModeXattr, openDir(t, dir)
		s, err := Open(root, cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		s.xattrs.medium = &refusing{lockedMedium: rootAndLock{s.xattrs.medium, s.lock}, write: unix.ENOSPC}
		_, err = s.Append(0, k)
		wantReason(t, err, qidpath.ReasonNoSpace)
		wantFiles(t, dir)
	})
	t.Run("file", func(t *testing.T) {
		dir := t.TempDir()
		d := newDisk().put(elementSeries, table1(k[:4]...)).put(identitySeries, identities1(0, k[:4]...))
		cfg := testConfig(t)
		cfg.Mode = ModeFile
		s := bothOn(t, &cutMedium{d.open(), 0}, dir, cfg)
		if got := mustLoad(t, s); !slices.Equal(got, k[:4]) {
			t.Errorf("loaded %v", got)
		}
		wantPlace(t, s, PlaceXattr)
		mustAppend(t, s, 4, k[4])
		wantPlace(t, s, PlaceFile)
		// From now on the attributes do not matter.
		d.put(elementSeries, table1(k[7:]...))
		mustAppend(t, s, 5, k[5])
		if got := mustLoad(t, bothOn(t, d.open(), dir, cfg)); !slices.Equal(got, k[:6]) {
			t.Errorf("loaded %v", got)
		}
	})
	t.Run("file without a directory", func(t *testing.T) {
		if _, err := Open(openDir(t, tmpfsDir(t)), Config{Mode: ModeFile}); err == nil {
			t.Error("no error")
		}
	})
	for _, m := range []Mode{ModeAuto, ModeXattr, ModeFile} {
		if got, err := ParseMode(m.String()); got != m || err != nil {
			t.Errorf("%v: %v, %v", m, got, err)
		}
	}
	if _, err := ParseMode("none"); err == nil {
		t.Error("there is no mode none")
	}
	if got := Mode(9).String(); got != "mode(0x9)" {
		t.Errorf("mode 9 is %s", got)
	}
}

// Which of two tables counts.
func TestTwoTables(t *testing.T) {
	k := newElements(1, 9)
	v1 := unproven(k)
	for _, tc := range []struct {
		name        string
		xattr, file []qidpath.Element
		want        []qidpath.Element
		place       string
	}{
		{"only attributes", k[:3], nil, k[:3], PlaceXattr},
		{"only file", nil, k[:3], k[:3], PlaceFile},
		{"the same", k[:3], k[:3], k[:3], PlaceXattr},
		{"longer in the file", k[:3], k[:5], k[:5], PlaceFile},
		{"longer in the attributes", k[:5], k[:3], k[:5], PlaceXattr},
		{"more identities in the file", v1[:3], k[:3], k[:3], PlaceFile},
		{"more identities in the attributes", k[:3], v1[:3], k[:3], PlaceXattr},
		{"longer without identities", v1[:5], k[:3], append(k[:3:3], v1[3:5]...), PlaceXattr},
		{"different", k[:3], append(k[:2:2], k[4]), nil, ""},
		{"different identities", k[:3], proven(k[:3], 1, testIdentity(99)), nil, ""},
		{"one file system twice", append(v1[:3:3], proven(k, 7, k[0].FS)[3:8]...), k[:1], nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, dir := newDisk(), t.TempDir()
			reserved := uint16(unknownEnd(tc.xattr))
			if tc.xattr != nil {
				d.put(elementSeries, table1(tc.xattr...)).put(identitySeries, identities1(reserved, tc.xattr...))
			}
			if tc.file != nil {
				putFile(t, dir, table1(tc.file...), identities1(uint16(unknownEnd(tc.file)), tc.file...))
			}
			before := maps.Clone(d.attrs)
			s := bothOn(t, d.open(), dir, testConfig(t))
			got, err := s.Load()
			add := newElements(5, 1)
			if tc.want == nil {
				wantReason(t, err, qidpath.ReasonConflict)
				for range 2 {
					_, err = s.Append(0, add)
					wantReason(t, err, qidpath.ReasonConflict)
				}
				if !maps.EqualFunc(d.attrs, before, bytes.Equal) {
					t.Error("the attributes changed")
				}
				return
			}
			if err != nil || !slices.Equal(got, tc.want) {
				t.Fatalf("loaded %v, %v", got, err)
			}
			wantPlace(t, s, tc.place)
			mustAppend(t, s, len(got), add...)
			wantPlace(t, s, tc.place)
			if got := mustLoad(t, bothOn(t, d.open(), dir, testConfig(t))); !slices.Equal(got, slices.Concat(tc.want, add)) {
				t.Errorf("loaded %v", got)
			}
		})
	}
}

func TestStateName(t *testing.T) {
	id := qidpath.Identity{0xab, 1, 2, 15: 0xff}
	for want, got := range map[string]string{
		"ab0102000000000000000000000000ff-2": StateName(id, 5, 2),
		"dev-fd01-256":                       StateName(qidpath.Identity{}, 0xfd01, 256),
		"dev-7-3":                            StateName(qidpath.DeviceIdentity(7), 7, 3),
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
