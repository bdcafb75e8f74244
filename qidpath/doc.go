// SPDX-License-Identifier: Apache-2.0

// Package qidpath gives every file of an export a 64-bit number, the path of
// its 9P QID, that no other file has and that stays the same when the daemon,
// the guest or the host is started again.
//
// # Mapping
//
// A file is named by its device and its 64-bit inode number. The low 48 bits of
// the inode number are kept; the device and the upper 16 bits are replaced by a
// prefix:
//
//	path = prefix<<48 | ino&(1<<48-1)
//
// The prefixes of a Table:
//
//	0              the rest of the path is a number of the full map
//	1..32766       elements, in order of first sight of their Key; stored
//	32767..65535   volatile keys, whose store failed, from the top downwards
//
// The full map numbers single files, from 1, once no prefix is left for their
// key. It is in memory only. A stored table with more than 32766 elements,
// which only another program can have written, is used as it is and never
// written again.
//
// An answer never changes while a Table lives: a key whose store has failed
// keeps its volatile prefix even if a later store works.
//
// # Life of a Table
//
// New, then Load when the device is realized, Path for each QID, Flush when the
// device is unrealized (Load and Flush may be repeated), Close at the end. The
// elements are kept by a Store; package xattrstore has one. A new key is on
// stable storage before Path returns it: that, and not Flush, is what a guest's
// QIDs rest on.
//
// # Locks
//
// Path takes no lock for a key it knows. Otherwise:
//
//	Table.mu                 new keys, Load, Flush, Close
//	└── the Store's locks
package qidpath
