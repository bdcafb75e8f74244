// SPDX-License-Identifier: Apache-2.0

package drive

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/bench/cases"
	"vhost-user-9p/test/bench/report"
	"vhost-user-9p/test/rig"
)

// Server is one way to be served.
type Server interface {
	// Pid is the server's process.
	Pid() int
	// Has reports whether the server can do a case.
	Has(c cases.Case) bool
	// Prepare readies a case with a number of operations in flight.
	Prepare(c cases.Case, depth int)
	// Run measures what was prepared, for a time.
	Run(d time.Duration) report.Round
	// Finish gives back what Prepare took.
	Finish()
}

// CPUTime returns the CPU time of all threads that a process has had, by its clock, which counts
// nanoseconds.
func CPUTime(tb testing.TB, pid int) time.Duration {
	tb.Helper()
	var now unix.Timespec
	const schedClock = 2 // CPUCLOCK_SCHED
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &now); err != nil {
		tb.Fatalf("the clock of process %d: %v", pid, err)
	}
	return time.Duration(now.Nano())
}

// switchesOf returns how often each of a process's threads has waited.
func switchesOf(tb testing.TB, pid int) map[string]int64 {
	tb.Helper()
	threads := map[string]int64{}
	for _, thread := range rig.Threads(tb, pid) {
		if waits, _, ok := rig.ThreadSwitches(tb, thread); ok {
			threads[thread] = waits
		}
	}
	return threads
}

// measured is what run returns, with what it cost the process. The switches of threads
// that end meanwhile are not counted.
func measured(tb testing.TB, pid int, run func() report.Round) report.Round {
	tb.Helper()
	waited, cpu := switchesOf(tb, pid), CPUTime(tb, pid)
	r := run()
	r.CPU = CPUTime(tb, pid) - cpu
	for thread, n := range switchesOf(tb, pid) {
		r.Switches += n - waited[thread]
	}
	return r
}
