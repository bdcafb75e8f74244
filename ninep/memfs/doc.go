// SPDX-License-Identifier: Apache-2.0

// Package memfs is a ninep.Backend in memory, for tests of the protocol. It does
// all that a file system for Linux guests does, and locks that wait; it does not
// check permissions, for the guest has done that.
//
// # Lock order
//
//	FS.mu (the tree)
//	lockTable.mu (byte-range locks); never both
package memfs
