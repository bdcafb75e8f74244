// SPDX-License-Identifier: Apache-2.0

package qidpath

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	maxPrefix = 1<<16 - 1
	maxFull   = 1<<inoBits - 1

	// A key whose files are in the full map has, where a prefix would stand,
	// firstFull plus a number of its own. So its files stay there if prefixes
	// become available again.
	firstFull   = maxPrefix + 1
	maxFullKeys = 1 << 32

	// A warning is due while there is still time to do something about it.
	nearlyFull = MaxElements * 9 / 10
)

// ErrExhausted is returned by Path when even the full map has no number left.
var ErrExhausted = errors.New("qidpath: no path left")

// Config configures a Table. The zero value is a table that forgets.
type Config struct {
	// Store keeps the elements between runs. If not set, prefixes are given in
	// order of first sight and forgotten with the Table.
	Store Store

	// Logger, if not set, is slog.Default().
	Logger *slog.Logger
}

// Table maps (device, inode number) to QID paths. It is safe for concurrent use.
type Table struct {
	store  Store
	logger *slog.Logger

	prefixes index // Key -> prefix, or firstFull and more; put under mu
	full     index // fullKey -> number; put under mu
	counters counters

	mu           sync.Mutex
	known        int    // elements; the highest prefix among them
	nextVolatile int    // the next volatile prefix to give
	nextFull     uint64 // the next full-map number to give
	fullKeys     uint64 // keys whose files are in the full map
	closed       bool
	warnedNear   bool
	warnedFull   bool
}

// New returns an empty Table.
func New(cfg Config) *Table {
	t := &Table{store: cfg.Store, logger: cfg.Logger, nextVolatile: maxPrefix, nextFull: 1}
	if t.logger == nil {
		t.logger = slog.Default()
	}
	t.prefixes.init()
	t.full.init()
	return t
}

// Load takes over the stored elements, when the device is realized. It does
// nothing while the table has elements. An error has been logged and counted;
// the table works without what was stored, and later stores try again.
func (t *Table) Load() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.store == nil || t.known > 0 {
		return nil
	}
	if t.closed {
		return errClosed("load")
	}
	var keys []Key
	var err error
	onOwnThread(func() { keys, err = t.store.Load() })
	if err == nil {
		err = t.adoptLocked("load", keys)
	}
	t.counters.lastFailed.Store(err != nil)
	if err != nil {
		r := ReasonOf(err)
		t.counters.loadFailures[r].Add(1)
		t.logger.Error("qid table not loaded", "reason", r.String(), "error", err)
		return err
	}
	t.counters.loads.Add(1)
	t.logger.Debug("qid table loaded", "entries", t.known)
	return nil
}

// Path returns the QID path of the file ino on dev. If its key is new, it is on
// stable storage when Path returns, or has a volatile prefix; the failure has
// then been logged and counted and is no error here. The only error is
// ErrExhausted.
//
// It may be called from a thread with other credentials than the process.
func (t *Table) Path(dev, ino uint64) (uint64, error) {
	if p := t.prefixes.get(dev, uint16(ino>>inoBits)); p-1 < maxPrefix { // 0 is none
		return p<<inoBits | ino&inoMask, nil
	} else if p >= firstFull {
		if n := t.full.get(fullKey(p, ino)); n != 0 {
			return n, nil
		}
	}
	return t.insert(dev, ino)
}

// fullKey returns the key in the full map of the file ino, whose own key has p
// where a prefix would stand.
func fullKey(p, ino uint64) (a uint64, b uint16) {
	k := p - firstFull // 32 bits
	return k<<inoBits | ino&inoMask, uint16(k >> (64 - inoBits))
}

// insert is Path for what the indexes did not have a moment ago.
func (t *Table) insert(dev, ino uint64) (uint64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := keyOf(dev, ino)
	p := t.prefixLocked(key)
	if p == 0 {
		if p = t.assignLocked(key); p == 0 {
			return 0, ErrExhausted
		}
	}
	if p < firstFull {
		return p<<inoBits | ino&inoMask, nil
	}
	a, b := fullKey(p, ino)
	if n := t.full.get(a, b); n != 0 {
		return n, nil
	}
	n := t.nextFull
	if n > maxFull {
		return 0, ErrExhausted
	}
	t.nextFull++
	t.full.put(a, b, n)
	t.counters.fullMap.Add(1)
	return n, nil
}

func (t *Table) prefixLocked(key Key) uint64 {
	return t.prefixes.get(key.Dev, key.InoPrefix)
}

func (t *Table) putLocked(key Key, prefix uint64) {
	t.prefixes.put(key.Dev, key.InoPrefix, prefix)
}

