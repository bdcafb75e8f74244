// SPDX-License-Identifier: Apache-2.0

package qidpath_test

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
)

var (
	idA = qidpath.Identity{0xa, 1}
	idB = qidpath.Identity{0xb, 1}
)

// reloaded returns a new table with what store has.
func reloaded(t *testing.T, store *memStore) *qidpath.Table {
	t.Helper()
	table := newTable(t, store)
	if err := table.Load(); err != nil {
		t.Fatal(err)
	}
	return table
}

func TestUnknownDevice(t *testing.T) {
	table := newTable(t, &memStore{})
	if _, err := table.Path(1, 1); !errors.Is(err, qidpath.ErrUnknownDevice) {
		t.Fatalf("error %v", err)
	}
	table.Bind(1, idA, nil)
	wantPath(t, table, 1, 1, 1<<48|1)
	if _, err := table.Path(2, 1); !errors.Is(err, qidpath.ErrUnknownDevice) {
		t.Errorf("another device: error %v", err)
	}
	table.Forget()
	if _, err := table.Path(1, 1); !errors.Is(err, qidpath.ErrUnknownDevice) {
		t.Errorf("after Forget: error %v", err)
	}
	table.Bind(1, idA, nil)
	wantPath(t, table, 1, 1, 1<<48|1)
}

// File systems change their numbers between runs: each keeps its files' paths, and
// one that takes over a number inherits nothing.
func TestNumbersChangeBetweenRuns(t *testing.T) {
	store := &memStore{}
	table := newTable(t, store)
	table.Bind(10, idA, nil)
	table.Bind(11, idB, nil)
	wantPath(t, table, 10, 5, 1<<48|5)
	wantPath(t, table, 11, 5, 2<<48|5)
	wantPath(t, table, 12, 5, 3<<48|5) // without identity

	table = reloaded(t, store)
	table.Bind(11, idA, nil)
	table.Bind(12, idB, nil)
	wantPath(t, table, 11, 5, 1<<48|5)
	wantPath(t, table, 12, 5, 2<<48|5)
	wantPath(t, table, 10, 5, 4<<48|5) // another one without

	table = reloaded(t, store)
	wantPath(t, table, 12, 5, 3<<48|5)
	wantPath(t, table, 10, 5, 4<<48|5)
	wantPath(t, table, 11, 5, 5<<48|5)
}

// The same while the daemon runs.
func TestNumbersChangeWithinARun(t *testing.T) {
	table := newTable(t, &memStore{})
	table.Bind(10, idA, nil)
	wantPath(t, table, 10, 5, 1<<48|5)
	table.Forget()
	table.Bind(10, idB, nil)
	wantPath(t, table, 10, 5, 2<<48|5)
	table.Bind(11, idA, nil)
	wantPath(t, table, 11, 5, 1<<48|5)
}

// Two copies of one file system are distinct, and the one that was there first,
// under its number, keeps its paths.
func TestCopies(t *testing.T) {
	store := &memStore{}
	table := newTable(t, store)
	table.Bind(10, idA, nil)
	wantPath(t, table, 10, 5, 1<<48|5)
	table.Bind(11, idA, []uint64{10})
	wantPath(t, table, 11, 5, 2<<48|5)

	// Whichever comes first.
	table = reloaded(t, store)
	table.Bind(11, idA, []uint64{10})
	wantPath(t, table, 11, 5, 2<<48|5)
	table.Bind(10, idA, []uint64{11})
	wantPath(t, table, 10, 5, 1<<48|5)

	// What was said once stays, also when the other has gone.
	table.Forget()
	table.Bind(11, idA, nil)
	wantPath(t, table, 11, 5, 2<<48|5)

	// Alone, under any number, it is the one that was seen.
	table = reloaded(t, store)
	table.Bind(33, idA, nil)
	wantPath(t, table, 33, 5, 1<<48|5)
	table.Bind(10, idA, []uint64{33}) // the number says so, but it is in use
	wantPath(t, table, 10, 5, 3<<48|5)
}

