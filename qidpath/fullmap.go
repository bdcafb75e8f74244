// SPDX-License-Identifier: Apache-2.0

package qidpath

import (
	"errors"
	"fmt"
	"time"
)

// spaceLocked returns the number that stands for a file system in the full map
// in memory. It reports false if there are too many.
func (t *Table) spaceLocked(fs Identity) (uint16, bool) {
	space, ok := t.spaces[fs]
	if !ok && len(t.spaces) < 1<<16 {
		space, ok = uint16(len(t.spaces)), true
		t.spaces[fs] = space
	}
	return space, ok
}

// numberLocked takes over a number that was stored. A file that has one keeps it.
func (t *Table) numberLocked(f File, n uint64) {
	space, ok := t.spaceLocked(f.FS)
	if !ok || t.numbers.get(space, f.Ino) != 0 {
		return
	}
	if t.counters.numbers.Load() < MaxNumbers {
		t.numbers.put(space, f.Ino, n)
		t.counters.numbers.Add(1)
	}
}

// giveNumberLocked returns the number of a file whose key has the slot s, 0 if
// there is none left. It may be unsettled.
func (t *Table) giveNumberLocked(f File, s slot) uint64 {
	if n := t.numbers.get(s.space(), f.Ino); n != 0 {
		return n // what was said once stays, whatever others have stored since
	}
	pending := File{FS: f.FS, Ino: f.Ino}
	if n := t.unsettled[pending]; n != 0 {
		return n
	}
	if t.counters.numbers.Load()+t.counters.unsettled.Load() >= MaxNumbers {
		t.numbersFullLocked()
		return 0
	}
	if s&slotVolatile == 0 {
		err := t.loadNumbersLocked()
		if n := t.numbers.get(s.space(), f.Ino); n != 0 {
			return n
		}
		var n uint64
		if err == nil {
			n, err = t.appendNumberLocked(f)
		}
		if err == nil {
			t.unsettleLocked(pending, n)
			return n
		}
		t.storeFailedLocked(err)
	}
	n := t.nextVolatileNo
	t.nextVolatileNo--
	t.numbers.put(s.space(), f.Ino, n)
	t.counters.numbers.Add(1)
	t.counters.volatileNumbers.Add(1)
	return n
}

// appendNumberLocked stores a number for f. What others have stored meanwhile
// may be in use from then on, but only once it is settled, too.
func (t *Table) appendNumberLocked(f File) (n uint64, err error) {
	switch {
	case t.closed:
		return 0, errClosed("append")
	case t.fullMap == nil:
		return 0, &StoreError{"append", ReasonUnsupported, errors.New("there is no place for numbers of single files")}
	}
	err = t.timed(func() (err error) {
		n, err = t.fullMap.Append(f, func(other File, n uint64) {
			other.Dev = 0
			t.unsettleLocked(other, n)
		})
		return err
	})
	if err == nil && (n == 0 || n >= t.nextVolatileNo) {
		err = &StoreError{"append", ReasonConflict, fmt.Errorf("the number %d is a volatile one", n)}
	}
	return n, err
}

// unsettleLocked takes over a number that is not durable yet.
func (t *Table) unsettleLocked(f File, n uint64) {
	t.unsettled[f] = n
	t.counters.unsettled.Store(int64(len(t.unsettled)))
}

// loadNumbersLocked takes over what the full map has, if that has not succeeded yet.
// There may be millions, so after a failure it is not tried again for a while.
func (t *Table) loadNumbersLocked() error {
	if t.fullMap == nil || t.numbersLoaded {
		return nil
	}
	if time.Now().Before(t.loadNumbersAfter) {
		return t.numbersErr
	}
	t.numbersErr = t.timed(func() error { return t.fullMap.Load(t.numberLocked) })
	t.numbersLoaded = t.numbersErr == nil
	t.loadNumbersAfter = time.Now().Add(loadNumbersPause)
	return t.numbersErr
}

const loadNumbersPause = 10 * time.Second

// Settle returns when all paths that PathUnsettled has returned may be shown.
func (t *Table) Settle() {
	if t.counters.unsettled.Load() == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settleLocked()
}

// settleLocked makes unsettled numbers durable, those of other goroutines too. If
// that fails they stay what they are in this run: a FullMap never gives them to
// other files, but perhaps others to these, in the next.
func (t *Table) settleLocked() {
	if len(t.unsettled) == 0 {
		return
	}
	err := t.timed(t.fullMap.Sync)
	if err != nil {
		t.counters.volatileNumbers.Add(int64(len(t.unsettled)))
		t.storeFailedLocked(err)
	} else {
		t.storedLocked()
	}
	for f, n := range t.unsettled {
		t.numberLocked(f, n)
	}
	clear(t.unsettled)
	t.counters.unsettled.Store(0)
}

// numbersFullLocked says once that no number is left.
func (t *Table) numbersFullLocked() {
	if !t.warnedNumbers {
		t.warnedNumbers = true
		t.logger.Error("too many files are numbered one by one, others cannot be used",
			"numbers", t.counters.numbers.Load(), "max_numbers", MaxNumbers)
	}
}
