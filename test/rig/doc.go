// SPDX-License-Identifier: Apache-2.0

// Package rig starts what the system tests need: the daemon, guests in QEMU and in
// User-mode Linux by the scripts in hack, QMP connections, file systems on loop devices.
//
// Everything that it starts ends with the test, by the process's own id. Every wait has
// a deadline. When a test fails, the ends of the guest's console and output and of the
// daemon's log are shown; when a guest takes too long, also the daemon's metrics and stacks, and
// in User-mode Linux what each of the guest's tasks waits for.
//
// # What is tested
//
// The daemon is built from the checkout, unless V9P_TEST_DAEMON names a program.
//
// With V9P_TEST_PEER=virtiofsd in the environment (User-mode Linux), or
// V9P_TEST_PEER=qemu (QEMU), guests are served by virtiofsd, or by QEMU's own 9p server,
// instead of the daemon: it shows whether a failure is the daemon's or the test's. Tests that
// compare servers start each by StartServer.
package rig
