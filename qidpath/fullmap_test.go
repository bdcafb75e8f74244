// SPDX-License-Identifier: Apache-2.0

package qidpath_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"vhost-user-9p/qidpath"
)

// hashed returns an inode number with the i-th of many prefixes, as NFS and FUSE
// have them.
func hashed(i uint64) uint64 { return i<<48 | 5 }

// fill uses up the prefixes of one file system.
func fill(t *testing.T, table *qidpath.Table, dev uint64) {
	t.Helper()
	for i := range uint64(16) {
		wantPath(t, table, dev, hashed(i), (i+1)<<48|5)
	}
}

func TestHashedInodeNumbersUseTheFullMap(t *testing.T) {
	store, full := &memStore{}, &memMap{}
	table := newTableOf(t, qidpath.Config{Store: store, FullMap: full.open()})
	table.Bind(1, idA, nil)
	fill(t, table, 1)
	wantPath(t, table, 1, hashed(16), 1)
	wantPath(t, table, 1, hashed(17), 2)
	wantPath(t, table, 1, hashed(17)+1, 3)
	wantPath(t, table, 1, hashed(16), 1)
	wantPath(t, table, 2, 5, 17<<48|5) // others get prefixes
	if s := table.Stats(); s.Numbers != 3 || s.VolatileNumbers != 0 || s.Volatile != 0 || s.Entries != 17 || s.Degraded {
		t.Errorf("stats %+v", s)
	}

	table = newTableOf(t, qidpath.Config{Store: store, FullMap: full.open()})
	if err := table.Load(); err != nil {
		t.Fatal(err)
	}
	table.Bind(9, idA, nil) // under another number
	wantPath(t, table, 9, hashed(20), 4)
	wantPath(t, table, 9, hashed(17)+1, 3)
	wantPath(t, table, 9, hashed(3), 4<<48|5)
	if s := table.Stats(); s.Numbers != 4 || s.Degraded {
		t.Errorf("stats %+v", s)
	}
}

// A number is durable before it can be shown, and many are so at once.
func TestNumbersAreSettled(t *testing.T) {
	full := &memMap{}
	table := newTableOf(t, qidpath.Config{Store: &memStore{}, FullMap: full.open()})
	fill(t, table, 1)
	for i := range uint64(3) {
		mustPath(t, table, 1, hashed(16+i))
		if full.synced != int(i)+1 {
			t.Fatalf("%d of %d numbers synced", full.synced, len(full.files))
		}
	}
	syncs := full.syncs
	for i := range uint64(100) {
		if p, err := table.PathUnsettled(1, hashed(100+i)); err != nil || p != 4+i {
			t.Fatalf("path %#x, %v", p, err)
		}
		if p, err := table.PathUnsettled(1, hashed(100+i)); err != nil || p != 4+i {
			t.Fatalf("path again %#x, %v", p, err)
		}
	}
	if full.syncs != syncs {
		t.Errorf("%d syncs while nothing was settled", full.syncs-syncs)
	}
	table.Settle()
	table.Settle()
	if full.synced != 103 || full.syncs != syncs+1 {
		t.Errorf("%d synced by %d syncs", full.synced, full.syncs-syncs)
	}
	// What another goroutine has left unsettled is settled before it is shown.
	if _, err := table.PathUnsettled(1, hashed(300)); err != nil {
		t.Fatal(err)
	}
	wantPath(t, table, 1, hashed(300), 104)
	if full.synced != 104 {
		t.Errorf("%d synced", full.synced)
	}
}

func TestFullTableUsesTheFullMap(t *testing.T) {
	store, full := &memStore{elements: elements(qidpath.MaxElements - 1)}, &memMap{}
	table := newTableOf(t, qidpath.Config{Store: store, FullMap: full.open()})
	if err := table.Load(); err != nil {
		t.Fatal(err)
	}
	wantPath(t, table, 1, 7, qidpath.MaxElements<<48|7)
	appends := store.appends
	wantPath(t, table, 2, 7, 1)
	wantPath(t, table, 2, 8, 2)
	wantPath(t, table, 3, 7, 3)
	wantPath(t, table, 2, 7, 1)
	wantPath(t, table, 1, 8, qidpath.MaxElements<<48|8)
	if store.appends != appends {
		t.Errorf("a full table was stored %d times", store.appends-appends)
	}
	if s := table.Stats(); s.Numbers != 3 || s.Volatile != 0 || s.Entries != qidpath.MaxElements || s.Degraded {
		t.Errorf("stats %+v", s)
	}
}

