// SPDX-License-Identifier: Apache-2.0

package fsx

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// Local is a folder, used by system calls.
type Local struct{ Dir string }

func (l Local) path(path string) string { return filepath.Join(l.Dir, path) }

// Mkdir implements FS.
func (l Local) Mkdir(path string) error { return unix.Mkdir(l.path(path), 0o755) }

// Open implements FS.
func (l Local) Open(path string, flags int) (File, error) {
	fd, err := unix.Open(l.path(path), flags|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, err
	}
	return localFile(fd), nil
}

// Truncate implements FS.
func (l Local) Truncate(path string, size int64) error { return unix.Truncate(l.path(path), size) }

// Stat implements FS.
func (l Local) Stat(path string) (Stat, error) {
	var st unix.Stat_t
	err := unix.Lstat(l.path(path), &st)
	return Stat{st.Size, int(st.Nlink)}, err
}

// Link implements FS.
func (l Local) Link(old, new string) error { return unix.Link(l.path(old), l.path(new)) }

// Rename implements FS.
func (l Local) Rename(old, new string) error { return unix.Rename(l.path(old), l.path(new)) }

// Unlink implements FS.
func (l Local) Unlink(path string) error { return unix.Unlink(l.path(path)) }

// List implements FS.
func (l Local) List(path string) ([]string, error) {
	entries, err := os.ReadDir(l.path(path))
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// Drop implements Dropper: it empties the kernel's caches, for all file systems.
func (l Local) Drop() error {
	unix.Sync()
	return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0)
}

// localFile is a descriptor.
type localFile int

func (f localFile) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Pread(int(f), p[done:], off+int64(done))
		if err != nil {
			return done, err
		}
		if n == 0 {
			break
		}
		done += n
	}
	return done, nil
}

func (f localFile) WriteAt(p []byte, off int64) (int, error) {
	return all(p, func(done int) (int, error) { return unix.Pwrite(int(f), p[done:], off+int64(done)) })
}

func (f localFile) Append(p []byte) (int, error) {
	return all(p, func(done int) (int, error) { return unix.Write(int(f), p[done:]) })
}

// all calls write until everything is written: a signal, such as the Go runtime sends to
// itself, ends a long write in the middle.
func all(p []byte, write func(done int) (int, error)) (done int, err error) {
	for done < len(p) {
		n, err := write(done)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return done, err
		}
		if n == 0 {
			return done, io.ErrShortWrite
		}
		done += n
	}
	return done, nil
}

func (f localFile) Truncate(size int64) error { return unix.Ftruncate(int(f), size) }

func (f localFile) Stat() (Stat, error) {
	var st unix.Stat_t
	err := unix.Fstat(int(f), &st)
	return Stat{st.Size, int(st.Nlink)}, err
}

func (f localFile) Sync() error { return unix.Fsync(int(f)) }

func (f localFile) Close() error { return unix.Close(int(f)) }

func (f localFile) Allocate(mode uint32, off, length int64) error {
	return unix.Fallocate(int(f), mode, off, length)
}

// mapped calls use with the mapping of a range and of what stands before it in its first
// page.
func (f localFile) mapped(off int64, length, prot, kind int, use func(m []byte)) (err error) {
	before := int(off % int64(os.Getpagesize()))
	m, err := unix.Mmap(int(f), off-int64(before), before+length, prot, kind)
	if err != nil {
		return fmt.Errorf("mmap: %w", err)
	}
	defer func() {
		// A page that the file does not have is a fault: the file is too short.
		if fault := recover(); fault != nil {
			err = fmt.Errorf("in the mapping: %v", fault)
		}
		err = errors.Join(err, unix.Munmap(m))
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	use(m[before:])
	if prot&unix.PROT_WRITE != 0 {
		if err := unix.Msync(m, unix.MS_SYNC); err != nil {
			return fmt.Errorf("msync: %w", err)
		}
	}
	return nil
}

// MapRead implements Mapper. Where a file system has no shared mappings that can be
// written, it has none at all of a file that is open for writing: this one is private.
func (f localFile) MapRead(p []byte, off int64) error {
	return f.mapped(off, len(p), unix.PROT_READ, unix.MAP_PRIVATE, func(m []byte) { copy(p, m) })
}

// MapWrite implements Mapper.
func (f localFile) MapWrite(p []byte, off int64) error {
	return f.mapped(off, len(p), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED, func(m []byte) { copy(m, p) })
}
