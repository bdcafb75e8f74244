// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"fmt"

	"vhost-user-9p/qidpath"
)

// table is the elements that a Store has seen or stored, with indexes: no append
// goes through all of them.
type table struct {
	elements []qidpath.Element
	keys     map[qidpath.Key]int
	labels   map[label]struct{}
	perFS    map[qidpath.Identity]int
	unknown  int // no element from this index on is unproven
}

// newTable returns the table of elements, which it takes over.
func newTable(elements []qidpath.Element) (table, error) {
	t := table{
		elements: elements,
		keys:     make(map[qidpath.Key]int, len(elements)),
		labels:   make(map[label]struct{}, len(elements)),
		perFS:    make(map[qidpath.Identity]int),
		unknown:  unknownEnd(elements),
	}
	for i, e := range elements {
		if j, dup := t.keys[e.Key]; dup {
			return table{}, fmt.Errorf("%w: elements %d and %d are both on the file system %v", errConflict, j, i, e.FS)
		}
		t.index(i, e)
	}
	return t, nil
}

func (t *table) index(i int, e qidpath.Element) {
	t.keys[e.Key] = i
	t.labels[labelOf(e)] = struct{}{}
	t.perFS[e.FS]++
}

// identify makes all, in which only the element i is on another file system, the
// table's elements.
func (t *table) identify(i int, all []qidpath.Element) {
	before := t.elements[i].Key
	delete(t.keys, before)
	t.perFS[before.FS]--
	t.index(i, all[i])
	t.elements, t.unknown = all, unknownEnd(all)
}

// merge returns the table of t's elements and those found, which begin alike. An
// element that is unproven in one of them may be proven in another.
func (t *table) merge(found ...[]qidpath.Element) (table, error) {
	longest := len(t.elements)
	for _, f := range found {
		longest = max(longest, len(f))
	}
	all := append(make([]qidpath.Element, 0, longest), t.elements...)
	for _, f := range found {
		for i, e := range f {
			if i == len(all) {
				all = append(all, f[i:]...)
				break
			}
			both, ok := unify(all[i], e)
			if !ok {
				return table{}, fmt.Errorf("%w: element %d is of the file system %v (label %#x, %#x) and of %v (label %#x, %#x)",
					errConflict, i, all[i].FS, all[i].Dev, all[i].InoPrefix, e.FS, e.Dev, e.InoPrefix)
			}
			all[i] = both
		}
	}
	return newTable(all)
}

// unify returns what two records of one element say together, unless they
// contradict each other.
func unify(a, b qidpath.Element) (_ qidpath.Element, ok bool) {
	switch {
	case labelOf(a) != labelOf(b):
		return a, false
	case b.Unproven:
		return a, true
	case a.Unproven:
		return b, true
	}
	return a, a.FS == b.FS
}

// fresh returns those of elements whose keys the table does not have, and whose file
// systems have not all the prefixes that they may have: each once and with the label
// that it gets.
func (t *table) fresh(elements []qidpath.Element) []qidpath.Element {
	var fresh []qidpath.Element
	keys := make(map[qidpath.Key]struct{}, len(elements))
	labels := make(map[label]struct{}, len(elements))
	perFS := make(map[qidpath.Identity]int)
	taken := func(l label) bool {
		_, before := t.labels[l]
		_, now := labels[l]
		return before || now
	}
	for _, e := range elements {
		if _, ok := t.keys[e.Key]; ok {
			continue
		}
		if _, ok := keys[e.Key]; ok || t.perFS[e.FS]+perFS[e.FS] >= qidpath.MaxPrefixesPerFS {
			continue
		}
		e.Unproven = false
		// The first label is the device number; the others have a bit that no
		// device number has.
		for n := uint64(len(t.elements) + len(fresh)); taken(labelOf(e)); n += maxParsed + 1 {
			e.Dev = 1<<63 | n
		}
		keys[e.Key] = struct{}{}
		labels[labelOf(e)] = struct{}{}
		perFS[e.FS]++
		fresh = append(fresh, e)
	}
	return fresh
}

// add appends what fresh returned.
func (t *table) add(fresh []qidpath.Element) {
	for _, e := range fresh {
		t.index(len(t.elements), e)
		t.elements = append(t.elements, e)
	}
}
