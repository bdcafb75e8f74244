// SPDX-License-Identifier: Apache-2.0

// Package fullmap is a qidpath.FullMap in one file, NAME.fullmap in a directory
// of the host.
//
// # Format
//
// Little-endian, packed:
//
//	header  u16 version = 1; u16 reserved = 0; u32 CRC-32C of no elements = 0
//	record  16 bytes identity; u64 st_dev; u64 st_ino; u64 n;
//	        u32 CRC-32C of these                              (44 bytes)
//
// The identity is all zero for a file system that only has its device number.
// Each n is higher than those before it. A record that is not, whose n is 0 or
// among those that are left to volatile numbers, or whose checksum does not fit,
// is damaged.
//
// # Reading
//
// Damaged records are skipped. Those that have a valid one behind them are
// counted and said once, and Load writes the file anew without them. Those at
// the end are what an append that was cut off has left, or a power failure; the
// next append overwrites them.
//
// A file of a later version, one that is too long, and one that is no full map
// are left alone: nothing is read, and nothing can be appended. No full map is
// what has another header and no valid record. With valid records it is one whose
// header was damaged: Load keeps it as NAME.fullmap.bad.INODE and writes it anew.
//
// # Writing
//
// Append needs, in the usual case, no more than the lock, one stat, one read (of
// the record that it wrote or read last, to see that it is still there) and one
// write. Sync is one fdatasync. A file is created, and written anew, as
// NAME.fullmap.new, which is synced and then renamed; the others notice that the
// name has another inode and open it. Whoever opens the file syncs the directory
// before relying on it.
//
// A file that was removed while a Map has it open is written again from that. To
// begin anew, remove it while no daemon runs.
//
// # Numbers
//
// No number is given to two files, not even one that was never durable, because
// it may have been shown nevertheless: a Table shows numbers whose sync has
// failed. Whatever survives a power failure, all numbers that were given before
// are at most SKIP = 1<<20 above the highest one that is found, because
//
//   - a number that is more than that above all that are known to be durable is
//     synced before it is given, and
//   - creating the file is synced before the first number is given;
//
// so the first append of a Map to a file that it has not created leaves out SKIP
// numbers. It leaves out as many for each damaged record at the end, up to 64.
//
// # Locks
//
//	Map.mu
//	└── flock(LOCK_EX) on the export's root, see package rootlock
//
// Load reads most of the file without the root's lock: records that are valid
// never change.
package fullmap
