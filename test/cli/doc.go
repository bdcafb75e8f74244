// SPDX-License-Identifier: Apache-2.0

// Package cli tests the daemon's program as whoever starts it sees it: its command line,
// its exit status, its sockets, signals and metrics.
package cli
