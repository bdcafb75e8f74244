// SPDX-License-Identifier: Apache-2.0

// Package xattrstore keeps a qidpath.Table's elements in extended attributes of
// the export's root directory, in the format of the patch "9p: persistency of
// QID path beyond reboots / suspensions" for QEMU (v2 3/4, 3 May 2019,
// qemu-devel).
//
// # Format
//
// The values of user.virtfs.system.qidp.0, .1, ... up to the first index that is
// missing are one stream, cut anywhere, little-endian:
//
//	header   u16 version = 1; u16 reserved = 0; u32 CRC-32C of the elements
//	element  u64 st_dev; u16 st_ino >> 48         (packed, 10 bytes)
//
// Element i has prefix i+1. Elements are appended and never changed.
//
// # Reading
//
// All or nothing. If the checksum does not fit, the longest run of elements from
// the first on, at least one, whose checksum the header has is the table as it
// was before an append that was cut off; what follows is surplus. Everything
// else is rejected: shorter than a header, unknown version, duplicate key, no
// checksum, too long, first chunk missing.
//
// # Writing
//
// Under the lock the table is read again, and what others appended is adopted.
// Then surplus chunks are removed, from the last one down; the last chunk is
// grown, or new ones are added, in ascending order; chunk 0 with the new
// checksum commits; the root is synced. A cut after any of these steps leaves
// the old or the new table. (Onto a table without elements, the first commit is
// chunk 0 alone, because a checksum of nothing proves nothing; more keys than
// fit there follow as a second append.)
//
// A chunk has at most 64 KiB, and half as much each time the file system refuses
// one (E2BIG, ENOSPC, ERANGE). New chunks end with an element; existing ones are
// only grown.
//
// The table on disk against the elements in memory: longer, others have appended
// and it is adopted; shorter, elements were lost and are appended again;
// different, nothing is stored any more.
//
// A table that was rejected is not used and not lost: before a new one is
// begun, its chunks are copied to user.virtfs.system.qidp.bad.CRC.N, where CRC is
// the CRC-32C of its bytes in eight hex digits and N the chunk's index. If there
// is no room for that, or if the version is unknown or the stream too long, it
// stays where it is and nothing is stored.
//
// # Lock
//
//	Store.mu
//	└── flock(LOCK_EX) on the root, retried for two seconds
//
// The Store opens the root again, so that its flock excludes every other Store,
// in this process and in others. Whoever can open the root can hold that lock:
// after a timeout only a short wait is tried, until it is free again.
package xattrstore
