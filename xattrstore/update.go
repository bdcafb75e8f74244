// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"errors"
	"fmt"

	"vhost-user-9p/qidpath"
)

// errReplace is that identities which are stored cannot be changed by one change.
var errReplace = errors.New("the stored identities cannot be replaced at once")

// update makes all durable in a place that has its first elements, but for some
// identities perhaps. unknown is where all has no unproven elements from.
//
// Unless it is lenient, it fails with errReplace where identities in the middle
// would have to be changed and cannot be; otherwise these are left as they are.
func (p *place) update(all []qidpath.Element, unknown int, lenient bool) (err error) {
	chunkMax := p.chunkMax
	p.fresh = false
	defer func() {
		if err != nil {
			p.chunkMax = chunkMax // no size was right; the room may come back
		}
	}()
	if err := p.setAside(); err != nil {
		return fmt.Errorf("set aside: %w", err)
	}
	if p.elements.n > 0 && len(p.elements.image[0]) < headerSize {
		return errHeaderCut
	}
	over := p.identities.n > p.elements.n
	err = p.updateIdentities(all, unknown, lenient)
	if err == nil && over {
		// On no account may a new element get the identity of one that an
		// append which was cut off has left.
		err = p.medium.sync()
	}
	if err != nil {
		return fmt.Errorf("identities: %w", err)
	}
	if n := p.elements.n; n < len(all) {
		if err := p.extend(&p.elements, n, appendElements(nil, all[n:]), 0); err != nil {
			return err
		}
	}
	if err := p.medium.sync(); err != nil {
		return err
	}
	p.fresh, p.behind = true, false
	return nil
}

// updateIdentities stores identities for all elements, of which some may not be
// stored yet.
func (p *place) updateIdentities(all []qidpath.Element, unknown int, lenient bool) error {
	st := &p.identities
	keep := min(st.n, p.elements.n) // the others belong to no element
	if keep == 0 {
		return p.extend(st, 0, appendIdentities(nil, all, 0, unknown), uint16(unknown))
	}
	if unknown <= int(st.reserved) {
		unknown = int(st.reserved)
	} else if !p.behind {
		// No identity meant that there is none, and would now mean that it is
		// not known.
		p.behind = hasZero(st.entries(keep)[min(keep, int(st.reserved))*identitySize:])
	}
	if p.behind {
		err := p.replace(st, appendIdentities(nil, all, 0, unknown), uint16(unknown))
		if err == nil || !lenient || !errors.Is(err, errReplace) {
			return err
		}
	}
	if keep == st.n && keep == len(all) && st.reserved == uint16(unknown) {
		return nil
	}
	return p.extend(st, keep, appendIdentities(nil, all[keep:], keep, unknown), uint16(unknown))
}

// hasZero reports whether one of the identities is none.
func hasZero(identities []byte) bool {
	for ; len(identities) > 0; identities = identities[identitySize:] {
		if qidpath.Identity(identities[:identitySize]).IsZero() {
			return true
		}
	}
	return false
}
