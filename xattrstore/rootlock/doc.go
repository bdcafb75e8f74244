// SPDX-License-Identifier: Apache-2.0

// Package rootlock is the lock that all daemons of an export share: whoever
// reads and then extends what is stored of its QIDs holds it.
//
// It is a flock(LOCK_EX) on a file description of the export's root directory
// that the Lock has opened for itself. So two Locks exclude each other, in one
// process too. Whoever can open the root can take the lock and keep it: Lock
// gives up after two seconds, and as long as it goes on after a fraction of
// that. Directories on NFS are locked on this host only.
//
// Files in a state directory are named by the identity of the root's file system,
// which copies have in common. So who writes there locks the state directory, too.
package rootlock
