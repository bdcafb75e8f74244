// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
	"vhost-user-9p/xattrstore/rootlock"
)

func TestExistingChunksAreNotCutAgain(t *testing.T) {
	k := newElements(1, 40)
	d := newDisk().put(elementSeries, cutBytes(table1(k...), 77)...)
	d.maxValue = 80
	before := d.chunks(elementSeries)
	s := storeOn(d.open(), testConfig(t))
	mustAppend(t, s, 0, newElements(2, 5)...)
	after := d.chunks(elementSeries)
	for i := range before[:len(before)-1] {
		if i > 0 && !bytes.Equal(after[i], before[i]) || len(after[i]) != len(before[i]) {
			t.Errorf("chunk %d was changed", i)
		}
	}
	if !bytes.Equal(d.stream(elementSeries), table1(append(k, newElements(2, 5)...)...)) {
		t.Error("wrong stream")
	}
}

// A file system's limit is found, and a temporary lack of room is not taken for
// one.
func TestNoSpace(t *testing.T) {
	d := newDisk()
	d.maxTotal = 1000
	s := storeOn(d.open(), testConfig(t))
	n := 0
	for _, k := range newElements(1, 100) {
		if _, err := s.Append(n, []qidpath.Element{k}); err != nil {
			wantReason(t, err, qidpath.ReasonNoSpace)
			break
		}
		n++
	}
	if n < 30 {
		t.Errorf("only %d elements in %d bytes", n, d.maxTotal)
	}
	if got := mustLoad(t, storeOn(d.open(), testConfig(t))); len(got) != n {
		t.Errorf("%d elements stored, want %d", len(got), n)
	}
	d.maxTotal = 0
	mustAppend(t, s, n, newElements(2, 300)...)
	if chunks := len(d.chunks(elementSeries)); chunks > 25 {
		t.Errorf("%d chunks: the size did not recover", chunks)
	}
}

func TestAppendAdoptsWhatOthersAppended(t *testing.T) {
	dir := tmpfsDir(t)
	a, b := openStore(t, dir, testConfig(t)), openStore(t, dir, testConfig(t))
	k := newElements(1, 6)
	if tail := mustAppend(t, a, 0, k[0], k[1]); !slices.Equal(tail, k[:2]) {
		t.Errorf("tail %v", tail)
	}
	if tail := mustAppend(t, b, 0, k[2]); !slices.Equal(tail, k[:3]) {
		t.Errorf("tail %v", tail)
	}
	if tail := mustAppend(t, a, 2, k[2], k[3]); !slices.Equal(tail, k[2:4]) {
		t.Errorf("tail %v", tail)
	}
	if tail := mustAppend(t, a, 4, k[4], k[4], k[0]); !slices.Equal(tail, k[4:5]) {
		t.Errorf("tail %v", tail)
	}
	if got := mustLoad(t, b); !slices.Equal(got, k[:5]) {
		t.Errorf("loaded %v", got)
	}
	if _, err := a.Append(99, k); err == nil {
		t.Error("an append after elements that never were succeeded")
	}
}

func TestConcurrentStoresLoseNothing(t *testing.T) {
	dir := tmpfsDir(t)
	const daemons, each = 4, 60
	shared := newElements(100, 30)
	var wg sync.WaitGroup
	seen := make([][]qidpath.Element, daemons)
	for i := range daemons {
		s := openStore(t, dir, testConfig(t))
		s.xattrs.chunkMax = 300
		wg.Go(func() {
			for j, k := range newElements(uint64(i), each) {
				tail, err := s.Append(len(seen[i]), []qidpath.Element{k, shared[j%len(shared)]})
				if err != nil {
					t.Errorf("daemon %d: %v", i, err)
					return
				}
				seen[i] = append(seen[i], tail...)
			}
		})
	}
	wg.Wait()
	all := mustLoad(t, openStore(t, dir, testConfig(t)))
	if want := daemons*each + len(shared); len(all) != want {
		t.Errorf("%d elements, want %d", len(all), want)
	}
	for i, keys := range seen {
		if !slices.Equal(keys, all[:len(keys)]) {
			t.Errorf("daemon %d saw other elements", i)
		}
	}
}

func TestLockHeldByAnother(t *testing.T) {
	dir := tmpfsDir(t)
	root, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	flock := func(how int) {
		if err := unix.Flock(int(root.Fd()), how); err != nil {
			t.Error(err)
		}
	}
	flock(unix.LOCK_EX)
	s := openStore(t, dir, testConfig(t))
	lock := s.lock.(*rootlock.Lock)
	if lock.Timeout != 2*time.Second {
		t.Errorf("the lock is waited for %v", lock.Timeout)
	}
	lock.Timeout = 200 * time.Millisecond

	start := time.Now()
	_, err = s.Append(0, newElements(1, 1))
	wantReason(t, err, qidpath.ReasonLocked)
	if took := time.Since(start); took < 200*time.Millisecond {
		t.Errorf("gave up after %v", took)
	}
	start = time.Now()
	_, err = s.Load()
	wantReason(t, err, qidpath.ReasonLocked)
	if took := time.Since(start); took > 150*time.Millisecond {
		t.Errorf("waited %v again", took)
	}

	flock(unix.LOCK_UN)
	mustAppend(t, s, 0, newElements(1, 1)...)

	// A lock that comes free in time is no failure.
	flock(unix.LOCK_EX)
	var unlock sync.WaitGroup
	unlock.Go(func() {
		time.Sleep(20 * time.Millisecond)
		flock(unix.LOCK_UN)
	})
	mustAppend(t, s, 1, newElements(2, 1)...)
	unlock.Wait()
}

