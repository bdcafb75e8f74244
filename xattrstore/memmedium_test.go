// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// disk is a directory's attributes in memory, with a file system's limits.
type disk struct {
	mu       sync.Mutex
	attrs    map[string][]byte
	maxValue int // bytes; more are ENOSPC; 0: 64 KiB, and more are E2BIG
	maxTotal int // bytes of all names and values; 0: unlimited
	locked   bool
	sets     int
	syncs    int
	syncErr  error
}

func newDisk() *disk { return &disk{attrs: make(map[string][]byte)} }

// put stores chunks as the table.
func (d *disk) put(chunks ...[]byte) *disk {
	for i, c := range chunks {
		if c != nil {
			d.attrs[chunkName(i)] = slices.Clone(c)
		}
	}
	return d
}

func (d *disk) clone() *disk {
	return &disk{attrs: maps.Clone(d.attrs), maxValue: d.maxValue, maxTotal: d.maxTotal}
}

// chunks returns the table's chunks up to the first missing index.
func (d *disk) chunks() [][]byte {
	var chunks [][]byte
	for i := 0; ; i++ {
		c, ok := d.attrs[chunkName(i)]
		if !ok {
			return chunks
		}
		chunks = append(chunks, c)
	}
}

func (d *disk) stream() []byte { return bytes.Join(d.chunks(), nil) }

// open returns a medium on the disk; each may hold the lock on its own.
func (d *disk) open() *diskMedium { return &diskMedium{disk: d} }

type diskMedium struct {
	*disk
	holds bool
}

func (m *diskMedium) get(name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.attrs[name]
	if !ok {
		return nil, unix.ENODATA
	}
	return append([]byte{}, v...), nil
}

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
	case m.maxValue > 0 && len(value) > m.maxValue, m.maxTotal > 0 && total > m.maxTotal:
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

func (m *diskMedium) tryLock() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locked && !m.holds {
		return unix.EWOULDBLOCK
	}
	m.locked, m.holds = true, true
	return nil
}

func (m *diskMedium) unlock() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.locked, m.holds = false, false
	return nil
}

func (m *diskMedium) close() error { return nil }

var errCut = errors.New("cut off")

// cutMedium lets a number of changes through and then fails everything, as for
// a process that is killed, or a host that loses power: what reaches a journal
// is a first part of the changes, in order.
type cutMedium struct {
	medium
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
	return m.medium.set(name, value)
}

func (m *cutMedium) remove(name string) error {
	if err := m.cut(); err != nil {
		return err
	}
	return m.medium.remove(name)
}

func (m *cutMedium) sync() error {
	if m.left == 0 {
		return errCut
	}
	return m.medium.sync()
}

// watchMedium reports the names that are set.
type watchMedium struct {
	medium
	onSet func(name string)
}

func (m *watchMedium) set(name string, value []byte) error {
	m.onSet(name)
	return m.medium.set(name, value)
}
