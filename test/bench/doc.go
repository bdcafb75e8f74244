// SPDX-License-Identifier: Apache-2.0

// Package bench compares the daemon with other servers, side by side in one run. Its tests
// are built with the tag bench:
//
//	make bench
//	hack/bench.sh -run Guests -guest-rounds 1
//	hack/bench.sh -run GuestsUML -guest-cases '^(getattr|read)'
//
// A case is run by one system, then by the next, and so on again for some rounds, so that what
// else happens on the machine falls on all of them. A first round is not counted. Package
// report says what is made of the rounds.
//
// # The ring in process
//
// TestBenchRing drives server processes from this one: docs/performance.md says how.
//
// # Scale
//
// TestBenchScale and TestBenchSteady measure the daemon alone: many files, many daemons, a long
// time.
//
// # Guests
//
// TestGuestsUML has a guest in User-mode Linux for the daemon, and one of the same kernel for
// virtiofsd. TestGuestsQEMU has a guest in QEMU (emulated, one processor) for the daemon, and
// one with the same kernel and mount options for QEMU's own 9p server. Both guests run all the
// time, and the one whose turn it is not sleeps. Nothing is cached in the guest (cache=none,
// O_DIRECT), as far as the program allows.
//
// The time is measured in the guest, the CPU time on the host: the server's; in place of QEMU's
// own server, that of all of QEMU's threads but the virtual processors.
package bench
