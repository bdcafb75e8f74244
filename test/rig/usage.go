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
	status, err := os.ReadFile(filepath.Join(thread, "status"))
	if err != nil {
		return 0, 0, false
	}
	found := 0
	for line := range strings.Lines(string(status)) {
		for begin, n := range map[string]*int64{"voluntary_ctxt_switches:": &waits, "nonvoluntary_ctxt_switches:": &forced} {
			text, is := strings.CutPrefix(line, begin)
			if !is {
				continue
			}
			if *n, err = strconv.ParseInt(strings.TrimSpace(text), 10, 64); err != nil {
				tb.Fatalf("%s/status: %v", thread, err)
			}
			found++
		}
	}
	if found != 2 {
		tb.Fatalf("%s/status does not tell the context switches", thread)
	}
	return waits, forced, true
}

// number returns the number on the line of a file in /proc/PID that begins so.
func (d *Daemon) number(file, begin string) int64 {
	d.t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", d.Pid(), file))
	if err != nil {
		d.t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if text, ok := strings.CutPrefix(line, begin); ok {
			n, err := strconv.ParseInt(strings.Fields(text)[0], 10, 64)
			if err != nil {
				d.t.Fatalf("%s: %v", file, err)
			}
			return n
		}
	}
	d.t.Fatalf("%s has no line %q", file, begin)
	return 0
}
