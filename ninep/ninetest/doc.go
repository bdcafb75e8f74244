// SPDX-License-Identifier: Apache-2.0

// Package ninetest tests 9P2000.L servers from the client's side: a small client
// (Client) over any transport, a transport within the process (Local), and a suite
// (Run) that any ninep.Backend must pass.
package ninetest
