// SPDX-License-Identifier: Apache-2.0

package qidpath_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"vhost-user-9p/qidpath"
)

const (
	volatile   = 0xffff << 48
	low48      = 1<<48 - 1
	lastNumber = qidpath.MaxNumber // the first volatile one
)

func TestPathNumbersKeysInOrderOfFirstSight(t *testing.T) {
	for _, cfg := range []qidpath.Config{{}, {Store: &memStore{}}} {
		table := newTableOf(t, cfg)
		wantPath(t, table, 0xfe00, 2, 1<<48|2)
		wantPath(t, table, 0xfe00, 0xffff_ffff_ffff, 1<<48|0xffff_ffff_ffff)
		wantPath(t, table, 0xfe01, 2, 2<<48|2)
		wantPath(t, table, 0xfe00, 0x8000_0000_0000_0002, 3<<48|2)
		wantPath(t, table, 0, 0, 4<<48)
		wantPath(t, table, 1<<64-1, 1<<64-1, 5<<48|low48)
		wantPath(t, table, 0xfe00, 2, 1<<48|2)
		if s := table.Stats(); s.Entries != 5 || s.Degraded {
			t.Errorf("stats %+v", s)
		}
	}
}

func TestPathsSurviveARestart(t *testing.T) {
	store := &memStore{}
	before := newTable(t, store)
	mustPath(t, before, 1, 1)
	mustPath(t, before, 2, 1<<60)
	after := newTable(t, store)
	if err := after.Load(); err != nil {
		t.Fatal(err)
	}
	wantPath(t, after, 3, 7, 3<<48|7)
	wantPath(t, after, 2, 1<<60|9, 2<<48|9)
	wantPath(t, after, 1, 5, 1<<48|5)
	if s := after.Stats(); s.Entries != 3 || s.Loads != 1 || s.Stores != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestLoadDoesNothingWhileThereAreElements(t *testing.T) {
	store := &memStore{elements: elements(3)}
	table := newTable(t, store)
	for range 3 {
		if err := table.Load(); err != nil {
			t.Fatal(err)
		}
	}
	if store.loads != 1 {
		t.Errorf("%d loads, want 1", store.loads)
	}
}

// A load that fails leaves a table that works, and the next append brings what
// could not be loaded.
func TestFailedLoad(t *testing.T) {
	store := &memStore{elements: elements(3), fail: errFake}
	table := newTable(t, store)
	if err := table.Load(); qidpath.ReasonOf(err) != qidpath.ReasonNoSpace {
		t.Fatalf("Load: %v", err)
	}
	if s := table.Stats(); s.LoadFailures[qidpath.ReasonNoSpace] != 1 || !s.Degraded {
		t.Errorf("stats %+v", s)
	}
	store.fail = nil
	wantPath(t, table, 77, 1, 4<<48|1)
	wantPath(t, table, 0xfe00, 2<<48|1, 3<<48|1)
	if s := table.Stats(); s.Entries != 4 || s.Degraded {
		t.Errorf("stats %+v", s)
	}
}

func TestStoredBeforeReturn(t *testing.T) {
	store := &memStore{}
	table := newTable(t, store)
	for i := range uint64(10) {
		mustPath(t, table, i, 1)
		if n := len(store.elements); n != int(i)+1 {
			t.Fatalf("%d keys stored after %d new ones", n, i+1)
		}
		mustPath(t, table, i, 2)
	}
	if store.appends != 10 {
		t.Errorf("%d appends, want 10", store.appends)
	}
}

func TestConcurrentFirstSightStoresOnce(t *testing.T) {
	store := &memStore{release: make(chan struct{})}
	table := newTable(t, store)
	const callers = 16
	var wg sync.WaitGroup
	paths := make([]uint64, callers)
	for i := range callers {
		wg.Go(func() { paths[i] = mustPath(t, table, 9, 42) })
	}
	close(store.release)
	wg.Wait()
	for _, p := range paths {
		if p != 1<<48|42 {
			t.Errorf("path %#x", p)
		}
	}
	if store.appends != 1 {
		t.Errorf("%d appends, want 1", store.appends)
	}
}

func TestFailedStoreGivesAVolatilePrefix(t *testing.T) {
	store := &memStore{}
	table := newTable(t, store)
	mustPath(t, table, 1, 1)
	store.fail = errFake
	wantPath(t, table, 2, 1, volatile|1)
	wantPath(t, table, 3, 1, volatile-1<<48|1)
	if err := table.Flush(); err == nil {
		t.Error("Flush did not fail")
	}
	s := table.Stats()
	if s.Entries != 1 || s.Volatile != 2 || s.StoreFailures[qidpath.ReasonNoSpace] != 3 || !s.Degraded {
		t.Errorf("stats %+v", s)
	}

	// The answers stay, whatever becomes of the store.
	store.fail = nil
	wantPath(t, table, 2, 9, volatile|9)
	wantPath(t, table, 4, 1, 2<<48|1)
	if err := table.Flush(); err != nil {
		t.Error(err)
	}
	if s := table.Stats(); s.Entries != 2 || !s.Degraded {
		t.Errorf("stats %+v", s)
	}
	for _, k := range store.elements {
		if k.Dev == 2 || k.Dev == 3 {
			t.Errorf("volatile key %v was made an element", k)
		}
	}
}

// Another daemon stores a key that is volatile here: its element's number is
// taken, but the answer stays.
func TestVolatileKeyThatAnotherDaemonStores(t *testing.T) {
	store := &memStore{fail: errFake}
	table := newTable(t, store)
	wantPath(t, table, 1, 1, volatile|1)
	store.fail = nil
	other := newTable(t, store)
	wantPath(t, other, 1, 1, 1<<48|1)
	wantPath(t, table, 2, 1, 2<<48|1)
	wantPath(t, table, 1, 2, volatile|2)
	wantPath(t, other, 2, 1, 2<<48|1)
}

func TestTablesOnOneStoreAgree(t *testing.T) {
	store := &memStore{}
	a, b := newTable(t, store), newTable(t, store)
	var wg sync.WaitGroup
	for _, table := range []*qidpath.Table{a, b, a, b} {
		wg.Go(func() {
			for _, i := range rand.Perm(200) {
				mustPath(t, table, uint64(i), 1)
			}
		})
	}
	wg.Wait()
	for i := range uint64(200) {
		pa, pb := mustPath(t, a, i, 1), mustPath(t, b, i, 1)
		if pa != pb {
			t.Errorf("device %d: %#x and %#x", i, pa, pb)
		}
	}
	if len(store.elements) != 200 {
		t.Errorf("%d keys stored, want 200", len(store.elements))
	}
}

// A store that fails may still know the key from another daemon.
func TestKeyOfAnotherDaemonNeedsNoStore(t *testing.T) {
	store := &memStore{}
	table := newTable(t, store)
	mustPath(t, newTable(t, store), 5, 1)
	store.fail = errFake
	wantPath(t, table, 5, 1, 1<<48|1)
	if s := table.Stats(); s.Volatile != 0 || s.Degraded {
		t.Errorf("stats %+v", s)
	}
}

// The stored table gets full behind the table's back.
func TestTableFilledByAnotherDaemon(t *testing.T) {
	store := &memStore{}
	table := newTable(t, store)
	store.elements = elements(qidpath.MaxElements)
	store.fail = &qidpath.StoreError{Op: "append", Reason: qidpath.ReasonFull, Err: errFake}
	wantPath(t, table, 1, 7, lastNumber)
	wantPath(t, table, 0xfe00, 7, 1<<48|7)
}

func TestOverLimitIsLoadedAndNeverStored(t *testing.T) {
	store := &memStore{elements: elements(32768)}
	table := newTable(t, store)
	if err := table.Load(); err != nil {
		t.Fatal(err)
	}
	last := store.elements[32767]
	wantPath(t, table, last.Dev, uint64(last.InoPrefix)<<48|1, 32768<<48|1)
	wantPath(t, table, 1, 7, lastNumber)
	if store.appends != 0 {
		t.Error("stored again")
	}
}

// Elements and volatile prefixes never meet, even if a table that is too long
// turns up late.
func TestElementsThatReachIntoVolatilePrefixes(t *testing.T) {
	store := &memStore{fail: errFake}
	table := newTable(t, store)
	wantPath(t, table, 1, 1, volatile|1)
	store.elements, store.fail = elements(65535), nil
	if err := table.Load(); qidpath.ReasonOf(err) != qidpath.ReasonConflict {
		t.Errorf("Load: %v", err)
	}
	wantPath(t, table, 0xfe00, 1, volatile-1<<48|1)
}

func TestStoreThatReturnsAKeyTwice(t *testing.T) {
	for name, stored := range map[string][]qidpath.Element{
		"in one answer":  {plain(1, 0), plain(2, 0), plain(2, 0)},
		"an old element": {plain(1, 0), plain(2, 0), plain(1, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			store := &memStore{}
			table := newTable(t, store)
			mustPath(t, table, 1, 1)
			store.elements = stored
			wantPath(t, table, 2, 1, volatile|1)
			if s := table.Stats(); s.Entries != 1 || s.StoreFailures[qidpath.ReasonConflict] != 1 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// When no prefix is left for a key whose store fails, its files get volatile
// numbers, and keep them.
func TestVolatilePrefixesRunOut(t *testing.T) {
	store, full := &memStore{fail: errFake}, &memMap{}
	table := newTableOf(t, qidpath.Config{Store: store, FullMap: full.open(), Logger: slog.New(slog.DiscardHandler)})
	seen := make(map[uint64]bool)
	const count = 65535 - qidpath.MaxElements
	for dev := range uint64(count) {
		p, err := path(table, dev, 1)
		if err != nil || p>>48 <= qidpath.MaxElements || p&low48 != 1 || seen[p] {
			t.Fatalf("device %d: path %#x, %v", dev, p, err)
		}
		seen[p] = true
	}
	wantPath(t, table, count, 5, lastNumber)
	store.fail = nil
	wantPath(t, table, count+1, 5, 1<<48|5)
	wantPath(t, table, count, 5, lastNumber)
	wantPath(t, table, count, 6, lastNumber-1)
	if len(full.files) > 0 {
		t.Errorf("%d volatile numbers stored", len(full.files))
	}
}

func TestCloseFlushesOnce(t *testing.T) {
	store := &memStore{}
	table := newTable(t, store)
	mustPath(t, table, 1, 1)
	for range 2 {
		if err := table.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if store.flushes != 1 || !store.closed {
		t.Errorf("%d flushes, closed %v", store.flushes, store.closed)
	}
	wantPath(t, table, 1, 2, 1<<48|2)
	wantPath(t, table, 2, 2, volatile|2)
	if err := table.Flush(); qidpath.ReasonOf(err) != qidpath.ReasonClosed {
		t.Errorf("Flush after Close: %v", err)
	}
}

func TestStoreThatPanics(t *testing.T) {
	table := qidpath.New(qidpath.Config{Store: panicStore{}, Logger: slog.New(slog.DiscardHandler)})
	table.Bind(1, qidpath.Identity{}, nil)
	for range 2 {
		func() {
			defer func() {
				if r := recover(); !strings.Contains(fmt.Sprint(r), "broken store") {
					t.Errorf("recovered %v", r)
				}
			}()
			mustPath(t, table, 1, 1)
		}()
	}
}

type panicStore struct{ qidpath.Store }

func (panicStore) Append(int, []qidpath.Element) ([]qidpath.Element, error) { panic("broken store") }

// A storage that stays broken does not fill the log.
func TestFailuresAreLoggedNowAndThen(t *testing.T) {
	for reason, want := range map[qidpath.Reason]int{
		qidpath.ReasonIO:       7, // 1, 2, 4, ... 64
		qidpath.ReasonReadOnly: 1,
	} {
		var log bytes.Buffer
		store := &memStore{fail: &qidpath.StoreError{Op: "append", Reason: reason, Err: errFake}}
		table := qidpath.New(qidpath.Config{Store: store, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for dev := range uint64(100) {
			mustPath(t, table, dev, 1)
		}
		if n := strings.Count(log.String(), "qid table not stored"); n != want {
			t.Errorf("%v: %d lines, want %d", reason, n, want)
		}
		if s := table.Stats(); s.StoreFailures[reason] != 100 {
			t.Errorf("%v: %d failures counted", reason, s.StoreFailures[reason])
		}
	}
}

func TestWarnsBeforeTheTableIsFull(t *testing.T) {
	var log bytes.Buffer
	store := &memStore{elements: elements(qidpath.MaxElements*9/10 - 1)}
	table := qidpath.New(qidpath.Config{Store: store, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err := table.Load(); err != nil {
		t.Fatal(err)
	}
	if log.Len() > 0 {
		t.Errorf("warned too early: %s", &log)
	}
	mustPath(t, table, 1, 1)
	mustPath(t, table, 2, 1)
	if n := strings.Count(log.String(), "qid table nearly full"); n != 1 {
		t.Errorf("%d warnings, want 1", n)
	}
}
