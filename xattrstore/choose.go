// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
)

// refreshLocked reads the places and takes over what they hold. Less than what
// has been seen so far is no error.
func (s *Store) refreshLocked() (err error) {
	defer func() {
		if err != nil {
			s.staleLocked() // so that the next operation comes to this again
		}
	}()
	changed := false
	for _, p := range s.places {
		if p == s.xattrs && s.mode == ModeFile && s.file.elements.n > 0 {
			p.forget()
			continue
		}
		wasUnusable := p.unusable != nil
		c, err := p.refresh()
		if err != nil {
			// Attributes that cannot be read just now may hold a table.
			if p != s.xattrs || s.file == nil || reasonOf(err) != qidpath.ReasonUnsupported {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			p.forget()
			p.unusable = err
			c = !wasUnusable
		}
		changed = changed || c
	}
	if changed {
		return s.adoptLocked()
	}
	return nil
}

// adoptLocked takes over what was read, unless the places contradict each other
// or what has been seen so far, and decides which place has the table.
func (s *Store) adoptLocked() error {
	found := make([][]qidpath.Element, len(s.places))
	for i, p := range s.places {
		found[i] = p.table()
	}
	have, err := s.have.merge(found...)
	if err != nil {
		return err
	}
	s.have = have
	s.winner = nil
	for i, p := range s.places {
		p.compare(found[i], &s.have)
		if p.elements.n > 0 && (s.winner == nil || !less(p, s.winner)) {
			s.winner = p
		}
	}
	s.current.Store(s.winner)
	return nil
}

// staleLocked makes the next operation read everything.
func (s *Store) staleLocked() {
	for _, p := range s.places {
		p.fresh = false
	}
}

// readAgainLocked is refreshLocked, but reads everything.
func (s *Store) readAgainLocked() error {
	s.staleLocked()
	return s.refreshLocked()
}

// less reports whether p has less of the table than other.
func less(p, other *place) bool {
	if p.elements.n != other.elements.n {
		return p.elements.n < other.elements.n
	}
	return p.proven < other.proven
}

// storedLocked returns how many elements are stored.
func (s *Store) storedLocked() int {
	if s.winner == nil {
		return 0
	}
	return s.winner.elements.n
}

// damageLocked returns why a table that is damaged cannot be loaded. The root's
// attributes may be as they are when there is one in the file.
func (s *Store) damageLocked() error {
	for _, p := range s.places {
		if p.rejected != nil && (p != s.xattrs || s.file == nil || s.winner != s.file) {
			return fmt.Errorf("%s: %w", p.name, p.rejected)
		}
	}
	return nil
}

// targetLocked returns where to write, or nil if that is nowhere.
func (s *Store) targetLocked() *place {
	switch {
	case s.file == nil && s.readOnly:
		return nil
	case s.file == nil:
		return s.xattrs
	case s.readOnly, s.mode == ModeFile, s.xattrs.unusable != nil:
		return s.file
	case s.winner != nil:
		return s.winner
	}
	return s.xattrs
}

// writeLocked makes all durable in target or, if it does not fit there, in the
// file.
func (s *Store) writeLocked(target *place, all []qidpath.Element, unknown int) error {
	err := s.proveLocked(target, all, unknown)
	if !errors.Is(err, errReplace) {
		return err
	}
	s.logger.Error("qid table lost identities of file systems, and has no room to store them again", "place", target.name, "error", err)
	if err = target.update(all, unknown, true); err == nil {
		s.storedInLocked(target)
	}
	return err
}

// proveLocked is writeLocked for when all identities must be stored.
func (s *Store) proveLocked(target *place, all []qidpath.Element, unknown int) error {
	for _, p := range s.places {
		if p.rejected == nil || p != target && p != s.file {
			continue
		}
		s.logger.Error("qid table rejected, setting it aside and beginning a new one", "place", p.name, "error", p.rejected)
		if p != target {
			if err := p.clear(); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	err := target.update(all, unknown, false)
	why := s.xattrs.unusable
	switch {
	case err == nil && why != nil && s.winner == nil && s.mode == ModeAuto:
		s.logMove(why)
	case err != nil && target == s.xattrs && s.file != nil && needsFile(err):
		if fileErr := s.file.update(all, unknown, false); fileErr != nil {
			return fmt.Errorf("%w, and %s: %w", err, s.file.name, fileErr)
		}
		s.logMove(err)
		target = s.file
	case err != nil:
		return fmt.Errorf("%s: %w", target.name, err)
	}
	s.storedInLocked(target)
	return nil
}

func (s *Store) logMove(why error) {
	s.logger.Warn("qid table is in the state directory from now on, the export cannot hold it",
		"entries", s.file.elements.n, "error", why)
}

// storedInLocked notes that p has the table.
func (s *Store) storedInLocked(p *place) {
	s.winner = p
	s.current.Store(p)
}

// syncLocked makes what is stored durable. On a read-only mount it is.
func (s *Store) syncLocked() error {
	if s.winner == nil {
		return nil
	}
	err := s.winner.medium.sync()
	if s.readOnly && s.winner == s.xattrs && errors.Is(err, unix.EROFS) {
		return nil
	}
	return err
}
