// SPDX-License-Identifier: Apache-2.0

// Package report holds what the benchmarks measured, and writes it as a table, as JSON and
// as a chart.
package report

import "time"

// Report is all that was measured.
type Report struct {
	Results []Result
	Figures []Figure // that stand for themselves
}

// Figure is one number.
type Figure struct {
	Name  string
	Value float64
	Unit  string
}

// Result is what one system did in one case.
type Result struct {
	Rig    string  // how it was driven: "ring" and, after a comma, on what; "uml" or "qemu"
	Case   string  // as in "read 4 KiB"
	Depth  int     // requests in flight, 0 where the guest decides
	System string  // "vhost-user-9p", "virtiofsd", "qemu", "floor", "plain loop", "vhost-user-9p.old"
	Calls  float64 // system calls of the server for each operation, 0 where they are not counted
	Rounds []Round // in the order of time, alternating with the other systems'
}

// Round is one measurement.
type Round struct {
	Operations int64
	Bytes      int64         // of payload, both ways
	Elapsed    time.Duration // by the wall clock
	CPU        time.Duration // of all of the server's threads (QEMU's: but the virtual processors')
	Switches   int64         // voluntary context switches of those threads

	// Latency of operations (in the mixed case: of the reads), where the driver measures it.
	P50, P99, P999 time.Duration
}