func TestReadOnly(t *testing.T) {
	dir := tmpfsDir(t)
	writer := openStore(t, dir, testConfig(t))
	k := newElements(1, 4)
	mustAppend(t, writer, 0, k[:2]...)

	cfg := testConfig(t)
	cfg.ReadOnly = true
	s := openStore(t, dir, cfg)
	if got := mustLoad(t, s); !slices.Equal(got, k[:2]) {
		t.Errorf("loaded %v", got)
	}
	mustAppend(t, writer, 2, k[2])
	before := attributes(t, dir)

	// The key that the writer has stored is found, with an error for the other.
	tail, err := s.Append(2, k[2:])
	wantReason(t, err, qidpath.ReasonReadOnly)
	if !slices.Equal(tail, k[2:3]) {
		t.Errorf("tail %v", tail)
	}
	if tail := mustAppend(t, s, 2, k[2]); !slices.Equal(tail, k[2:3]) {
		t.Errorf("tail %v", tail)
	}
	if err := s.Flush(); err != nil {
		t.Error(err)
	}
	if after := attributes(t, dir); len(after) != len(before) || after[elementSeries.chunk(0)] != before[elementSeries.chunk(0)] {
		t.Error("a read-only store wrote")
	}
}

func TestReadOnlyLeavesADamagedTable(t *testing.T) {
	d := newDisk().put(elementSeries, []byte{1, 0})
	cfg := testConfig(t)
	cfg.ReadOnly = true
	s := storeOn(&cutMedium{d.open(), 0}, cfg)
	_, err := s.Load()
	wantReason(t, err, qidpath.ReasonRejected)
	_, err = s.Append(0, newElements(1, 1))
	wantReason(t, err, qidpath.ReasonReadOnly)
}

// What a store has shown is stored again when it vanishes.
func TestVanishedElementsAreStoredAgain(t *testing.T) {
	k := newElements(1, 9)
	for name, damage := range map[string]func(d *disk){
		"all":      func(d *disk) { clear(d.attrs) },
		"some":     func(d *disk) { clear(d.attrs); d.put(elementSeries, table1(k[:3]...)) },
		"unusable": func(d *disk) { d.put(elementSeries, []byte("\x01\x00garbage")) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisk()
			s := storeOn(d.open(), testConfig(t))
			mustAppend(t, s, 0, k[:8]...)
			damage(d)
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(d.stream(elementSeries), table1(k[:8]...)) {
				t.Errorf("stored %x", d.stream(elementSeries))
			}
			damage(d)
			if tail := mustAppend(t, s, 8, k[8]); !slices.Equal(tail, k[8:]) {
				t.Errorf("tail %v", tail)
			}
			if !bytes.Equal(d.stream(elementSeries), table1(k...)) {
				t.Errorf("stored %x", d.stream(elementSeries))
			}
		})
	}
}

// Another mapping than the one in use is neither adopted nor written over.
func TestConflict(t *testing.T) {
	k := newElements(1, 9)
	d := newDisk()
	s := storeOn(d.open(), testConfig(t))
	mustAppend(t, s, 0, k[:4]...)
	other := table1(k[0], k[2], k[1], k[3], k[4])
	d.put(elementSeries, other)
	_, err := s.Append(4, k[5:6])
	wantReason(t, err, qidpath.ReasonConflict)
	wantReason(t, s.Flush(), qidpath.ReasonConflict)
	if !bytes.Equal(d.stream(elementSeries), other) {
		t.Error("the other table was changed")
	}
}

func TestFull(t *testing.T) {
	d := newDisk()
	s := storeOn(d.open(), testConfig(t))
	k := newElements(1, qidpath.MaxElements+1)
	mustAppend(t, s, 0, k[:qidpath.MaxElements-1]...)
	_, err := s.Append(qidpath.MaxElements-1, k[qidpath.MaxElements-1:])
	wantReason(t, err, qidpath.ReasonFull)
	mustAppend(t, s, qidpath.MaxElements-1, k[qidpath.MaxElements-1])
	_, err = s.Append(qidpath.MaxElements, k[qidpath.MaxElements:])
	wantReason(t, err, qidpath.ReasonFull)
	if got := mustLoad(t, storeOn(d.open(), testConfig(t))); !slices.Equal(got, k[:qidpath.MaxElements]) {
		t.Errorf("%d elements stored", len(got))
	}
}

