// SPDX-License-Identifier: Apache-2.0

package fullmap

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
)

// catchUpLocked reads what others have appended, and yields what the caller does
// not know.
//
// Preconditions: the root's lock is held.
func (m *Map) catchUpLocked(yield func(f qidpath.File, n uint64)) error {
	size, err := m.refreshLocked()
	if err != nil || m.file == nil {
		return err
	}
	ok := size >= m.have.end
	if ok {
		if ok, err = m.have.intact(m.file); err != nil {
			return err
		}
	}
	if !ok {
		m.logger.Error("full map lost records, reading it again", "records", m.have.records)
		m.have = content{}
	}
	if err := m.readLocked(size, false, yield); err != nil {
		return err
	}
	if m.have.damaged > 0 && !m.saidDamaged {
		m.saidDamaged = true
		m.logger.Error("full map has damaged records, the files get other numbers",
			"damaged", m.have.damaged, "records", m.have.records)
	}
	return nil
}

// refreshLocked opens the file that has the name now, if it is not the open one,
// and returns its size. It leaves no file open if there is none.
//
// Preconditions: the root's lock is held.
func (m *Map) refreshLocked() (size int64, err error) {
	st, err := m.disk.stat(m.name)
	if errors.Is(err, unix.ENOENT) {
		if m.file == nil {
			return 0, nil
		}
		return m.restoreLocked()
	}
	switch {
	case err != nil:
		return 0, err
	case !st.regular:
		return 0, fmt.Errorf("%w: not a regular file", ErrForeign)
	case st.size > maxSize:
		return 0, fmt.Errorf("%w: %d bytes", ErrTooLong, st.size)
	case st == m.foreign:
		return 0, ErrForeign
	case m.file != nil && st.is(m.id):
		return st.size, nil
	}
	writable := true
	f, err := m.disk.open(m.name, os.O_RDWR)
	if errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		writable = false
		f, err = m.disk.open(m.name, os.O_RDONLY)
	}
	if err != nil {
		return 0, err
	}
	m.takeLocked(f, st, writable)
	return st.size, nil
}

// takeLocked makes f, of which nothing was read, the open file.
func (m *Map) takeLocked(f file, st status, writable bool) {
	m.closeFileLocked()
	m.file, m.id, m.writable = f, st, writable
	m.dirSynced = false
}

func (m *Map) closeFileLocked() {
	m.have = content{}
	if m.file == nil {
		return
	}
	// What has to be durable was synced.
	if err := m.file.Close(); err != nil {
		m.logger.Warn("full map not closed", "error", err)
	}
	m.file = nil
}

// readLocked reads the open file on, up to size, and yields what the caller does
// not know.
func (m *Map) readLocked(size int64, stopAtDamage bool, yield func(f qidpath.File, n uint64)) error {
	err := m.have.read(m.file, size, stopAtDamage, func(f qidpath.File, n uint64) {
		m.unsynced = true
		m.known = max(m.known, n)
		if n > m.yielded {
			m.yielded = n
			yield(f, n)
		}
	})
	switch {
	case errors.Is(err, ErrForeign):
		// To find that out again would take long.
		m.foreign = m.id
		m.foreign.size = size
		m.closeFileLocked()
	case errors.Is(err, ErrVersion):
		m.closeFileLocked()
	}
	return err
}
