// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"vhost-user-9p/xattrstore/rootlock"
)

// disk is a directory's attributes in memory, with a file system's limits.
type disk struct {
	mu       sync.Mutex
	attrs    map[string][]byte
	maxValue int // bytes; more are ENOSPC; 0: 64 KiB, and more are E2BIG
	maxTotal int // bytes of all names and values; 0: unlimited
	locked   bool
	gets     int
	sets     int
	syncs    int
	syncErr  error
}

func newDisk() *disk { return &disk{attrs: make(map[string][]byte)} }

// put stores chunks of a stream.
func (d *disk) put(s series, chunks ...[]byte) *disk {
	for i, c := range chunks {
		if c != nil {
			d.attrs[s.chunk(i)] = slices.Clone(c)
		}
	}
	return d
}

func (d *disk) clone() *disk {
	return &disk{attrs: maps.Clone(d.attrs), maxValue: d.maxValue, maxTotal: d.maxTotal}
}

// chunks returns a stream's chunks up to the first missing index.
func (d *disk) chunks(s series) [][]byte {
	var chunks [][]byte
	for i := 0; ; i++ {
		c, ok := d.attrs[s.chunk(i)]
		if !ok {
			return chunks
		}
		chunks = append(chunks, c)
	}
}

func (d *disk) stream(s series) []byte { return bytes.Join(d.chunks(s), nil) }

// lockedMedium is what a Store of the root's attributes rests on.
type lockedMedium interface {
	medium
	locker
}

// rootAndLock is the one of a real directory.
type rootAndLock struct {
	medium
	locker
}

// storeOn returns a Store without a file.
func storeOn(m lockedMedium, cfg Config) *Store { return newStore(m, m, nil, cfg) }

// open returns a medium on the disk; each may hold the lock on its own.
func (d *disk) open() *diskMedium { return &diskMedium{disk: d} }

type diskMedium struct {
	*disk
	holds bool
}

func (m *diskMedium) get(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.gets++
	v, ok := m.attrs[name]
	if !ok {
		return nil, unix.ENODATA
	}
	return append([]byte{}, v...), nil
}

func (m *diskMedium) aside() (aside []Value, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, value := range m.attrs {
		if isAside(name) {
			aside = append(aside, Value{name, len(value)})
		}
	}
	return aside, nil
}

func (m *diskMedium) begin() (bool, error) { return false, nil }
func (m *diskMedium) discard() error       { return nil }
func (m *diskMedium) maxValue() int        { return 1 << 16 }

func (m *diskMedium) set(name string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	total := len(name) + len(value)
	for n, v := range m.attrs {
		if n != name {
			total += len(n) + len(v)
		}
	}
	switch {
	case len(value) > 1<<16:
		return unix.E2BIG
	case m.disk.maxValue > 0 && len(value) > m.disk.maxValue, m.maxTotal > 0 && total > m.maxTotal:
		return unix.ENOSPC
	}
	m.attrs[name] = slices.Clone(value)
	m.sets++
	return nil
}

func (m *diskMedium) remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.attrs[name]; !ok {
		return unix.ENODATA
	}
	delete(m.attrs, name)
	return nil
}

func (m *diskMedium) sync() error {
	m.syncs++
	return m.syncErr
}

// Lock does not wait: who has the lock is dead.
func (m *diskMedium) Lock() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locked && !m.holds {
		return rootlock.ErrLocked
	}
	m.locked, m.holds = true, true
	return nil
}

func (m *diskMedium) Unlock() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.locked, m.holds = false, false
	return nil
}

func (m *diskMedium) close() error { return nil }
func (m *diskMedium) Close() error { return nil }

var errCut = errors.New("cut off")

// cutMedium lets a number of changes through and then fails everything, as for
// a process that is killed, or a host that loses power: what reaches a journal
// is a first part of the changes, in order.
type cutMedium struct {
	lockedMedium
	left int
}

func (m *cutMedium) cut() error {
	if m.left == 0 {
		return errCut
	}
	m.left--
	return nil
}

func (m *cutMedium) set(name string, value []byte) error {
	if err := m.cut(); err != nil {
		return err
	}
	return m.lockedMedium.set(name, value)
}

func (m *cutMedium) remove(name string) error {
	if err := m.cut(); err != nil {
		return err
	}
	return m.lockedMedium.remove(name)
}

func (m *cutMedium) sync() error {
	if m.left == 0 {
		return errCut
	}
	return m.lockedMedium.sync()
}

// watchMedium reports the names that are set.
type watchMedium struct {
	lockedMedium
	onSet func(name string)
}

func (m *watchMedium) set(name string, value []byte) error {
	m.onSet(name)
	return m.lockedMedium.set(name, value)
}