// What is not synced is not confirmed; a later append finds it.
func TestFailedSync(t *testing.T) {
	d := newDisk()
	s := storeOn(d.open(), testConfig(t))
	k := newElements(1, 2)
	d.syncErr = unix.EIO
	tail, err := s.Append(0, k[:1])
	wantReason(t, err, qidpath.ReasonIO)
	if len(tail) != 0 {
		t.Errorf("tail %v", tail)
	}
	d.syncErr = nil
	if tail := mustAppend(t, s, 0, k[1]); !slices.Equal(tail, k) {
		t.Errorf("tail %v", tail)
	}
}

func TestTooLongIsLeftAlone(t *testing.T) {
	for name, chunks := range map[string][][]byte{
		"bytes":  cutBytes(table1(newElements(1, 65536)...), 65536),
		"chunks": slices.Repeat([][]byte{{1}}, maxChunks+1),
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisk().put(elementSeries, chunks...)
			s := storeOn(&cutMedium{d.open(), 0}, testConfig(t))
			_, err := s.Load()
			if !errors.Is(err, ErrTooLong) {
				t.Errorf("error %v", err)
			}
			_, err = s.Append(0, newElements(1, 1))
			wantReason(t, err, qidpath.ReasonRejected)
		})
	}
}

// A header that is cut in two can be read, but not be committed to.
func TestHeaderCutInTwo(t *testing.T) {
	k := newElements(1, 3)
	d := newDisk().put(elementSeries, cutBytes(table1(k...), 5)...)
	s := storeOn(&cutMedium{d.open(), 0}, testConfig(t))
	if got := mustLoad(t, s); !slices.Equal(got, unproven(k)) {
		t.Errorf("loaded %v", got)
	}
	_, err := s.Append(3, newElements(2, 1))
	wantReason(t, err, qidpath.ReasonRejected)
}

// Where a damaged table cannot be kept, it is not written over.
func TestNoRoomToSetAside(t *testing.T) {
	bad := flip(table1(newElements(1, 20)...), 30)
	d := newDisk().put(elementSeries, cutBytes(bad, 50)...)
	d.maxTotal = 400
	before := len(d.attrs)
	s := storeOn(d.open(), testConfig(t))
	_, err := s.Append(0, newElements(2, 1))
	wantReason(t, err, qidpath.ReasonNoSpace)
	if !bytes.Equal(d.stream(elementSeries), bad) || len(d.attrs) != before {
		t.Errorf("%d attributes, want %d", len(d.attrs), before)
	}
}

// Load and Append say what they did about a damaged table.
func TestDamageIsLogged(t *testing.T) {
	var log bytes.Buffer
	cfg := Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	k := newElements(1, 4)
	for _, tc := range []struct {
		line   string
		chunk  []byte
		append bool
	}{
		{"qid table recovered", torn(2, k...), false},
		{"qid table rejected, setting it aside", []byte{1}, true},
	} {
		log.Reset()
		s := storeOn(newDisk().put(elementSeries, tc.chunk).open(), cfg)
		if _, err := s.Load(); err != nil != tc.append {
			t.Errorf("Load: %v", err)
		}
		if tc.append {
			mustAppend(t, s, 0, k[0])
		}
		if n := strings.Count(log.String(), tc.line); n != 1 {
			t.Errorf("%d lines %q in\n%s", n, tc.line, &log)
		}
	}
}

func TestClosedStore(t *testing.T) {
	s := openStore(t, tmpfsDir(t), testConfig(t))
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	_, err := s.Load()
	wantReason(t, err, qidpath.ReasonClosed)
	_, err = s.Append(0, newElements(1, 1))
	wantReason(t, err, qidpath.ReasonClosed)
	wantReason(t, s.Flush(), qidpath.ReasonClosed)
}

func TestOpenNeedsADirectory(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := Open(f, Config{}); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("error %v, want ENOTDIR", err)
	}
}

// All who share a table agree on which keys have prefixes: a file system has sixteen,
// whoever asked for them.
func TestPrefixesOfOneFileSystem(t *testing.T) {
	dir := tmpfsDir(t)
	a, b := openStore(t, dir, testConfig(t)), openStore(t, dir, testConfig(t))
	on := func(prefix int) qidpath.Element {
		return qidpath.Element{Key: qidpath.Key{FS: testIdentity(1), InoPrefix: uint16(prefix)}, Dev: 1}
	}
	known := 0
	for i := range qidpath.MaxPrefixesPerFS {
		s := []*Store{a, b}[i%2]
		if s == a {
			known += len(mustAppend(t, a, known, on(i)))
		} else {
			mustAppend(t, b, 0, on(i))
		}
	}
	for _, s := range []*Store{a, b, openStore(t, dir, testConfig(t))} {
		tail := mustAppend(t, s, 0, on(99), on(3), on(100))
		if len(tail) != qidpath.MaxPrefixesPerFS {
			t.Errorf("%d elements, want %d", len(tail), qidpath.MaxPrefixesPerFS)
		}
	}
	other := qidpath.Element{Key: qidpath.Key{FS: testIdentity(2)}, Dev: 2}
	if tail := mustAppend(t, b, 16, other); len(tail) != 1 {
		t.Errorf("another file system: %d elements", len(tail))
	}
}