func TestNumbersThatCannotBeStored(t *testing.T) {
	for name, cfg := range map[string]qidpath.Config{
		"no full map": {Store: &memStore{}},
		"it fails":    {Store: &memStore{}, FullMap: (&memMap{fail: errFake}).open()},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
			table := newTableOf(t, cfg)
			fill(t, table, 1)
			wantPath(t, table, 1, hashed(16), lastNumber)
			wantPath(t, table, 1, hashed(17), lastNumber-1)
			wantPath(t, table, 1, hashed(16), lastNumber)
			if s := table.Stats(); s.Numbers != 2 || s.VolatileNumbers != 2 || !s.Degraded {
				t.Errorf("stats %+v", s)
			}
			if !strings.Contains(log.String(), "qid table not stored") {
				t.Errorf("log %q", &log)
			}
		})
	}
}

// What is stored but not synced is the same in this run, and said.
func TestNumbersThatCannotBeSynced(t *testing.T) {
	full := &memMap{failing: errFake}
	table := newTableOf(t, qidpath.Config{Store: &memStore{}, FullMap: full.open()})
	fill(t, table, 1)
	wantPath(t, table, 1, hashed(16), 1)
	full.failing = nil
	wantPath(t, table, 1, hashed(16), 1)
	wantPath(t, table, 1, hashed(17), 2)
	if s := table.Stats(); s.VolatileNumbers != 1 || s.Numbers != 2 || !s.Degraded {
		t.Errorf("stats %+v", s)
	}
}

func TestTablesOnOneFullMapAgree(t *testing.T) {
	store, full := &memStore{}, &memMap{}
	var tables []*qidpath.Table
	for range 3 {
		table := newTableOf(t, qidpath.Config{Store: store, FullMap: full.open()})
		table.Bind(1, idA, nil)
		tables = append(tables, table)
	}
	fill(t, tables[0], 1)
	var wg sync.WaitGroup
	for i, table := range tables {
		wg.Go(func() {
			for j := range uint64(300) {
				mustPath(t, table, 1, hashed(100+(j+uint64(i)*100)%300))
			}
		})
	}
	wg.Wait()
	seen := make(map[uint64]bool)
	for j := range uint64(300) {
		p := mustPath(t, tables[0], 1, hashed(100+j))
		if seen[p] {
			t.Errorf("path %#x twice", p)
		}
		seen[p] = true
		for _, table := range tables[1:] {
			wantPath(t, table, 1, hashed(100+j), p)
		}
	}
	if len(full.files) != 300 {
		t.Errorf("%d numbers stored, want 300", len(full.files))
	}
}

// What could not be loaded is when it can: no file gets two numbers, and no number
// two files.
func TestNumbersThatCannotBeLoadedAtFirst(t *testing.T) {
	store, full := &memStore{}, &memMap{}
	before := newTableOf(t, qidpath.Config{Store: store, FullMap: full.open()})
	fill(t, before, 1)
	wantPath(t, before, 1, hashed(16), 1)
	full.fail = errFake
	after := newTableOf(t, qidpath.Config{Store: store, FullMap: full.open()})
	if err := after.Load(); err == nil {
		t.Fatal("Load did not fail")
	}
	wantPath(t, after, 1, hashed(16), lastNumber)
	wantPath(t, after, 1, hashed(3), 4<<48|5)

	// Without Load, as after one that failed long ago.
	full.fail = nil
	late := newTableOf(t, qidpath.Config{Store: store, FullMap: full.open()})
	wantPath(t, late, 1, hashed(16), 1)
	wantPath(t, late, 1, hashed(17), 2)
	if len(full.files) != 2 {
		t.Errorf("stored %v", full.files)
	}
	wantPath(t, after, 1, hashed(16), lastNumber) // in this run
	if s := after.Stats(); !s.Degraded || s.VolatileNumbers != 1 {
		t.Errorf("stats %+v", s)
	}
}

// A file that has a volatile number keeps it, also when another daemon has stored
// one for it and the table is asked anew.
func TestVolatileNumberThatAnotherDaemonStores(t *testing.T) {
	store, full := &memStore{}, &memMap{}
	a := newTableOf(t, qidpath.Config{Store: store, FullMap: full.open()})
	b := newTableOf(t, qidpath.Config{Store: store, FullMap: full.open()})
	fill(t, a, 1)
	full.fail = errFake
	wantPath(t, a, 1, hashed(16), lastNumber)
	full.fail = nil
	wantPath(t, b, 1, hashed(16), 1)
	if _, err := a.PathUnsettled(1, hashed(17)); err != nil { // a hears of it
		t.Fatal(err)
	}
	a.Forget()
	wantPath(t, a, 1, hashed(16), lastNumber)
}
