// SPDX-License-Identifier: Apache-2.0

package fullmap

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
)

// maxTail is for how many damaged records at the end skip numbers are left out
// each.
const maxTail = 64

// appendLocked writes the next number for f.
//
// Preconditions: the root's lock is held, and everything was read.
func (m *Map) appendLocked(f qidpath.File) (uint64, error) {
	if m.have.headerErr != nil {
		return 0, m.have.headerErr
	}
	if m.have.end == 0 {
		if err := m.replaceLocked(); err != nil {
			return 0, err
		}
		m.begun = true
	}
	if !m.writable {
		file, err := m.disk.open(m.name, os.O_RDWR)
		if err != nil {
			return 0, err
		}
		have := m.have
		m.takeLocked(file, m.id, true)
		m.have = have
	}
	if err := m.syncNameLocked(); err != nil {
		return 0, err
	}

	n := m.known + 1 + skip*min(m.have.tail, maxTail)
	if !m.begun {
		n += skip
	}
	end := m.have.end + recordSize
	if n > maxNumber || end > maxSize {
		return 0, errFull
	}
	rec := appendRecord(make([]byte, 0, recordSize), f, n)
	written, err := m.file.WriteAt(rec, m.have.end)
	m.written.Add(uint64(written))
	if err != nil {
		return 0, err
	}
	// Not before: the damaged records say that numbers may be in use. If it
	// fails, they go on to say so.
	if m.have.tail > 0 {
		_ = m.file.Truncate(end)
	}
	m.have.tail = 0
	m.have.add(rec)
	m.yielded, m.known = n, n
	m.unsynced = true

	// Nobody else knows of a number that far above all that are durable.
	if n > m.durable+skip {
		if err := m.syncLocked(); err != nil {
			return 0, err
		}
	}
	m.begun = true
	return n, nil
}

// repairLocked writes the file anew if there are damages in it.
//
// Preconditions: the root's lock is held, and everything was read.
func (m *Map) repairLocked() {
	m.unrepaired = nil
	if m.have.damaged == 0 && m.have.headerErr == nil {
		return
	}
	damaged, headerErr := m.have.damaged, m.have.headerErr
	if err := m.replaceLocked(); err != nil {
		m.unrepaired = err
		m.logger.Error("full map not repaired", "damaged", damaged, "header_error", headerErr, "error", err)
		return
	}
	m.logger.Warn("full map repaired", "damaged", damaged, "header_error", headerErr, "records", m.have.records)
}

// restoreLocked gives the open file, which was removed, its name again. It
// returns its size.
//
// Preconditions: the root's lock is held.
func (m *Map) restoreLocked() (size int64, err error) {
	st, err := m.file.stat()
	if err != nil {
		return 0, err
	}
	have := m.have
	m.have = content{}
	err = m.have.read(m.file, st.size, false, func(qidpath.File, uint64) {})
	if err == nil {
		m.have.headerErr = nil // there is nothing to set aside
		err = m.replaceLocked()
	}
	if err != nil {
		m.have = have
		return 0, err
	}
	m.logger.Error("full map was removed and is written again", "records", m.have.records)
	size = m.have.end + int64(m.have.tail)*recordSize
	m.have = content{} // what the caller does not know yet is yielded from the new file
	return size, nil
}

// tempName is where the file is written anew. What a cut leaves there is
// overwritten by the next one, which is due at once.
func (m *Map) tempName() string { return m.name + ".new" }

// replaceLocked writes the file anew, with the valid records of the open one,
// and goes on with it.
//
// Preconditions: the root's lock is held, and everything was read.
func (m *Map) replaceLocked() (err error) {
	f, err := m.disk.open(m.tempName(), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), m.disk.remove(m.tempName()))
		}
	}()
	have, err := m.copyLocked(f)
	if err != nil {
		return err
	}
	if err := f.sync(); err != nil {
		return err
	}
	st, err := f.stat()
	if err != nil {
		return err
	}
	if m.have.headerErr != nil {
		bad := fmt.Sprintf("%s.bad.%d", m.name, m.id.ino)
		// If it is there already, then from an attempt that was cut off here.
		if err := m.disk.link(m.name, bad); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("set aside: %w", err)
		}
	}
	if err := m.disk.rename(m.tempName(), m.name); err != nil {
		return err
	}
	m.takeLocked(f, st, true)
	m.have = have
	return nil
}

// copyLocked writes the header, what is valid in the open file, and damaged
// records for those at its end, to f.
func (m *Map) copyLocked(f file) (content, error) {
	have := content{end: headerSize}
	buf := appendHeader(make([]byte, 0, scanBuffer+headerSize))
	at := int64(0)
	flush := func() error {
		n, err := f.WriteAt(buf, at)
		m.written.Add(uint64(n))
		at += int64(n)
		buf = buf[:0]
		return err
	}
	var writeErr error
	if m.have.records > 0 {
		err := scan(m.file, headerSize, m.have.end, func(rec []byte) bool {
			if _, _, ok := have.add(rec); !ok {
				have.tail = 0
				return true
			}
			buf = append(buf, rec...)
			if len(buf) >= scanBuffer {
				writeErr = flush()
			}
			return writeErr == nil
		})
		if err = errors.Join(err, writeErr); err != nil {
			return content{}, err
		}
	}
	have.tail = min(m.have.tail, maxTail)
	buf = append(buf, make([]byte, have.tail*recordSize)...)
	return have, flush()
}
