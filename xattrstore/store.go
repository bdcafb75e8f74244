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
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
)

// Config configures a Store. The zero value is a Store that writes.
type Config struct {
	// ReadOnly keeps the Store from writing anything to the export. It still
	// finds keys that others store.
	ReadOnly bool

	// Logger, if not set, is slog.Default(). Errors are returned and not
	// logged; what is done about a damaged table is.
	Logger *slog.Logger
}

// Store is a qidpath.Store in extended attributes of one directory. Its errors
// are *qidpath.StoreError.
type Store struct {
	readOnly    bool
	logger      *slog.Logger
	lockTimeout time.Duration
	written     atomic.Uint64 // bytes

	mu        sync.Mutex
	medium    medium // nil once closed
	contended bool   // the last attempt to lock timed out
	chunkMax  int    // bytes; the largest chunk that may work
	have      content
}

// content is a stored table as it was read or written last.
type content struct {
	image
	table
}

var _ qidpath.Store = (*Store)(nil)

// Open returns the Store of the directory root. It opens the directory itself
// once more: root stays the caller's, and may be closed. Nothing is read yet.
func Open(root *os.File, cfg Config) (*Store, error) {
	m, err := openRoot(root)
	if err != nil {
		return nil, failure("open", err)
	}
	return newStore(m, cfg), nil
}

func newStore(m medium, cfg Config) *Store {
	s := &Store{
		readOnly:    cfg.ReadOnly,
		logger:      cfg.Logger,
		lockTimeout: lockTimeout,
		medium:      m,
		chunkMax:    chunkSizeMax,
	}
	if s.logger == nil {
		s.logger = slog.Default()
	}
	return s
}

// Load implements qidpath.Store.
func (s *Store) Load() (keys []qidpath.Key, err error) {
	err = s.locked("load", func() error {
		found, err := s.readLocked()
		if err != nil {
			return err
		}
		if err := s.adoptLocked(found); err != nil {
			return err
		}
		// A daemon may have been killed between its commit and its sync. If this
		// sync fails, the table is still the best there is.
		if err := s.syncLocked(); err != nil {
			s.logger.Warn("qid table loaded but not synced", "error", err)
		}
		keys = slices.Clone(found.keys)
		return nil
	})
	return keys, err
}

// Append implements qidpath.Store. Without keys it makes sure that the elements
// seen so far are stored.
func (s *Store) Append(known int, keys []qidpath.Key) ([]qidpath.Key, error) {
	return s.append("append", known, keys)
}

// Flush implements qidpath.Store. Elements that have vanished from the export
// are stored again.
func (s *Store) Flush() error {
	_, err := s.append("flush", 0, nil)
	return err
}

// BytesWritten returns how many bytes of attribute values have been written.
func (s *Store) BytesWritten() uint64 { return s.written.Load() }

// Close implements qidpath.Store. Closing again does nothing.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.medium == nil {
		return nil
	}
	err := s.medium.close()
	s.medium = nil
	return failure("close", err)
}

// locked runs f under both locks and gives its error a reason.
func (s *Store) locked(op string, f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.medium == nil {
		return failure(op, os.ErrClosed)
	}
	if err := s.lockLocked(); err != nil {
		return failure(op, err)
	}
	defer func() {
		if err := s.medium.unlock(); err != nil {
			s.logger.Error("qid table not unlocked", "error", err)
		}
	}()
	return failure(op, f())
}

// append brings the stored table up to date and returns its elements after the
// known ones.
func (s *Store) append(op string, known int, keys []qidpath.Key) (tail []qidpath.Key, err error) {
	err = s.locked(op, func() error {
		if known > len(s.have.keys) {
			return fmt.Errorf("%d elements known, %d seen", known, len(s.have.keys))
		}
		stored, err := s.storeLocked(keys)
		if err != nil && stored <= known {
			return err
		}
		// Whatever became of the keys: others' elements may not be synced yet,
		// and none may be used before they are.
		if syncErr := s.syncLocked(); syncErr != nil {
			return errors.Join(err, syncErr)
		}
		tail = slices.Clone(s.have.keys[known:stored])
		return err
	})
	return tail, err
}

// storeLocked adopts what others stored, and stores what is missing. It returns
// how many of the elements seen are stored then.
func (s *Store) storeLocked(keys []qidpath.Key) (stored int, err error) {
	found, err := s.readLocked()
	rejected := err
	if err != nil && !damaged(err) {
		return 0, err
	}
	if rejected == nil {
		if err := s.adoptLocked(found); err != nil {
			return 0, err
		}
	}
	stored = len(found.keys)
	missing := slices.Clone(s.have.keys[stored:])
	lost := len(missing)
	missing = append(missing, absent(keys, s.have.keys)...)
	switch {
	case len(missing) == 0:
		return stored, nil
	case s.readOnly:
		return stored, errReadOnly
	case stored+len(missing) > qidpath.MaxElements:
		return stored, errFull
	}
	if rejected != nil {
		s.logger.Error("qid table rejected, setting it aside and beginning a new one", "error", rejected)
		if err := s.setAsideLocked(found.image); err != nil {
			return stored, fmt.Errorf("set aside: %w", err)
		}
	}
	if lost > 0 {
		s.logger.Error("qid table lost elements, storing them again", "lost", lost, "entries", len(s.have.keys))
	}
	extended, err := s.extendLocked(found, missing)
	if err != nil {
		return stored, err
	}
	s.have = extended
	return len(extended.keys), nil
}

// absent returns those of keys that are not among have, each once: a duplicate
// would make the whole table unreadable.
func absent(keys, have []qidpath.Key) []qidpath.Key {
	wanted := make(map[qidpath.Key]bool, len(keys))
	for _, k := range keys {
		wanted[k] = true
	}
	for _, k := range have {
		if wanted[k] {
			wanted[k] = false
		}
	}
	var rest []qidpath.Key
	for _, k := range keys {
		if wanted[k] {
			rest = append(rest, k)
			wanted[k] = false
		}
	}
	return rest
}

// readLocked reads what is stored. Of a damaged table it returns the image.
func (s *Store) readLocked() (content, error) {
	im, err := readImage(s.medium)
	if err != nil {
		return content{}, err
	}
	if im.equal(s.have.image) {
		return s.have, nil
	}
	t, err := im.parse()
	if err != nil {
		return content{image: im}, err
	}
	if surplus := im.size() - t.end(); len(im) > 0 && surplus > 0 {
		s.logger.Warn("qid table recovered, its last append was cut off", "entries", len(t.keys), "surplus_bytes", surplus)
	}
	return content{im, t}, nil
}

// adoptLocked takes over what was found, if it has the elements seen so far and
// perhaps more. Less than these is no error.
func (s *Store) adoptLocked(found content) error {
	n := min(len(found.keys), len(s.have.keys))
	for i := range n {
		if found.keys[i] != s.have.keys[i] {
			return fmt.Errorf("%w: element %d", errConflict, i)
		}
	}
	if n == len(s.have.keys) {
		s.have = found
	}
	return nil
}

// syncLocked makes what is stored durable. On a read-only mount it is.
func (s *Store) syncLocked() error {
	err := s.medium.sync()
	if s.readOnly && errors.Is(err, unix.EROFS) {
		return nil
	}
	return err
}