func TestCopiesOfWhatWasNeverSeen(t *testing.T) {
	store := &memStore{}
	table := newTable(t, store)
	table.Bind(10, idA, []uint64{11})
	table.Bind(11, idA, []uint64{10})
	wantPath(t, table, 10, 5, 1<<48|5)
	wantPath(t, table, 11, 5, 2<<48|5)
	table = reloaded(t, store)
	table.Bind(11, idA, []uint64{10})
	table.Bind(10, idA, []uint64{11})
	wantPath(t, table, 11, 5, 2<<48|5)
	wantPath(t, table, 10, 5, 1<<48|5)
}

// unproven returns what a version without identities has stored.
func unproven(dev uint64) qidpath.Element {
	e := plain(dev, 0)
	e.Unproven = true
	return e
}

// A table without identities keeps its prefixes: who has the number first is meant.
func TestUnprovenElements(t *testing.T) {
	store := &memStore{elements: []qidpath.Element{unproven(10), unproven(11), unproven(12)}}
	table := reloaded(t, store)
	table.Bind(11, idB, nil)
	wantPath(t, table, 11, 5, 2<<48|5)
	wantPath(t, table, 12, 5, 3<<48|5) // has none
	if store.elements[1] != identified(idB, 11, 0) {
		t.Errorf("stored as %+v", store.elements[1])
	}

	table = reloaded(t, store)
	table.Bind(10, idB, nil)
	wantPath(t, table, 10, 5, 2<<48|5)
	table.Bind(20, idA, nil)
	wantPath(t, table, 20, 5, 4<<48|5)
	table.Forget()
	table.Bind(10, idA, nil) // has a prefix already
	wantPath(t, table, 10, 5, 4<<48|5)
}

// What cannot be stored is so at least in this run, and unproven in the next.
func TestUnprovenElementThatCannotBeStored(t *testing.T) {
	store := &memStore{elements: []qidpath.Element{unproven(10)}}
	table := reloaded(t, store)
	store.fail = errFake
	table.Bind(10, idA, nil)
	wantPath(t, table, 10, 5, 1<<48|5)
	table.Forget()
	table.Bind(44, idA, nil)
	wantPath(t, table, 44, 5, 1<<48|5)
	if s := table.Stats(); s.Volatile != 0 || s.StoreFailures[qidpath.ReasonNoSpace] != 1 || !s.Degraded {
		t.Errorf("stats %+v", s)
	}
}

// Two daemons see different file systems under one number.
func TestUnprovenElementThatAnotherDaemonProved(t *testing.T) {
	store := &memStore{elements: []qidpath.Element{unproven(10)}}
	a, b := reloaded(t, store), reloaded(t, store)
	a.Bind(10, idA, nil)
	b.Bind(10, idB, nil)
	wantPath(t, a, 10, 5, 1<<48|5)
	wantPath(t, b, 10, 5, 2<<48|5)
	b.Bind(77, idA, nil)
	wantPath(t, b, 77, 5, 1<<48|5)
	wantPath(t, b, 10, 6, 2<<48|6)

	// And where the other one's comes up first.
	store = &memStore{elements: []qidpath.Element{unproven(10)}}
	a, b = reloaded(t, store), reloaded(t, store)
	a.Bind(10, idA, nil)
	wantPath(t, a, 10, 5, 1<<48|5)
	b.Bind(77, idA, nil)
	wantPath(t, b, 77, 5, 1<<48|5)
	b.Bind(10, idB, nil)
	wantPath(t, b, 10, 5, 2<<48|5)
}

func TestIdentityText(t *testing.T) {
	for want, id := range map[string]qidpath.Identity{
		"none":                             {},
		"device 8:1":                       qidpath.DeviceIdentity(0x801),
		"device 4097:1048575":              qidpath.DeviceIdentity(unix.Mkdev(4097, 1<<20-1)),
		"0a010000000000000000000000000000": idA,
	} {
		if got := id.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if dev, ok := qidpath.DeviceIdentity(77).Device(); !ok || dev != 77 {
		t.Errorf("device %d, %v", dev, ok)
	}
	if _, ok := idA.Device(); ok {
		t.Error("a UUID is taken for a device number")
	}
}
