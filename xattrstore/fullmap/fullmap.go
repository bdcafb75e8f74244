// SPDX-License-Identifier: Apache-2.0

package fullmap

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"vhost-user-9p/qidpath"
)

// Config says where a Map is.
type Config struct {
	// Dir is the directory, Name+".fullmap" the file in it.
	Dir  *os.File
	Name string

	// Root is the export's root, whose lock all daemons of the export share.
	Root *os.File

	// Logger, if not set, is slog.Default(). Errors are returned and not
	// logged; what is done about a damaged file is.
	Logger *slog.Logger
}

// Validate returns what is wrong with c.
func (c *Config) Validate() error {
	switch {
	case c.Dir == nil || c.Root == nil:
		return errors.New("a full map needs a directory and a root")
	case c.Name == "" || strings.ContainsAny(c.Name, "/\x00"):
		return fmt.Errorf("%q cannot name a full map", c.Name)
	}
	return nil
}

func fileName(name string) string { return name + ".fullmap" }

// Map is a qidpath.FullMap. It does not remember which file has which number:
// its caller does, and asks for each file once.
type Map struct {
	name    string
	logger  *slog.Logger
	written atomic.Uint64 // bytes

	mu   sync.Mutex
	disk disk // nil once closed

	// The open file, if there is one.
	file      file
	id        status // its size is not kept
	writable  bool
	dirSynced bool // its name is durable
	unsynced  bool // something was read or appended since the last Sync
	have      content

	// Of all files that were open.
	yielded uint64 // the highest number that the caller knows
	known   uint64 // the highest number that was ever seen
	durable uint64 // the highest number that is durable, as far as is known
	begun   bool   // no number above known can have been given before

	foreign     status // the file that is no full map, as it was
	saidDamaged bool
	unrepaired  error // why damages are still in the file, since the last Load
}

var _ qidpath.FullMap = (*Map)(nil)

// Open returns the Map in a file, which need not exist. Dir and Root are opened
// once more, may be O_PATH descriptors, and stay the caller's. Nothing is read
// yet.
func Open(cfg Config) (*Map, error) {
	if err := cfg.Validate(); err != nil {
		return nil, failure("open", err)
	}
	d, err := openDisk(cfg.Dir, cfg.Root)
	if err != nil {
		return nil, failure("open", err)
	}
	return newMap(d, cfg), nil
}

func newMap(d disk, cfg Config) *Map {
	m := &Map{name: fileName(cfg.Name), logger: cfg.Logger, disk: d}
	if m.logger == nil {
		m.logger = slog.Default()
	}
	return m
}

// Load implements qidpath.FullMap. yield must not call the Map.
func (m *Map) Load(yield func(f qidpath.File, n uint64)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return failure("load", m.loadLocked(yield))
}

func (m *Map) loadLocked(yield func(f qidpath.File, n uint64)) error {
	// Even if this fails, the caller knows what it knew.
	defer func(yielded uint64) { m.yielded = max(m.yielded, yielded) }(m.yielded)
	var size int64
	err := m.exclusiveLocked(func() (err error) {
		m.have, m.yielded, m.foreign = content{}, 0, status{}
		size, err = m.refreshLocked()
		return err
	})
	if err != nil {
		return err
	}
	if m.file != nil {
		// Meanwhile others may append, or take the name for a new file. Only
		// damaged records may become others.
		if err := m.readLocked(size, true, yield); err != nil {
			return err
		}
	}
	err = m.exclusiveLocked(func() error {
		if err := m.catchUpLocked(yield); err != nil {
			return err
		}
		m.repairLocked()
		return nil
	})
	if err != nil {
		return err
	}
	// A daemon may have been killed between its append and its sync. If this
	// sync fails, these numbers are still the best there are.
	if err := m.syncLocked(); err != nil {
		m.logger.Warn("full map loaded but not synced", "error", err)
	}
	return nil
}

// Append implements qidpath.FullMap. yield must not call the Map.
func (m *Map) Append(f qidpath.File, yield func(f qidpath.File, n uint64)) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var n uint64
	err := m.exclusiveLocked(func() error {
		var found uint64
		err := m.catchUpLocked(func(other qidpath.File, number uint64) {
			if found == 0 && other.FS == f.FS && other.Ino == f.Ino {
				found = number
			}
			yield(other, number)
		})
		if err != nil {
			return err
		}
		if n = found; n == 0 {
			n, err = m.appendLocked(f)
		}
		return err
	})
	return n, failure("append", err)
}

// Sync implements qidpath.FullMap.
func (m *Map) Sync() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.disk == nil {
		return failure("sync", os.ErrClosed)
	}
	return failure("sync", m.syncLocked())
}

// BytesWritten returns how many bytes have been written to files.
func (m *Map) BytesWritten() uint64 { return m.written.Load() }

// Close implements qidpath.FullMap. Closing again does nothing.
func (m *Map) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.disk == nil {
		return nil
	}
	m.closeFileLocked()
	err := m.disk.close()
	m.disk = nil
	return failure("close", err)
}

// exclusiveLocked runs f while no other Map of the export does anything.
func (m *Map) exclusiveLocked(f func() error) error {
	if m.disk == nil {
		return os.ErrClosed
	}
	if err := m.disk.lock(); err != nil {
		return err
	}
	defer func() {
		if err := m.disk.unlock(); err != nil {
			m.logger.Error("full map not unlocked", "error", err)
		}
	}()
	return f()
}

// syncLocked makes durable what was read and appended.
func (m *Map) syncLocked() error {
	if m.file == nil {
		return nil
	}
	if m.unsynced {
		if err := m.file.sync(); err != nil {
			return err
		}
		m.unsynced = false
	}
	if err := m.syncNameLocked(); err != nil {
		return err
	}
	m.durable = max(m.durable, m.have.highest)
	return nil
}

// syncNameLocked makes durable that the open file has its name.
func (m *Map) syncNameLocked() error {
	if m.dirSynced {
		return nil
	}
	if err := m.disk.sync(); err != nil {
		return err
	}
	m.dirSynced = true
	return nil
}
