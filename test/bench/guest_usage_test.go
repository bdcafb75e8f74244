// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vhost-user-9p/test/bench/drive"
	"vhost-user-9p/test/rig"
)

// A meter tells what a process has used.
type meter struct {
	pid int
	// emulator leaves out the threads that are a virtual machine's processors.
	emulator bool
}

// usage is what a process has used up to a moment.
type usage struct {
	process time.Duration // CPU time of all threads, ended ones too
	threads map[string]thread
}

type thread struct {
	cpu      time.Duration
	switches int64 // voluntary
}

// read returns what the process has used up to now.
func (m meter) read(t *testing.T) usage {
	t.Helper()
	u := usage{process: drive.CPUTime(t, m.pid), threads: map[string]thread{}}
	processors := 0
	for _, dir := range rig.Threads(t, m.pid) {
		name, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil {
			continue // it has ended
		}
		if m.emulator && strings.HasPrefix(string(name), "CPU ") {
			processors++
			continue
		}
		schedstat, err := os.ReadFile(filepath.Join(dir, "schedstat"))
		if err != nil {
			continue
		}
		var one thread
		if _, err := fmt.Sscan(string(schedstat), &one.cpu); err != nil {
			t.Fatalf("%s/schedstat: %v", dir, err)
		}
		var ok bool
		if one.switches, _, ok = rig.ThreadSwitches(t, dir); ok {
			u.threads[dir] = one
		}
	}
	if m.emulator && processors == 0 {
		t.Fatal("QEMU has no thread that is named like a processor")
	}
	return u
}

// since returns what has been used from a moment on. What threads have used that have ended
// meanwhile is left out of the switches, and, for an emulator, of the CPU time.
func (m meter) since(t *testing.T, before usage) (cpu time.Duration, switches int64) {
	t.Helper()
	after := m.read(t)
	for id, one := range after.threads {
		cpu += one.cpu - before.threads[id].cpu
		switches += one.switches - before.threads[id].switches
	}
	if !m.emulator {
		cpu = after.process - before.process
	}
	return cpu, switches
}
