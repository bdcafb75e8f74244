// SPDX-License-Identifier: Apache-2.0

package fullmap

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"vhost-user-9p/xattrstore/rootlock"
)

// memory is a directory in memory that knows what a power failure would leave.
type memory struct {
	mu      sync.Mutex
	names   map[string]*memFile
	durable map[string]*memFile
	changes []map[string]*memFile // the directory after each change since its last sync
	inodes  uint64
	locked  *memDisk
}

// memFile is a file; the writes since its last sync may be lost one by one.
type memFile struct {
	ino     uint64
	data    []byte
	durable []byte
	changes []func(data []byte) []byte
}

func newMemory() *memory {
	return &memory{names: make(map[string]*memFile), durable: make(map[string]*memFile)}
}

// put makes a durable file.
func (m *memory) put(name string, data []byte) {
	m.inodes++
	f := &memFile{ino: m.inodes, data: slices.Clone(data), durable: slices.Clone(data)}
	m.names[name], m.durable[name] = f, f
}

// powerFailure loses what is not durable: each write by itself, and the last
// changes of the directory. What is open must not be used any more.
func (m *memory) powerFailure(r *rand.Rand) {
	if n := r.IntN(len(m.changes) + 1); n > 0 {
		m.durable = m.changes[n-1]
	}
	m.names, m.changes, m.locked = maps.Clone(m.durable), nil, nil
	for _, f := range m.names {
		for _, change := range f.changes {
			if r.IntN(2) == 0 {
				f.durable = change(f.durable)
			}
		}
		f.data, f.changes = slices.Clone(f.durable), nil
	}
}

// memDisk is a memory as one Map sees it.
type memDisk struct{ *memory }

func (m *memory) open() *memDisk { return &memDisk{m} }

func (d *memDisk) changed() { d.changes = append(d.changes, maps.Clone(d.names)) }

func (f *memFile) status() status { return status{1, f.ino, int64(len(f.data)), true} }

func (d *memDisk) stat(name string) (status, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.names[name]
	if !ok {
		return status{}, unix.ENOENT
	}
	return f.status(), nil
}

func (d *memDisk) open(name string, flags int) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.names[name]
	if !ok {
		if flags&os.O_CREATE == 0 {
			return nil, unix.ENOENT
		}
		d.inodes++
		f = &memFile{ino: d.inodes}
		d.names[name] = f
		d.changed()
	}
	if flags&os.O_TRUNC != 0 {
		f.change(func([]byte) []byte { return nil })
	}
	return &memOpen{f, d.memory}, nil
}

func (d *memDisk) link(name, as string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names[as] != nil {
		return unix.EEXIST
	}
	d.names[as] = d.names[name]
	d.changed()
	return nil
}

func (d *memDisk) rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names[from] == nil {
		return unix.ENOENT
	}
	d.names[to] = d.names[from]
	delete(d.names, from)
	d.changed()
	return nil
}

func (d *memDisk) remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names[name] == nil {
		return unix.ENOENT
	}
	delete(d.names, name)
	d.changed()
	return nil
}

func (d *memDisk) sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.durable, d.changes = maps.Clone(d.names), nil
	return nil
}

func (d *memDisk) lock() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locked != nil && d.locked != d {
		return rootlock.ErrLocked
	}
	d.locked = d
	return nil
}

func (d *memDisk) unlock() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locked == d {
		d.locked = nil
	}
	return nil
}

func (d *memDisk) close() error { return d.unlock() }

// memOpen is an open file of a memory.
type memOpen struct {
	f *memFile
	m *memory
}

func (f *memFile) change(c func(data []byte) []byte) {
	f.data = c(f.data)
	f.changes = append(f.changes, c)
}

func (o *memOpen) ReadAt(b []byte, off int64) (int, error) {
	o.m.mu.Lock()
	defer o.m.mu.Unlock()
	return bytes.NewReader(o.f.data).ReadAt(b, off)
}

func (o *memOpen) WriteAt(b []byte, off int64) (int, error) {
	o.m.mu.Lock()
	defer o.m.mu.Unlock()
	b = slices.Clone(b)
	o.f.change(func(data []byte) []byte {
		if end := int(off) + len(b); end > len(data) {
			data = append(data, make([]byte, end-len(data))...)
		}
		copy(data[off:], b)
		return data
	})
	return len(b), nil
}

func (o *memOpen) Truncate(size int64) error {
	o.m.mu.Lock()
	defer o.m.mu.Unlock()
	o.f.change(func(data []byte) []byte { return data[:min(int(size), len(data))] })
	return nil
}

func (o *memOpen) stat() (status, error) {
	o.m.mu.Lock()
	defer o.m.mu.Unlock()
	return o.f.status(), nil
}

func (o *memOpen) sync() error {
	o.m.mu.Lock()
	defer o.m.mu.Unlock()
	o.f.durable, o.f.changes = slices.Clone(o.f.data), nil
	return nil
}

func (o *memOpen) Close() error { return nil }
