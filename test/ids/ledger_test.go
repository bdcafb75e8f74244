// SPDX-License-Identifier: Apache-2.0

//go:build boot

package ids

import (
	"maps"
	"strconv"
	"strings"
	"testing"
)

// ledger is what guests have been told: which ID each file has.
type ledger struct {
	t      *testing.T
	ids    map[string]uint64 // by path
	owners map[uint64]string // paths, by ID
	gone   map[uint64]bool   // IDs of files that are not there any more
	wrong  int
}

func newLedger(t *testing.T) *ledger {
	return &ledger{t: t, ids: map[string]uint64{}, owners: map[uint64]string{}, gone: map[uint64]bool{}}
}

// tellings calls f for each line "id NUMBER PATH" that a guest has written as a whole.
func tellings(t *testing.T, output string, f func(path string, id uint64)) {
	t.Helper()
	for line := range strings.Lines(output) {
		telling, ok := strings.CutPrefix(line, "id ")
		if !ok || !strings.HasSuffix(line, "\n") {
			continue
		}
		number, path, _ := strings.Cut(strings.TrimSuffix(telling, "\n"), " ")
		id, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		f(path, id)
	}
}

// enter holds what a guest has written against all that was told before, and adds it. A
// file has the ID that it had, and no other file has had that. It returns how many files
// there are.
func (l *ledger) enter(when, output string) int {
	l.t.Helper()
	listed := map[string]bool{}
	tellings(l.t, output, func(path string, id uint64) {
		l.t.Helper()
		listed[path] = true
		if before, ok := l.ids[path]; ok && before != id {
			l.problem("%s: %s has the ID %#x, it had %#x", when, path, id, before)
		}
		if other, ok := l.owners[id]; ok && other != path && !l.gone[id] {
			l.problem("%s: %s has the ID %#x of %s", when, path, id, other)
		}
		l.ids[path], l.owners[id] = id, path
		delete(l.gone, id)
	})
	return len(listed)
}

// whole is enter for what a guest has written that listed everything: of what has been
// told of nothing is missing.
func (l *ledger) whole(when, output string) {
	l.t.Helper()
	missing := maps.Clone(l.ids)
	tellings(l.t, output, func(path string, _ uint64) { delete(missing, path) })
	for path := range missing {
		l.problem("%s: %s is missing", when, path)
	}
	if n := l.enter(when, output); n < 60 {
		l.t.Errorf("%s: only %d files were listed", when, n)
	}
}

// forget gives up files for which passing is true: they are not there any more, and files
// that are no more than such a one either may have their IDs. The others' IDs stay taken.
func (l *ledger) forget(passing func(path string) bool) {
	for path, id := range l.ids {
		if passing(path) {
			delete(l.ids, path)
			l.gone[id] = true
		}
	}
}

// problem is Errorf for what may be wrong with many files.
func (l *ledger) problem(format string, args ...any) {
	l.t.Helper()
	if l.wrong++; l.wrong <= 8 {
		l.t.Errorf(format, args...)
	}
}
