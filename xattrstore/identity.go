// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"fmt"

	"vhost-user-9p/qidpath"
)

const identitySize = len(qidpath.Identity{}) // bytes

// appendIdentities appends what is stored of the elements' file systems. first is
// the index of the first of them; before the index unknown, no identity means
// that it is not known, and from there on that there is none.
func appendIdentities(b []byte, elements []qidpath.Element, first, unknown int) []byte {
	for i, e := range elements {
		id := e.FS
		if e.Unproven || first+i >= unknown && id == qidpath.DeviceIdentity(e.Dev) {
			id = qidpath.Identity{}
		}
		b = append(b, id[:]...)
	}
	return b
}

// resolve returns the elements with these labels, of which the first have the
// given identities.
func resolve(labels []label, identities []byte, unknown int) []qidpath.Element {
	elements := make([]qidpath.Element, len(labels))
	for i, l := range labels {
		var id qidpath.Identity
		known := len(identities) >= identitySize
		if known {
			id, identities = qidpath.Identity(identities[:identitySize]), identities[identitySize:]
		}
		e := qidpath.Element{Key: qidpath.Key{FS: id, InoPrefix: l.inoPrefix}, Dev: l.dev}
		if id.IsZero() {
			e.FS = qidpath.DeviceIdentity(l.dev)
			e.Unproven = !known || i < unknown
		}
		elements[i] = e
	}
	return elements
}

// unique returns an error if two of the elements have the same key.
func unique(elements []qidpath.Element) error {
	seen := make(map[qidpath.Key]int, len(elements))
	for i, e := range elements {
		if j, dup := seen[e.Key]; dup {
			return fmt.Errorf("%w: elements %d and %d are both on the file system %v", ErrDuplicate, j, i, e.FS)
		}
		seen[e.Key] = i
	}
	return nil
}

// unknownEnd returns the index after the last unproven element.
func unknownEnd(elements []qidpath.Element) int {
	for i := len(elements); i > 0; i-- {
		if elements[i-1].Unproven {
			return i
		}
	}
	return 0
}
