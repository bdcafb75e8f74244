// SPDX-License-Identifier: Apache-2.0

// Package xattrstore keeps a qidpath.Table's elements in extended attributes of
// the export's root directory, or in a file. The elements' stream has the format
// of the patch "9p: persistency of QID path beyond reboots / suspensions" for
// QEMU (v2 3/4, 3 May 2019, qemu-devel); that of their file systems' identities
// is this project's.
//
// # Format
//
// The values of user.virtfs.system.qidp.0, .1, ... up to the first index that is
// missing are one stream, cut anywhere, little-endian:
//
//	header   u16 version = 1; u16 reserved = 0; u32 CRC-32C of the elements
//	element  u64 label; u16 st_ino >> 48          (packed, 10 bytes)
//
// Element i has prefix i+1. Elements are appended and never changed. The label is
// st_dev when the file system was first seen or, where an element with that and
// the same ino_prefix stands in the table already, 1<<63 | i.
//
// user.virtfs.system.qidf.0, .1, ... are a stream beside it:
//
//	header    u16 version = 1; u16 reserved; u32 CRC-32C of the identities
//	identity  16 bytes
//
// Identity i belongs to element i. It is zero if the element's FS is only its
// label, qidpath.DeviceIdentity, and else that FS. The header's reserved field
// says how many of the first elements may have been stored without identities: a
// zero one of these means that it is not known (the element is Unproven), a zero
// one after them that the file system has none. Elements beyond the last identity
// are unproven, identities beyond the last element are surplus.
//
// # Reading
//
// All or nothing. If the checksum does not fit, the longest run of entries from
// the first on, at least one, whose checksum the header has is the stream as it
// was before an append that was cut off; what follows is surplus. Everything
// else is rejected: shorter than a header, unknown version, duplicate key, no
// checksum, too long, first chunk missing. That costs the table, if it is the
// elements, and otherwise only the identities.
//
// All is read once. Then the first chunk of each stream, and that none comes
// after the last, tell whether others have stored something.
//
// # Writing
//
// Under the lock what others stored is adopted. Then the identities are appended,
// and then the elements, each so: surplus chunks are removed, from the last one
// down; the last chunk is grown, or new ones are added, in ascending order; chunk
// 0 with the new checksum commits. At the end the root is synced. A cut after any
// of these steps leaves the old or the new table. (Surplus identities that the
// checksum covers come first out of that, by a change of chunk 0. Onto a stream
// without entries, the first commit is chunk 0 alone, because a checksum of
// nothing proves nothing; what does not fit there follows as a second append.)
//
// An identity that is not known is filled in by one change of chunk 0, if all
// identities have room there. If they have not, the table moves to the file.
//
// Chunks are grown to 16 KiB, or to half as much each time the file system refuses
// one (E2BIG, ENOSPC, ERANGE). New chunks end with an entry; existing ones are
// only grown. What an append costs does not depend on how long the table is; in
// the file, all is written each time.
//
// The table on disk against the elements in memory: longer, others have appended
// and it is adopted; an identity that was not known is, the same; shorter, or
// identities are gone, they are stored again; different, nothing is stored any
// more.
//
// What was rejected is not used and not lost: before a new stream is begun, its
// chunks are copied to user.virtfs.system.qidp.bad.CRC.N, or qidf, where CRC is
// the CRC-32C of its bytes in eight hex digits and N the chunk's index. If there
// is no room for that, or if the version is unknown or the stream too long, it
// stays where it is and nothing is stored.
//
// # File
//
// One file in a directory that all daemons of the export share, StateName and
// ".qids", has both streams under the names of the attributes:
//
//	header  "vu9pqids"; u16 version = 1; u16 reserved = 0; u32 CRC-32C of the rest
//	record  u16 length of the name; u32 length of the value; name; value
//
// with ascending names. It is replaced as a whole: a file beside it is written and
// synced, and renamed; the directory is synced. One that is damaged is copied to
// the name with ".bad-CRC" before it is replaced.
//
// The table moves there when the attributes cannot hold it, or no more of it, and
// when an identity cannot be filled in; they stay as they are. Every operation
// looks at both places. The longer table counts, and at equal length that with
// more identities, and then that in the attributes; an identity that only the
// other has counts too. If they contradict each other, nothing is stored.
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
