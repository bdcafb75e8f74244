// SPDX-License-Identifier: Apache-2.0

package qidpath

// MaxElements is how many elements may be stored, and the highest prefix an
// element may be given.
const MaxElements = 32766

// MaxPrefixesPerFS is how many elements one file system is given. One that has
// inode numbers with more prefixes hashes them, as NFS and FUSE do, and would use
// up all there are.
const MaxPrefixesPerFS = 16

// Store keeps a table's elements between runs. Implementations are safe for
// concurrent use. Their errors should be, or wrap, a *StoreError; any other
// error counts as ReasonIO.
//
// A Table calls its Store from goroutines of its own, never from its caller's
// thread, which may have other credentials than the process.
type Store interface {
	// Load returns the stored elements. No stored table is no elements and no
	// error. With an error nothing of what is stored may be used.
	Load() ([]Element, error)

	// Append makes elements durable behind the known ones that the caller
	// already holds, and returns all after these as they stand now: first what
	// other writers have appended, then those of elements whose Key was not
	// among it. When the error is nil, everything returned is durable.
	//
	// The Dev of what is returned may be another than was asked for, if an
	// element with it, and the same InoPrefix, stands in the table already.
	//
	// An element whose FS has MaxPrefixesPerFS already, as the table stands under
	// the lock, is not appended, and that is no error: all writers must agree on
	// which keys have prefixes.
	//
	// With an error, tail holds what other writers appended, as far as it is
	// known to be durable; a key that is in it needs no store.
	Append(known int, elements []Element) (tail []Element, err error)

	// Identify makes durable that the unproven element i is on the file system
	// fs, and so unproven no more. That it is stored so already is no error;
	// that it is stored with another identity is one, ReasonConflict.
	Identify(i int, fs Identity) error

	// Flush makes sure that all elements seen so far are on stable storage.
	Flush() error

	// Close releases what the Store holds. It does not flush.
	Close() error
}

// File is one file of the full map: the whole inode number on a file system.
type File struct {
	FS  Identity // never zero
	Dev uint64   // st_dev: a label, as in an Element
	Ino uint64
}

// MaxNumber is the highest number of the full map, so that a path has room for
// it in every Layout.
const MaxNumber = 1<<47 - 1

// FullMap keeps the numbers of single files between runs, as a Store keeps
// elements: the same holds for its concurrency and errors, and for the threads
// it is called from. All numbers are from 1 to MaxNumber.
type FullMap interface {
	// Load calls yield for each stored number, in the order in which they were
	// given. It starts from the beginning each time.
	Load(yield func(f File, n uint64)) error

	// Append writes the next number for f behind what is stored, and returns
	// it: if another writer has given f one, that. Before, yield is called for
	// each number that others have written since the last Load or Append. What
	// is returned and yielded is not durable before Sync has returned.
	Append(f File, yield func(f File, n uint64)) (n uint64, err error)

	// Sync makes durable all that Append has returned and yielded.
	Sync() error

	// Close releases what the FullMap holds. It does not sync.
	Close() error
}
