// SPDX-License-Identifier: Apache-2.0

// Package boot has the tests that boot guests: in QEMU 11 with Debian's kernel (emulated,
// 5 to 10 seconds a boot) and in User-mode Linux (about a second).
//
// They are built with the tag boot only, so that "go test ./..." stays quick:
//
//	go test -tags boot -timeout 40m ./test/...
//	go test -tags boot -timeout 40m -run UML ./test/boot
//	go test -tags boot -timeout 40m -run QEMU ./test/boot
//
// Nothing is skipped: what is missing is built by the scripts in hack, once, which takes
// some minutes (User-mode Linux: 7 to 10). They need root, for owners, device nodes and
// loop devices. See package rig for V9P_TEST_PEER, which has another server serve the
// guests.
package boot
