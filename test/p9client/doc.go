// SPDX-License-Identifier: Apache-2.0

// Package p9client tests the daemon with github.com/hugelgupf/p9's client, an
// implementation of 9P2000.L that is independent of ours. Its byte stream is carried
// over a virtqueue by rig.Ring.
//
// Not used of the client: Lock, which names no file (v0.3.0), and FSync, which sends the
// message of the protocol's first draft, without Linux's datasync field.
//
// Plan 9's own client, in Go (9fans.net/go/plan9/client), is there for 9P2000.
package p9client
