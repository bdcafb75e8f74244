// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"vhost-user-9p/qidpath"
)

// Repair sets aside what is damaged, so that a new table or new identities can be
// begun, and removes what appends that were cut off have left. If the two places
// contradict each other, it sets aside the table of the one that is not keep,
// which is PlaceXattr or PlaceFile; without keep that is an error. It returns what
// it has done, also with an error.
//
// It leaves alone what this version cannot read: newer versions, and streams that
// are too long.
func Repair(root *os.File, cfg Config, keep string) (done []string, err error) {
	s, err := Open(root, cfg)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if keep != "" && !slices.ContainsFunc(s.places, func(p *place) bool { return p.name == keep }) {
		return nil, failure("repair", fmt.Errorf("no place %q", keep))
	}
	err = s.locked("repair", func() error {
		for _, p := range s.places {
			what, err := s.repairLocked(p)
			done = append(done, what...)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
		conflict := s.readAgainLocked()
		if keep == "" || !errors.Is(conflict, errConflict) {
			return conflict
		}
		for _, p := range s.places {
			if p.name != keep && p.elements.n > 0 {
				if s.readOnly && p == s.xattrs {
					return errReadOnly
				}
				p.rejected = conflict
				if err := p.clear(); err != nil {
					return fmt.Errorf("%s: %w", p.name, err)
				}
				done = append(done, p.name+": set aside the table, which contradicts the other")
			}
		}
		return s.readAgainLocked()
	})
	return done, err
}

// repairLocked does what can be done in a place without the other.
func (s *Store) repairLocked(p *place) (done []string, err error) {
	if _, err := p.refresh(); err != nil {
		if p == s.xattrs && s.file != nil && reasonOf(err) == qidpath.ReasonUnsupported {
			return nil, nil
		}
		return nil, err
	}
	switch {
	case p.rejected == nil && p.noIdentities == nil && !p.torn():
		return nil, nil
	case s.readOnly && p == s.xattrs:
		return nil, errReadOnly
	case p.elements.n > qidpath.MaxElements:
		return nil, errFull
	}
	if p.rejected != nil {
		why := p.rejected
		if err := p.clear(); err != nil {
			return nil, err
		}
		return []string{fmt.Sprintf("%s: set aside a damaged table: %v", p.name, why)}, nil
	}
	if why := p.noIdentities; why != nil {
		all := p.table()
		if err := p.update(all, unknownEnd(all), true); err != nil {
			return nil, err
		}
		done = append(done, fmt.Sprintf("%s: set aside damaged identities: %v", p.name, why))
	}
	if p.torn() {
		if err := p.trim(); err != nil {
			return done, err
		}
		done = append(done, p.name+": removed what an append that was cut off has left")
	}
	return done, nil
}

// torn reports whether there is any surplus.
func (p *place) torn() bool {
	return p.elements.surplus() > 0 || p.identities.surplus() > 0 || p.identities.n > p.elements.n
}

// trim removes all surplus.
func (p *place) trim() error {
	p.fresh = false
	n := p.elements.n
	if p.elements.surplus() > 0 {
		if n > 0 && len(p.elements.image[0]) < headerSize {
			return errHeaderCut
		}
		if err := p.extend(&p.elements, n, nil, 0); err != nil {
			return err
		}
	}
	if st := &p.identities; st.surplus() > 0 || st.n > n {
		if err := p.extend(st, min(st.n, n), nil, st.reserved); err != nil {
			return err
		}
	}
	return p.medium.sync()
}
