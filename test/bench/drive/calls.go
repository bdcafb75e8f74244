// SPDX-License-Identifier: Apache-2.0

package drive

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// AllCalls is the name of the sum of all system calls.
const AllCalls = "all"

// CountCalls returns how many system calls a process makes while f runs: those that are
// named, and AllCalls. They are counted by the kernel's tracepoints, in all threads, those
// included that are made meanwhile: unlike a tracer that does not slow them down.
func CountCalls(tb testing.TB, pid int, f func(), names ...string) map[string]float64 {
	tb.Helper()
	counters := map[string][]int{} // perf event fds, one for each thread
	defer func() {
		for _, fds := range counters {
			for _, fd := range fds {
				_ = unix.Close(fd)
			}
		}
	}()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range append(names, AllCalls) {
		event := tracepoint(tb, name)
		for _, task := range tasks {
			tid, err := strconv.Atoi(task.Name())
			if err != nil {
				tb.Fatal(err)
			}
			attr := unix.PerfEventAttr{
				Type:   unix.PERF_TYPE_TRACEPOINT,
				Size:   unix.PERF_ATTR_SIZE_VER0, // none of the later fields is needed
				Config: event,
				Bits:   unix.PerfBitInherit,
			}
			fd, err := unix.PerfEventOpen(&attr, tid, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
			if err == unix.ESRCH {
				continue // the thread has ended
			}
			if err != nil {
				tb.Fatalf("perf_event_open: %v", err)
			}
			counters[name] = append(counters[name], fd)
		}
	}
	// They count from when they are made: the process may have done something since.
	before := map[string]float64{}
	for name, fds := range counters {
		before[name] = sum(tb, fds)
	}
	f()
	made := map[string]float64{}
	for name, fds := range counters {
		made[name] = sum(tb, fds) - before[name]
	}
	return made
}

// tracepoint returns the number of the one at the beginning of a system call, or of all.
func tracepoint(tb testing.TB, name string) uint64 {
	tb.Helper()
	event := "syscalls/sys_enter_" + name
	if name == AllCalls {
		event = "raw_syscalls/sys_enter"
	}
	id, err := os.ReadFile("/sys/kernel/tracing/events/" + event + "/id")
	if err != nil {
		tb.Fatalf("the kernel's tracepoints (tracefs): %v", err)
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(id)), 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// sum adds counters up.
func sum(tb testing.TB, fds []int) (total float64) {
	tb.Helper()
	for _, fd := range fds {
		var n [8]byte
		if _, err := unix.Read(fd, n[:]); err != nil {
			tb.Fatal(err)
		}
		total += float64(binary.NativeEndian.Uint64(n[:]))
	}
	return total
}
