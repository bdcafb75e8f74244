// SPDX-License-Identifier: Apache-2.0

// Package fsid tells file systems apart by what stays the same when they are
// mounted again, as their device numbers do not: it reads identities, of 16 bytes,
// and the kernel's table of mounts.
//
// An identity is the UUID that a file system on a block device has, or, of btrfs,
// its type and the f_fsid of statfs(2), which each subvolume has one of. All other
// file systems have none: those in memory make up a new UUID each time, and an
// overlay shows files of several device numbers under one.
package fsid
