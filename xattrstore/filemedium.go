// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	fileSuffix = ".qids"
	tempSuffix = ".tmp"
	badFile    = ".bad-" // and its checksum
)

// fileMedium is the values in one file. They are in memory; sync replaces the
// file by one with those that were set.
type fileMedium struct {
	dir  directory
	name string

	file   *os.File // what was read or written last; open, so that its inode is nobody else's
	seen   fileID
	values map[string][]byte // in the file
	staged map[string][]byte // if not nil, what the next sync puts into the file
}

// fileID tells one version of a file from another.
type fileID struct {
	dev, ino uint64
	size     int64
	mtime    unix.Timespec
}

// directory is what a fileMedium does in its directory: each method is one step
// after which a process may be killed.
type directory interface {
	stat(name string) (fileID, error) // os.ErrNotExist: there is no file
	open(name string) (*os.File, error)
	write(name string, data []byte) (*os.File, error) // synced; replaces what was there
	rename(from, to string) error
	remove(name string) error
	list() ([]string, error)
	sync() error
	close() error
}

func (m *fileMedium) begin() (changed bool, err error) {
	m.staged = nil
	id, err := m.dir.stat(m.name)
	if errors.Is(err, os.ErrNotExist) {
		changed = m.file != nil
		m.adopt(nil, fileID{}, nil)
		return changed, nil
	}
	if err != nil || m.file != nil && id == m.seen {
		return false, err
	}
	m.adopt(nil, fileID{}, nil)
	f, err := m.dir.open(m.name)
	if err != nil {
		return true, err
	}
	var values map[string][]byte
	id, err = identify(f)
	if err == nil {
		values, err = readFile(f, id.size)
	}
	if err != nil {
		f.Close()
		return true, fmt.Errorf("%s: %w", m.name, err)
	}
	m.adopt(f, id, values)
	return true, nil
}

// readFile returns the values in f, which has size bytes.
func readFile(f *os.File, size int64) (map[string][]byte, error) {
	if size > maxFile {
		return nil, fmt.Errorf("%w: %d bytes", ErrTooLong, size)
	}
	data := make([]byte, size)
	n, err := f.ReadAt(data, 0)
	if n < len(data) {
		return nil, err
	}
	return decodeFile(data)
}

// adopt makes f, with its values, the file that was seen last.
func (m *fileMedium) adopt(f *os.File, id fileID, values map[string][]byte) {
	if m.file != nil {
		m.file.Close()
	}
	m.file, m.seen, m.values = f, id, values
}

// now returns the values as they have been set.
func (m *fileMedium) now() map[string][]byte {
	if m.staged != nil {
		return m.staged
	}
	return m.values
}

func (m *fileMedium) get(name string) ([]byte, error) {
	v, ok := m.now()[name]
	if !ok {
		return nil, unix.ENODATA
	}
	return v, nil
}

// aside returns the values and the files that were set aside.
func (m *fileMedium) aside() (aside []Value, err error) {
	for name, value := range m.now() {
		if isAside(name) {
			aside = append(aside, Value{name, len(value)})
		}
	}
	files, err := m.dir.list()
	for _, name := range files {
		if strings.HasPrefix(name, m.name+badFile) {
			id, err := m.dir.stat(name)
			if err != nil {
				return nil, err
			}
			aside = append(aside, Value{name, int(id.size)})
		}
	}
	slices.SortFunc(aside, func(a, b Value) int { return strings.Compare(a.Name, b.Name) })
	return aside, err
}

func (m *fileMedium) stage() {
	if m.staged == nil {
		m.staged = make(map[string][]byte, len(m.values)+1)
		maps.Copy(m.staged, m.values)
	}
}

func (m *fileMedium) set(name string, value []byte) error {
	m.stage()
	before, ok := m.staged[name]
	m.staged[name] = value
	if sizeOfFile(m.staged) > maxFile {
		m.staged[name] = before
		if !ok {
			delete(m.staged, name)
		}
		return unix.ENOSPC
	}
	return nil
}

func (m *fileMedium) remove(name string) error {
	if _, ok := m.now()[name]; !ok {
		return unix.ENODATA
	}
	m.stage()
	delete(m.staged, name)
	return nil
}

// sync puts what was set into the file. If nothing was, another daemon may have
// been killed before it has synced the directory.
func (m *fileMedium) sync() error {
	if m.staged != nil {
		temp := m.name + tempSuffix
		f, err := m.dir.write(temp, encodeFile(m.staged))
		if err != nil {
			return err
		}
		if err := m.dir.rename(temp, m.name); err != nil {
			f.Close()
			return err
		}
		// The time is not changed by a rename.
		id, err := identify(f)
		if err != nil {
			f.Close()
			return err
		}
		m.adopt(f, id, m.staged)
		m.staged = nil
	}
	return m.dir.sync()
}

// discard implements medium. It keeps the file under a name that its content
// gives it.
func (m *fileMedium) discard() error {
	f, err := m.dir.open(m.name)
	if err != nil {
		return err
	}
	defer f.Close()
	id, err := identify(f)
	if err != nil {
		return err
	}
	if id.size > maxFile {
		return fmt.Errorf("%w: %d bytes", ErrTooLong, id.size)
	}
	data := make([]byte, id.size)
	if n, err := f.ReadAt(data, 0); n < len(data) {
		return err
	}
	bad, err := m.dir.write(m.name+tempSuffix, data)
	if err != nil {
		return err
	}
	bad.Close()
	if err := m.dir.rename(m.name+tempSuffix, m.badName(data)); err != nil {
		return err
	}
	if err := m.dir.sync(); err != nil {
		return err
	}
	if err := m.dir.remove(m.name); err != nil {
		return err
	}
	return m.dir.sync()
}

func (m *fileMedium) badName(data []byte) string {
	return fmt.Sprintf("%s%s%08x", m.name, badFile, crc32.Checksum(data, castagnoli))
}

func (m *fileMedium) maxValue() int { return maxFile }

func (m *fileMedium) close() error {
	m.adopt(nil, fileID{}, nil)
	return m.dir.close()
}