// assignLocked gives key, which has none, its prefix, or what stands there for
// the full map, for the life of the table. It returns 0 if nothing is left.
func (t *Table) assignLocked(key Key) uint64 {
	if t.known < MaxElements {
		var err error
		if t.store == nil {
			err = t.adoptLocked("append", []Key{key})
		} else {
			err = t.appendLocked(key)
		}
		if p := t.prefixLocked(key); p != 0 {
			return p
		}
		// Only a store that others filled up meanwhile gets here with the limit reached.
		if t.known < MaxElements {
			t.storeFailedLocked(err)
			if t.nextVolatile > max(t.known, MaxElements) {
				p := uint64(t.nextVolatile)
				t.nextVolatile--
				t.putLocked(key, p)
				t.counters.volatile.Add(1)
				return p
			}
		}
	}
	if t.fullKeys == maxFullKeys {
		return 0
	}
	p := firstFull + t.fullKeys
	t.fullKeys++
	t.putLocked(key, p)
	return p
}

// appendLocked stores key and adopts what the store then holds. It has failed
// only if key has no prefix afterwards; the error then says why.
func (t *Table) appendLocked(key Key) error {
	if t.closed {
		return errClosed("append")
	}
	var tail []Key
	err := t.timed(func() (err error) {
		tail, err = t.store.Append(t.known, []Key{key})
		return err
	})
	if adoptErr := t.adoptLocked("append", tail); adoptErr != nil {
		return adoptErr
	}
	if t.prefixLocked(key) != 0 {
		t.counters.stores.Add(1)
		t.counters.lastFailed.Store(false)
		return nil
	}
	if err == nil {
		err = &StoreError{"append", ReasonIO, errors.New("the store did not return the new key")}
	}
	return err
}

// adoptLocked takes keys over as the elements after the known ones: all or, with
// an error, none. A key that has a volatile prefix or is in the full map keeps
// that for the life of the table; its element's prefix stays unused.
func (t *Table) adoptLocked(op string, keys []Key) error {
	if t.known+len(keys) > t.nextVolatile {
		return &StoreError{op, ReasonConflict, fmt.Errorf("%d elements reach into the volatile prefixes", t.known+len(keys))}
	}
	seen := make(map[Key]struct{}, len(keys))
	for _, key := range keys {
		if p := t.prefixLocked(key); p != 0 && p <= uint64(t.known) {
			return &StoreError{op, ReasonConflict, fmt.Errorf("element %d again: device %#x, inode prefix %#x", p-1, key.Dev, key.InoPrefix)}
		}
		if _, dup := seen[key]; dup {
			return &StoreError{op, ReasonConflict, fmt.Errorf("two elements: device %#x, inode prefix %#x", key.Dev, key.InoPrefix)}
		}
		seen[key] = struct{}{}
	}
	for _, key := range keys {
		t.known++
		if t.prefixLocked(key) == 0 {
			t.putLocked(key, uint64(t.known))
		}
	}
	t.counters.entries.Store(int64(t.known))
	t.warnLocked()
	return nil
}

// warnLocked says once when the table is nearly full and once when it is full.
func (t *Table) warnLocked() {
	if t.known >= nearlyFull && !t.warnedNear {
		t.warnedNear = true
		t.logger.Warn("qid table nearly full", "entries", t.known, "max_entries", MaxElements)
	}
	if t.known >= MaxElements && !t.warnedFull {
		t.warnedFull = true
		t.logger.Warn("qid table full, new file systems get paths that a restart changes",
			"entries", t.known, "max_entries", MaxElements)
	}
}

// Flush makes sure that every stored element is on stable storage, when the
// device is unrealized. An error has been logged and counted.
func (t *Table) Flush() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.flushLocked()
}

func (t *Table) flushLocked() error {
	if t.store == nil {
		return nil
	}
	if t.closed {
		return errClosed("flush")
	}
	if err := t.timed(t.store.Flush); err != nil {
		t.storeFailedLocked(err)
		return err
	}
	t.counters.stores.Add(1)
	t.counters.lastFailed.Store(false)
	return nil
}

// Close flushes the table and closes its Store. Path still answers, with
// volatile prefixes for new keys. Closing again does nothing.
func (t *Table) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.store == nil || t.closed {
		return nil
	}
	err := t.flushLocked()
	t.closed = true
	return errors.Join(err, t.store.Close())
}

// storeFailedLocked counts and logs a failed append or flush. A storage that
// stays broken fails once for each new key, so each reason is logged when its
// count reaches a power of two; being read-only is a state and is said once.
func (t *Table) storeFailedLocked(err error) {
	r := ReasonOf(err)
	n := t.counters.storeFailures[r].Add(1)
	t.counters.lastFailed.Store(true)
	if n&(n-1) == 0 && (n == 1 || r != ReasonReadOnly) {
		t.logger.Error("qid table not stored, new paths will change at the next start",
			"reason", r.String(), "failures", n, "volatile", t.counters.volatile.Load(), "error", err)
	}
}

// timed runs an operation of the store and accounts for its time.
func (t *Table) timed(op func() error) error {
	start := time.Now()
	var err error
	onOwnThread(func() { err = op() })
	took := int64(time.Since(start))
	t.counters.lastStore.Store(took)
	t.counters.storeTime.Add(took)
	return err
}

func errClosed(op string) error {
	return &StoreError{op, ReasonClosed, errors.New("qid table is closed")}
}
