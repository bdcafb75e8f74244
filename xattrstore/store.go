// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
	"vhost-user-9p/xattrstore/rootlock"
)

// Config configures a Store. The zero value is a Store in the root's attributes.
type Config struct {
	// ReadOnly keeps the Store from writing anything to the export. It still
	// finds what others store there, and writes to the file, if it may have one.
	ReadOnly bool

	// Mode says in which places the table may be. If not set, ModeAuto.
	Mode Mode

	// StateDir, an open directory, is where the file is. All daemons of an
	// export share one. If not set there is no file, and ModeAuto is as
	// ModeXattr. It stays the caller's, and may be closed.
	StateDir *os.File

	// Identity is that of the file system the root is on, if it has one, which
	// no other has now. It names the file, with StateName.
	Identity qidpath.Identity

	// Logger, if not set, is slog.Default(). Errors are returned and not
	// logged; what is done about a damaged table is.
	Logger *slog.Logger
}

// Store is a qidpath.Store of one directory, the root of an export. Its errors
// are *qidpath.StoreError.
type Store struct {
	readOnly bool
	mode     Mode
	logger   *slog.Logger
	written  atomic.Uint64 // bytes
	current  atomic.Pointer[place]

	mu     sync.Mutex
	closed bool
	lock   locker

	xattrs *place
	file   *place // nil: there must be none
	places []*place
	winner *place // the one that has the table, or nil
	have   table
}

var _ qidpath.Store = (*Store)(nil)

// Open returns the Store of the directory root. It opens the directory itself
// once more: root stays the caller's, and may be closed. Nothing is read yet.
func Open(root *os.File, cfg Config) (*Store, error) {
	m, err := openRoot(root)
	if err != nil {
		return nil, failure("open", err)
	}
	file, err := openFile(m.dir, cfg)
	if err != nil {
		m.close()
		return nil, failure("open", err)
	}
	dirs := []*os.File{root}
	if file != nil {
		dirs = append(dirs, cfg.StateDir)
	}
	lock, err := rootlock.Open(dirs...)
	if err != nil {
		m.close()
		if file != nil {
			file.close()
		}
		return nil, failure("open", err)
	}
	return newStore(lock, m, file, cfg), nil
}

// openFile returns the medium in the state directory, or nil if there is to be
// none.
func openFile(root *os.File, cfg Config) (medium, error) {
	switch {
	case cfg.Mode == ModeXattr:
		return nil, nil
	case cfg.StateDir == nil && cfg.Mode == ModeFile:
		return nil, errors.New("no state directory")
	case cfg.StateDir == nil:
		return nil, nil
	}
	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstat(int(root.Fd()), &st) }); err != nil {
		return nil, err
	}
	dir, err := rootlock.Reopen(cfg.StateDir)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	return &fileMedium{dir: stateDir{dir}, name: StateName(cfg.Identity, st.Dev, st.Ino) + fileSuffix}, nil
}

func newStore(l locker, xattrs, file medium, cfg Config) *Store {
	s := &Store{
		readOnly: cfg.ReadOnly,
		mode:     cfg.Mode,
		logger:   cfg.Logger,
		lock:     l,
	}
	if s.logger == nil {
		s.logger = slog.Default()
	}
	s.xattrs = newPlace(PlaceXattr, xattrs, s.logger, &s.written)
	s.places = []*place{s.xattrs}
	if file != nil {
		s.file = newPlace(PlaceFile, file, s.logger, &s.written)
		s.places = []*place{s.file, s.xattrs}
	}
	return s
}

// Load implements qidpath.Store.
func (s *Store) Load() (elements []qidpath.Element, err error) {
	err = s.locked("load", func() error {
		if err := s.readAgainLocked(); err != nil {
			return err
		}
		if err := s.damageLocked(); err != nil {
			return err
		}
		// A daemon may have been killed between its commit and its sync. If this
		// sync fails, the table is still the best there is.
		if err := s.syncLocked(); err != nil {
			s.logger.Warn("qid table loaded but not synced", "error", err)
		}
		elements = slices.Clone(s.have.elements[:s.storedLocked()])
		return nil
	})
	return elements, err
}

// Append implements qidpath.Store. Without elements it makes sure that those
// seen so far are stored.
func (s *Store) Append(known int, elements []qidpath.Element) ([]qidpath.Element, error) {
	return s.append("append", known, elements)
}

// Identify implements qidpath.Store.
func (s *Store) Identify(i int, fs qidpath.Identity) error {
	return s.locked("identify", func() error { return s.identifyLocked(i, fs) })
}

