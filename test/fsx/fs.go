// SPDX-License-Identifier: Apache-2.0

package fsx

// FS is a file system under test. Paths are relative to its root. Errors are, or wrap,
// a unix.Errno.
type FS interface {
	Mkdir(path string) error
	// Open opens a file with flags of open(2); what it creates has mode 0644.
	Open(path string, flags int) (File, error)
	Truncate(path string, size int64) error
	Stat(path string) (Stat, error)
	Link(old, new string) error
	Rename(old, new string) error
	Unlink(path string) error
	// List returns the names in a folder, in any order, without "." and "..".
	List(path string) ([]string, error)
}

// Stat is what is compared of a file's attributes.
type Stat struct {
	Size  int64 // bytes
	Links int
}

// File is an open file.
type File interface {
	// ReadAt returns less than it could only at the end of the file, and there no error.
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) (int, error)
	// Append writes through a file that was opened with O_APPEND.
	Append(p []byte) (int, error)
	Truncate(size int64) error
	Stat() (Stat, error)
	Sync() error
	Close() error
}

// Mapper is a File that can be mapped into memory.
type Mapper interface {
	// MapRead copies from a mapping. The range may go beyond the end of the file, up to
	// the end of its last page, where a mapping has zeros.
	MapRead(p []byte, off int64) error
	// MapWrite copies to a shared mapping and syncs that. The range is inside the file.
	MapWrite(p []byte, off int64) error
}

// Allocator is a File with fallocate(2).
type Allocator interface {
	Allocate(mode uint32, off, length int64) error
}

// Dropper is an FS whose caches can be emptied.
type Dropper interface {
	Drop() error
}
