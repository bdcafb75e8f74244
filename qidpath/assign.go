// SPDX-License-Identifier: Apache-2.0

package qidpath

import (
	"errors"
	"fmt"
)

const (
	maxPrefix = 1<<16 - 1

	// A warning is due while there is still time to do something about it.
	nearlyFull = MaxElements * 9 / 10
)

// slot says how the files of a key get their paths, for the life of a Table: a
// value from 1 to maxPrefix is their prefix; above, they are in the full map. 0
// is none.
type slot uint64

const (
	slotFull     slot = 1 << 16 // and the space
	slotVolatile slot = 1 << 40 // with slotFull: the numbers are volatile
)

func (s slot) space() uint16 { return uint16(s) }

// assignLocked gives key, which has none, its slot. It returns 0 if nothing is left.
func (t *Table) assignLocked(key Key, dev uint64) slot {
	if s := t.proveLocked(key, dev); s != 0 {
		return s
	}
	if t.fullLocked(key.FS) {
		return t.fullSlotLocked(key, 0)
	}
	var err error
	e := Element{Key: key, Dev: dev}
	if t.store == nil {
		err = t.adoptLocked("append", []Element{e})
	} else {
		err = t.appendLocked(e)
	}
	if s := t.slots[key]; s != 0 {
		return s
	}
	if t.fullLocked(key.FS) { // by others, meanwhile
		return t.fullSlotLocked(key, 0)
	}
	t.storeFailedLocked(err)
	if p := t.nextVolatile; t.layout.holds(p) && p > uint64(max(t.known, MaxElements)) {
		t.nextVolatile--
		t.slots[key] = slot(p)
		t.counters.volatile.Add(1)
		return slot(p)
	}
	t.counters.volatile.Add(1)
	return t.fullSlotLocked(key, slotVolatile)
}

// fullLocked reports whether no element may be added for a file system.
func (t *Table) fullLocked(fs Identity) bool {
	return t.known >= MaxElements || t.perFS[fs] >= MaxPrefixesPerFS
}

// fullSlotLocked gives key a slot in the full map.
func (t *Table) fullSlotLocked(key Key, flags slot) slot {
	space, ok := t.spaceLocked(key.FS)
	if !ok {
		return 0
	}
	s := slotFull | slot(space) | flags
	t.slots[key] = s
	return s
}

// proveLocked gives key the prefix of an unproven element whose number dev is,
// if there is one.
func (t *Table) proveLocked(key Key, dev uint64) slot {
	old := Key{DeviceIdentity(dev), key.InoPrefix}
	i, ok := t.unproven[old]
	if !ok || old == key {
		return 0
	}
	err := t.timed(func() error { return t.store.Identify(i, key.FS) })
	switch {
	case err == nil:
		t.storedLocked()
	case ReasonOf(err) == ReasonConflict: // another daemon knows better
		t.learnLocked()
		return t.slots[key]
	default: // it stays unproven, and what was seen is the same in the next run
		t.storeFailedLocked(err)
	}
	t.identifyLocked(old, Element{Key: key, Dev: dev})
	return t.slots[key]
}

// identifyLocked gives the slot of an unproven element, whose key was old, to what
// it has turned out to be.
func (t *Table) identifyLocked(old Key, e Element) {
	if t.slots[e.Key] == 0 {
		t.slots[e.Key] = t.slots[old]
	}
	delete(t.unproven, old)
	delete(t.slots, old)
	t.perFS[old.FS]--
	t.perFS[e.FS]++
	t.labels[choice{e.Dev, e.FS}] = struct{}{}
}

// learnLocked takes over what other daemons have proven.
func (t *Table) learnLocked() {
	var elements []Element
	err := t.timed(func() (err error) {
		elements, err = t.store.Load()
		return err
	})
	if err != nil {
		t.storeFailedLocked(err)
		return
	}
	for old, i := range t.unproven {
		if i < len(elements) && !elements[i].Unproven {
			t.identifyLocked(old, elements[i])
		}
	}
}

// appendLocked stores e and adopts what the store then holds. It has failed
// only if e's key has no slot, and may have one, afterwards; the error then says
// why.
func (t *Table) appendLocked(e Element) error {
	if t.closed {
		return errClosed("append")
	}
	var tail []Element
	err := t.timed(func() (err error) {
		tail, err = t.store.Append(t.known, []Element{e})
		return err
	})
	if adoptErr := t.adoptLocked("append", tail); adoptErr != nil {
		return adoptErr
	}
	if err == nil && t.slots[e.Key] == 0 && len(t.unproven) > 0 {
		t.learnLocked() // one of them is e
	}
	if t.slots[e.Key] != 0 || err == nil && t.fullLocked(e.FS) {
		t.storedLocked()
		return nil
	}
	if err == nil {
		err = &StoreError{"append", ReasonIO, errors.New("the store did not return the new element")}
	}
	return err
}

// adoptLocked takes over the elements after the known ones: all or, with an
// error, none. A key that is volatile keeps what it has for the life of the
// table; its element's prefix stays unused.
func (t *Table) adoptLocked(op string, elements []Element) error {
	if uint64(t.known+len(elements)) > t.nextVolatile {
		return &StoreError{op, ReasonConflict, fmt.Errorf("%d elements reach into the volatile prefixes", t.known+len(elements))}
	}
	seen := make(map[Key]struct{}, len(elements))
	for _, e := range elements {
		if s := t.slots[e.Key]; s != 0 && s <= slot(t.known) {
			return &StoreError{op, ReasonConflict, fmt.Errorf("element %d again: file system %v, inode prefix %#x", s-1, e.FS, e.InoPrefix)}
		}
		if _, dup := seen[e.Key]; dup {
			return &StoreError{op, ReasonConflict, fmt.Errorf("two elements: file system %v, inode prefix %#x", e.FS, e.InoPrefix)}
		}
		seen[e.Key] = struct{}{}
	}
	for _, e := range elements {
		t.adoptOneLocked(e)
	}
	t.counters.entries.Store(int64(t.known))
	t.warnLocked()
	return nil
}

func (t *Table) adoptOneLocked(e Element) {
	t.known++
	t.perFS[e.FS]++
	t.labels[choice{e.Dev, e.FS}] = struct{}{}
	if t.slots[e.Key] != 0 {
		return
	}
	if !t.layout.holds(uint64(t.known)) {
		t.fullSlotLocked(e.Key, 0)
		return
	}
	t.slots[e.Key] = slot(t.known)
	if e.Unproven {
		t.unproven[e.Key] = t.known - 1
	}
}

// warnLocked says once when the table is nearly full and once when it is full.
func (t *Table) warnLocked() {
	if t.known >= nearlyFull && !t.warnedNear {
		t.warnedNear = true
		t.logger.Warn("qid table nearly full", "entries", t.known, "max_entries", MaxElements)
	}
	if t.known >= MaxElements && !t.warnedFull {
		t.warnedFull = true
		t.logger.Warn("qid table full, the files of new file systems are numbered one by one",
			"entries", t.known, "max_entries", MaxElements)
	}
}