// Flush implements qidpath.Store. What has vanished is stored again.
func (s *Store) Flush() error {
	_, err := s.append("flush", 0, nil)
	return err
}

// Place returns where the table was when it was last read or written: PlaceXattr,
// PlaceFile, or nothing if there is none yet.
func (s *Store) Place() string {
	if p := s.current.Load(); p != nil {
		return p.name
	}
	return ""
}

// BytesWritten returns how many bytes of values have been written.
func (s *Store) BytesWritten() uint64 { return s.written.Load() }

// Close implements qidpath.Store. Closing again does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	err := s.lock.Close()
	for _, p := range s.places {
		err = errors.Join(err, p.medium.close())
	}
	return failure("close", err)
}

// locked runs f under both locks and gives its error a reason.
func (s *Store) locked(op string, f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return failure(op, os.ErrClosed)
	}
	if err := s.lock.Lock(); err != nil {
		return failure(op, err)
	}
	defer func() {
		if err := s.lock.Unlock(); err != nil {
			s.logger.Error("qid table not unlocked", "error", err)
		}
	}()
	return failure(op, f())
}

// append brings the stored table up to date and returns its elements after the
// known ones.
func (s *Store) append(op string, known int, elements []qidpath.Element) (tail []qidpath.Element, err error) {
	err = s.locked(op, func() error {
		if known > len(s.have.elements) {
			return fmt.Errorf("%d elements known, %d seen", known, len(s.have.elements))
		}
		stored, wrote, err := s.storeLocked(elements)
		if err != nil && stored <= known {
			return err
		}
		// Whatever became of the new ones: others' elements may not be synced
		// yet, and none may be used before they are.
		if !wrote {
			if syncErr := s.syncLocked(); syncErr != nil {
				return errors.Join(err, syncErr)
			}
		}
		tail = slices.Clone(s.have.elements[min(known, stored):stored])
		return err
	})
	return tail, err
}

// storeLocked adopts what others stored, and stores what is missing. It returns
// how many of the elements seen are stored then, and whether it wrote, and so
// synced, them.
func (s *Store) storeLocked(elements []qidpath.Element) (stored int, wrote bool, err error) {
	if err := s.refreshLocked(); err != nil {
		return 0, false, err
	}
	stored = s.storedLocked()
	seen := len(s.have.elements)
	fresh := s.have.fresh(elements)
	target := s.targetLocked()
	behind := s.winner != nil && s.winner.behind && target != nil && seen <= qidpath.MaxElements
	switch {
	case seen == stored && len(fresh) == 0 && !behind:
		return stored, false, nil
	case target == nil:
		return stored, false, errReadOnly
	case seen+len(fresh) > qidpath.MaxElements:
		return stored, false, errFull
	}
	if lost := seen - stored; lost > 0 {
		s.logger.Error("qid table lost elements, storing them again", "lost", lost, "entries", seen)
	}
	if err := s.writeLocked(target, append(s.have.elements, fresh...), s.have.unknown); err != nil {
		return stored, false, err
	}
	s.have.add(fresh)
	return len(s.have.elements), true, nil
}

// identifyLocked makes the element i one of the file system fs.
func (s *Store) identifyLocked(i int, fs qidpath.Identity) error {
	if err := s.refreshLocked(); err != nil {
		return err
	}
	if i < 0 || i >= len(s.have.elements) || fs.IsZero() {
		return fmt.Errorf("element %d of %d, identity %v", i, len(s.have.elements), fs)
	}
	e := s.have.elements[i]
	if !e.Unproven {
		if e.FS != fs {
			return fmt.Errorf("%w: element %d is of the file system %v and not of %v", errConflict, i, e.FS, fs)
		}
		_, wrote, err := s.storeLocked(nil)
		if err == nil && !wrote {
			err = s.syncLocked()
		}
		return err
	}
	e.FS, e.Unproven = fs, false
	if j, dup := s.have.keys[e.Key]; dup && j != i {
		return fmt.Errorf("%w: element %d is of the file system %v already", errConflict, j, fs)
	}
	target := s.targetLocked()
	switch {
	case target == nil:
		return errReadOnly
	case len(s.have.elements) > qidpath.MaxElements:
		return errFull
	}
	all := slices.Clone(s.have.elements)
	all[i] = e
	for _, p := range s.places {
		p.behind = p.behind || i < p.elements.n
	}
	if err := s.proveLocked(target, all, unknownEnd(all)); err != nil {
		s.staleLocked() // it may not be behind
		return err
	}
	s.have.identify(i, all)
	return nil
}
