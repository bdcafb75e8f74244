// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Usage is what a daemon uses.
type Usage struct {
	RSS         int64 // bytes of memory, shared pages included
	PSS         int64 // bytes of memory, of shared pages its part
	Descriptors int
}

// Usage returns what the daemon uses.
func (d *Daemon) Usage() Usage {
	d.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.Pid()))
	if err != nil {
		d.t.Fatal(err)
	}
	return Usage{
		RSS:         d.number("status", "VmRSS:") << 10,
		PSS:         d.number("smaps_rollup", "Pss:") << 10,
		Descriptors: len(entries),
	}
}

// Switches returns the context switches, voluntary or not, of all the daemon's threads in a
// time, which it waits for: of what sleeps there are none.
func (d *Daemon) Switches(during time.Duration) (n int64) {
	d.t.Helper()
	before := d.switches()
	time.Sleep(during)
	for thread, after := range d.switches() {
		n += after - before[thread]
	}
	return n
}

// switches returns the number up to now of each thread.
func (d *Daemon) switches() map[string]int64 {
	d.t.Helper()
	all := map[string]int64{}
	for _, thread := range Threads(d.t, d.Pid()) {
		if waits, forced, ok := ThreadSwitches(d.t, thread); ok {
			all[thread] = waits + forced
		}
	}
	return all
}

// Threads returns the directories of a process's threads, /proc/PID/task/TID.
func Threads(tb testing.TB, pid int) []string {
	tb.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		tb.Fatal(err)
	}
	return threads
}

// ThreadSwitches returns how often a thread has waited, and how often it has lost its processor.
// It reports false if the thread has ended.
func ThreadSwitches(tb testing.TB, thread string) (waits, forced int64, ok bool) {
	tb.Helper()
	file := filepath.Join(thread, "status")
	waits, ok = number(tb, file, "voluntary_ctxt_switches:")
	if ok {
		forced, ok = number(tb, file, "nonvoluntary_ctxt_switches:")
	}
	return waits, forced, ok
}

// number returns the number on the line of a file in /proc/PID that begins so.
func (d *Daemon) number(file, begin string) int64 {
	d.t.Helper()
	path := fmt.Sprintf("/proc/%d/%s", d.Pid(), file)
	n, ok := number(d.t, path, begin)
	if !ok {
		d.t.Fatalf("%s is gone", path)
	}
	return n
}

// number returns the number on the line of a file that begins so. It reports false if the
// file is gone.
func number(tb testing.TB, file, begin string) (n int64, ok bool) {
	tb.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(content)) {
		if text, ok := strings.CutPrefix(line, begin); ok {
			n, err := strconv.ParseInt(strings.Fields(text)[0], 10, 64)
			if err != nil {
				tb.Fatalf("%s: %v", file, err)
			}
			return n, true
		}
	}
	tb.Fatalf("%s has no line %q", file, begin)
	return 0, false
}
