// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", d.Pid()))
	if err != nil {
		d.t.Fatal(err)
	}
	all := map[string]int64{}
	for _, path := range threads {
		thread := "task/" + filepath.Base(path) + "/status"
		all[thread] = d.number(thread, "voluntary_ctxt_switches:") + d.number(thread, "nonvoluntary_ctxt_switches:")
	}
	return all
}

// number returns the number on the line of a file in /proc/PID that begins so; 0 if the file
// is gone, with the thread that it was about.
func (d *Daemon) number(file, begin string) int64 {
	d.t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", d.Pid(), file))
	for line := range strings.Lines(string(content)) {
		if text, ok := strings.CutPrefix(line, begin); ok {
			n, err := strconv.ParseInt(strings.Fields(text)[0], 10, 64)
			if err != nil {
				d.t.Fatalf("%s: %v", file, err)
			}
			return n
		}
	}
	if err == nil {
		d.t.Fatalf("%s has no line %q", file, begin)
	}
	return 0
}
