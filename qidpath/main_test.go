// SPDX-License-Identifier: Apache-2.0

package qidpath_test

import (
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"vhost-user-9p/qidpath"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memStore is a Store that several Tables may share, as daemons share an export.
type memStore struct {
	mu       sync.Mutex
	elements []qidpath.Element
	fail     error // if set, loads, appends and flushes fail with it
	loads    int
	appends  int
	flushes  int
	closed   bool
	release  chan struct{} // if set, appends wait for it
}

func (s *memStore) Load() ([]qidpath.Element, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	return slices.Clone(s.elements), s.fail
}

func (s *memStore) has(key qidpath.Key) bool {
	return slices.ContainsFunc(s.elements, func(e qidpath.Element) bool { return e.Key == key })
}

func (s *memStore) count(fs qidpath.Identity) (n int) {
	for _, e := range s.elements {
		if e.FS == fs {
			n++
		}
	}
	return n
}

func (s *memStore) Append(known int, elements []qidpath.Element) ([]qidpath.Element, error) {
	if s.release != nil {
		<-s.release
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.appends++
	var err error
	for _, e := range elements {
		switch {
		case s.has(e.Key) || s.count(e.FS) >= qidpath.MaxPrefixesPerFS:
		case s.fail != nil:
			err = s.fail
		default:
			s.elements = append(s.elements, e)
		}
	}
	return slices.Clone(s.elements[known:]), err
}

func (s *memStore) Identify(i int, fs qidpath.Identity) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := &s.elements[i]
	switch {
	case s.fail != nil:
		return s.fail
	case e.FS == fs:
	case !e.Unproven:
		return &qidpath.StoreError{Op: "identify", Reason: qidpath.ReasonConflict, Err: errors.New("fake")}
	}
	e.FS, e.Unproven = fs, false
	return nil
}

func (s *memStore) Flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushes++
	return s.fail
}

func (s *memStore) Close() error {
	s.closed = true
	return nil
}

// memMap is a FullMap that several Tables may share.
type memMap struct {
	mu      sync.Mutex
	files   []qidpath.File // file i has number i+1
	synced  int            // how many of files are on stable storage
	syncs   int
	fail    error // if set, everything fails with it
	failing error // if set, only Sync fails with it
}

// view is one Table's memMap.
type view struct {
	*memMap
	read   int
	closed bool
}

func (m *memMap) open() *view { return &view{memMap: m} }

func (v *view) Load(yield func(qidpath.File, uint64)) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fail != nil {
		return v.fail
	}
	v.read = 0
	v.readLocked(yield)
	return nil
}

func (v *view) readLocked(yield func(qidpath.File, uint64)) {
	for ; v.read < len(v.files); v.read++ {
		yield(v.files[v.read], uint64(v.read+1))
	}
}

func (v *view) Append(f qidpath.File, yield func(qidpath.File, uint64)) (uint64, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fail != nil {
		return 0, v.fail
	}
	v.readLocked(yield)
	for i, other := range v.files {
		if other.FS == f.FS && other.Ino == f.Ino {
			return uint64(i + 1), nil
		}
	}
	v.files = append(v.files, f)
	v.read++
	return uint64(len(v.files)), nil
}

func (v *view) Sync() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.syncs++
	if v.fail != nil || v.failing != nil {
		return errors.Join(v.fail, v.failing)
	}
	v.synced = len(v.files)
	return nil
}

func (v *view) Close() error {
	v.closed = true
	return nil
}

var errFake = &qidpath.StoreError{Op: "append", Reason: qidpath.ReasonNoSpace, Err: errors.New("fake")}

// newTable returns a table that logs into the test's output.
func newTable(t testing.TB, store qidpath.Store) *qidpath.Table {
	t.Helper()
	return newTableOf(t, qidpath.Config{Store: store})
}

func newTableOf(t testing.TB, cfg qidpath.Config) *qidpath.Table {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	table := qidpath.New(cfg)
	t.Cleanup(func() { table.Close() })
	return table
}

// path asks the table for a path. A device that it does not know has a file system
// without an identity.
func path(table *qidpath.Table, dev, ino uint64) (uint64, error) {
	p, err := table.Path(dev, ino)
	if errors.Is(err, qidpath.ErrUnknownDevice) {
		table.Bind(dev, qidpath.Identity{}, nil)
		p, err = table.Path(dev, ino)
	}
	return p, err
}

// mustPath is path, which must not fail.
func mustPath(t testing.TB, table *qidpath.Table, dev, ino uint64) uint64 {
	t.Helper()
	p, err := path(table, dev, ino)
	if err != nil {
		t.Errorf("Path(%#x, %#x): %v", dev, ino, err)
	}
	return p
}

// wantPath checks one answer of the table.
func wantPath(t testing.TB, table *qidpath.Table, dev, ino, want uint64) {
	t.Helper()
	if got := mustPath(t, table, dev, ino); got != want {
		t.Errorf("Path(%#x, %#x) = %#x, want %#x", dev, ino, got, want)
	}
}

// plain returns an element whose file system has no identity.
func plain(dev uint64, inoPrefix uint16) qidpath.Element {
	return qidpath.Element{Key: qidpath.Key{FS: qidpath.DeviceIdentity(dev), InoPrefix: inoPrefix}, Dev: dev}
}

// identified returns an element whose file system has one.
func identified(fs qidpath.Identity, dev uint64, inoPrefix uint16) qidpath.Element {
	return qidpath.Element{Key: qidpath.Key{FS: fs, InoPrefix: inoPrefix}, Dev: dev}
}

// elements returns n different ones.
func elements(n int) []qidpath.Element {
	all := make([]qidpath.Element, n)
	for i := range all {
		all[i] = plain(0xfe00+uint64(i/5), uint16(i%5))
	}
	return all
}
