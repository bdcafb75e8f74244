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
	mu      sync.Mutex
	keys    []qidpath.Key
	fail    error // if set, loads, appends and flushes fail with it
	loads   int
	appends int
	flushes int
	closed  bool
	release chan struct{} // if set, appends wait for it
}

func (s *memStore) Load() ([]qidpath.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	return slices.Clone(s.keys), s.fail
}

func (s *memStore) Append(known int, keys []qidpath.Key) ([]qidpath.Key, error) {
	if s.release != nil {
		<-s.release
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.appends++
	var err error
	for _, k := range keys {
		switch {
		case slices.Contains(s.keys, k):
		case s.fail != nil:
			err = s.fail
		default:
			s.keys = append(s.keys, k)
		}
	}
	return slices.Clone(s.keys[known:]), err
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

var errFake = &qidpath.StoreError{Op: "append", Reason: qidpath.ReasonNoSpace, Err: errors.New("fake")}

// newTable returns a table that logs into the test's output.
func newTable(t testing.TB, store qidpath.Store) *qidpath.Table {
	t.Helper()
	cfg := qidpath.Config{Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	if store != nil {
		cfg.Store = store
	}
	table := qidpath.New(cfg)
	t.Cleanup(func() { table.Close() })
	return table
}

// mustPath asks the table for a path, which must not fail.
func mustPath(t testing.TB, table *qidpath.Table, dev, ino uint64) uint64 {
	t.Helper()
	p, err := table.Path(dev, ino)
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

// elements returns n different keys.
func elements(n int) []qidpath.Key {
	keys := make([]qidpath.Key, n)
	for i := range keys {
		keys[i] = qidpath.Key{Dev: 0xfe00 + uint64(i/5), InoPrefix: uint16(i % 5)}
	}
	return keys
}
