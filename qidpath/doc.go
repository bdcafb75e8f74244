// SPDX-License-Identifier: Apache-2.0

// Package qidpath gives every file of an export a 64-bit number, the path of
// its 9P QID, that no other file has and that stays the same when the daemon,
// the guest or the host is started again.
//
// # File systems
//
// A file is named by its file system and its 64-bit inode number. Device numbers
// do not name file systems: they are given out anew at each boot, and a number can
// be another's a moment after it is free. So whoever asks for the path of a file
// that has a device number says first, with Bind, which file system that is: by its
// Identity, a UUID or the like, which keeps its prefixes under whatever number it
// comes; or, where there is none, by the number itself. Forget takes all of that
// back, when something was mounted or unmounted. An identity that two file systems
// have at once, copies of each other, tells nothing: see Bind.
//
// # Mapping
//
// The low 48 bits of the inode number are kept; the file system and the upper 16
// bits, the Key, are replaced by a prefix. In the layout Prefix
//
//	path = prefix<<48 | ino&(1<<48-1)
//
// The prefixes of a Table:
//
//	0              the rest of the path is a number of the full map
//	1..32766       elements, in order of first sight of their Key; stored
//	32767..65535   volatile keys, whose store failed, from the top downwards
//
// The full map numbers single files, from 1, of keys for which there is no prefix:
// a file system is given 16 of them, and all together 32766. Numbers are stored,
// too; those that could not be are volatile, from MaxNumber downwards. A stored
// table with more than 32766 elements, which only another program can have
// written, is used as it is and never written again.
//
// An answer never changes while a Table lives: a key whose store has failed keeps
// its volatile prefix even if a later store works.
//
// # Life of a Table
//
// New, then Load when the device is realized, Path for each QID, Flush when the
// device is unrealized (Load and Flush may be repeated), Close at the end. The
// elements are kept by a Store, numbers by a FullMap; packages xattrstore and
// xattrstore/fullmap have one each. A new key is on stable storage before Path
// returns it: that, and not Flush, is what a guest's QIDs rest on. Numbers may be
// given to many files, with PathUnsettled, before one Settle makes them durable.
//
// # Locks
//
// Path takes no lock for what it knows. Otherwise:
//
//	Table.mu                 new keys and numbers, Bind, Forget, Settle, Load, Flush, Close
//	└── the locks of Store and FullMap
package qidpath
