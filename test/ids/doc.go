// SPDX-License-Identifier: Apache-2.0

// Package ids has the tests of file IDs on real file systems: what guests are told of
// exports on ext4, XFS, btrfs, tmpfs and overlays, with others mounted below, while
// daemons end and are killed, and while file systems come back under other device
// numbers.
//
// They are built with the tag boot only, need root for loop devices and mounts, and take
// about four minutes:
//
//	go test -tags boot -timeout 20m ./test/ids
//
// A site is an export that can be taken down and set up again. Guests list everything in
// it, by the command ids of their test program. A ledger has all that they were told, and
// what becomes known later is held against it.
package ids
