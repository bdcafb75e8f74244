// SPDX-License-Identifier: Apache-2.0

// Package qtest has each test that QEMU has of its own 9p device, under its name there,
// for the daemon: the real program, over vhost-user and a ring. Its tests "synth" are of
// a file system made for them, which here is a folder; "local" are of a shared folder.
// Besides, what QEMU has no tests of.
package qtest
