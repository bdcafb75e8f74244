// SPDX-License-Identifier: Apache-2.0

package qidpath

import (
	"errors"
	"log/slog"
	"sync"
	"time"
)

// ErrExhausted is returned by Path when even the full map has no number left.
var ErrExhausted = errors.New("qidpath: no path left")

// Config configures a Table. The zero value is a table that forgets.
type Config struct {
	// Store keeps the elements between runs. If not set, prefixes are given in
	// order of first sight and forgotten with the Table.
	Store Store

	// FullMap keeps the numbers of the full map between runs. If not set, they
	// are volatile.
	FullMap FullMap

	// Layout is how paths are made. If not set: Prefix.
	Layout Layout

	// Logger, if not set, is slog.Default().
	Logger *slog.Logger
}

// Table maps files to QID paths. It is safe for concurrent use.
type Table struct {
	store   Store
	fullMap FullMap
	layout  Layout
	logger  *slog.Logger

	// What Path needs for a file it knows; both are put under mu.
	prefixes index   // device number and inode prefix -> slot; the bound devices' only
	numbers  numbers // of the full map, unless they are unsettled

	counters counters

	mu     sync.Mutex
	closed bool

	// Which file system has which device number.
	bound  map[uint64]Identity // since the last Forget
	chosen map[choice]Identity
	labels map[choice]struct{} // identities of elements, and the numbers they were first seen under

	// Prefixes.
	slots        map[Key]slot
	known        int              // elements; the highest prefix among them
	perFS        map[Identity]int // elements
	unproven     map[Key]int      // elements, by their slot's key
	nextVolatile uint64
	warnedNear   bool
	warnedFull   bool

	// The full map.
	spaces           map[Identity]uint16 // in memory, a file system is a number
	unsettled        map[File]uint64     // numbers that are not durable yet; Dev is 0
	nextVolatileNo   uint64
	numbersLoaded    bool
	numbersErr       error // why not
	loadNumbersAfter time.Time
	warnedNumbers    bool
}

// New returns an empty Table.
func New(cfg Config) *Table {
	t := &Table{
		store:          cfg.Store,
		fullMap:        cfg.FullMap,
		layout:         cfg.Layout,
		logger:         cfg.Logger,
		bound:          make(map[uint64]Identity),
		chosen:         make(map[choice]Identity),
		labels:         make(map[choice]struct{}),
		slots:          make(map[Key]slot),
		perFS:          make(map[Identity]int),
		unproven:       make(map[Key]int),
		nextVolatile:   maxPrefix,
		spaces:         make(map[Identity]uint16),
		unsettled:      make(map[File]uint64),
		nextVolatileNo: MaxNumber,
	}
	if t.logger == nil {
		t.logger = slog.Default()
	}
	t.prefixes.reset()
	t.numbers.reset()
	return t
}

// Load takes over what is stored, when the device is realized. It does nothing
// while the table has elements. An error has been logged and counted; the table
// works without what was stored, and later stores try again.
func (t *Table) Load() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.store == nil || t.known > 0 {
		return nil
	}
	if t.closed {
		return errClosed("load")
	}
	var elements []Element
	var err error
	onOwnThread(func() { elements, err = t.store.Load() })
	if err == nil {
		err = t.adoptLocked("load", elements)
	}
	if err == nil {
		err = t.loadNumbersLocked()
	}
	t.counters.lastFailed.Store(err != nil)
	if err != nil {
		r := ReasonOf(err)
		t.counters.loadFailures[r].Add(1)
		t.logger.Error("qid table not loaded", "reason", r.String(), "error", err)
		return err
	}
	t.counters.loads.Add(1)
	t.logger.Debug("qid table loaded", "entries", t.known, "numbers", t.counters.numbers.Load())
	return nil
}

// Path returns the QID path of the file ino on the file system that dev was
// bound to. What it rests on is on stable storage when Path returns, or is
// volatile; the failure has then been logged and counted and is no error here.
// The errors are ErrUnknownDevice and ErrExhausted.
//
// It may be called from a thread with other credentials than the process.
func (t *Table) Path(dev, ino uint64) (uint64, error) {
	path, err := t.PathUnsettled(dev, ino)
	if err == nil {
		t.Settle()
	}
	return path, err
}

// PathUnsettled is Path, but that the path may be shown to nobody before Settle
// has returned: for several at once.
func (t *Table) PathUnsettled(dev, ino uint64) (uint64, error) {
	s := slot(t.prefixes.get(dev, uint16(ino>>inoBits)))
	if s-1 < maxPrefix { // 0 is none
		return t.layout.path(uint64(s), ino), nil
	}
	if s != 0 {
		if n := t.numbers.get(s.space(), ino); n != 0 {
			return t.layout.fullPath(n), nil
		}
	}
	return t.insert(dev, ino)
}

// Span returns the Span that has ino on dev. That has nothing if the table has no prefix for it, or
// one whose files have paths one by one.
func (t *Table) Span(dev, ino uint64) Span {
	inoPrefix := ino >> inoBits
	s := slot(t.prefixes.get(dev, uint16(inoPrefix)))
	if s-1 >= maxPrefix {
		return Span{}
	}
	return Span{inoPrefix + 1, t.layout.path(uint64(s), 0), t.layout.shift(uint64(s))}
}

// insert is PathUnsettled for what the indexes did not have a moment ago.
func (t *Table) insert(dev, ino uint64) (uint64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fs, ok := t.bound[dev]
	if !ok {
		return 0, ErrUnknownDevice
	}
	key := Key{fs, uint16(ino >> inoBits)}
	s := t.slots[key]
	if s == 0 {
		if s = t.assignLocked(key, dev); s == 0 {
			return 0, ErrExhausted
		}
	}
	if t.prefixes.get(dev, key.InoPrefix) == 0 {
		t.prefixes.put(dev, key.InoPrefix, uint64(s))
	}
	if s <= maxPrefix {
		return t.layout.path(uint64(s), ino), nil
	}
	n := t.giveNumberLocked(File{FS: fs, Dev: dev, Ino: ino}, s)
	if n == 0 {
		return 0, ErrExhausted
	}
	return t.layout.fullPath(n), nil
}

// Flush makes sure that everything stored is on stable storage, when the device
// is unrealized. An error has been logged and counted.
func (t *Table) Flush() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.flushLocked()
}

func (t *Table) flushLocked() error {
	t.settleLocked()
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
	t.storedLocked()
	return nil
}

// Close flushes the table and closes its Store and FullMap. Path still answers,
// with volatile prefixes for new keys. Closing again does nothing.
func (t *Table) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	err := t.flushLocked()
	t.closed = true
	if t.fullMap != nil {
		err = errors.Join(err, t.fullMap.Close())
	}
	if t.store != nil {
		err = errors.Join(err, t.store.Close())
	}
	return err
}

func (t *Table) storedLocked() {
	t.counters.stores.Add(1)
	t.counters.lastFailed.Store(false)
}

// storeFailedLocked counts and logs that something was not stored. A storage
// that stays broken fails once for each new key, so each reason is logged when its
// count reaches a power of two; being read-only is a state and is said once.
func (t *Table) storeFailedLocked(err error) {
	r := ReasonOf(err)
	n := t.counters.storeFailures[r].Add(1)
	t.counters.lastFailed.Store(true)
	if n&(n-1) == 0 && (n == 1 || r != ReasonReadOnly) {
		t.logger.Error("qid table not stored, new paths will change at the next start",
			"reason", r.String(), "failures", n, "volatile", t.counters.volatile.Load(),
			"volatile_numbers", t.counters.volatileNumbers.Load(), "error", err)
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
