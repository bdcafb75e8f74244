// SPDX-License-Identifier: Apache-2.0

package qidpath

// MaxElements is how many elements may be stored, and the highest prefix an
// element may be given.
const MaxElements = 32766

// Store keeps a table's elements between runs. Implementations are safe for
// concurrent use. Their errors should be, or wrap, a *StoreError; any other
// error counts as ReasonIO.
//
// A Table calls its Store from goroutines of its own, never from its caller's
// thread, which may have other credentials than the process.
type Store interface {
	// Load returns the stored elements; element i has prefix i+1. No stored
	// table is no elements and no error. With an error nothing of what is
	// stored may be used.
	Load() ([]Key, error)

	// Append makes keys durable behind the known elements that the caller
	// already holds, and returns all elements after these as they stand now:
	// first what other writers have appended, then the keys that were not
	// among it. When the error is nil, everything returned is durable.
	//
	// With an error, tail holds what other writers appended, as far as it is
	// known to be durable; a key that is in it needs no store.
	Append(known int, keys []Key) (tail []Key, err error)

	// Flush makes sure that all elements seen so far are on stable storage.
	Flush() error

	// Close releases what the Store holds. It does not flush.
	Close() error
}
