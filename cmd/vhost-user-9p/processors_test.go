// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestProcessors: the daemon keeps to the processors that it is told, with all its threads,
// also those that are made for requests.
func TestProcessors(t *testing.T) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		t.Fatal(err)
	}
	last := 0
	for cpu := range maxCPU + 1 {
		if allowed.IsSet(cpu) {
			last = cpu
		}
	}
	for args, want := range map[string]string{
		fmt.Sprintf("--cpus=%d", last):            fmt.Sprint(last),
		fmt.Sprintf("--cpus=%d,%d", last, maxCPU): fmt.Sprint(last), // what there is of them
		"--numa-node=0":                           nodeList(t, 0, &allowed),
		"--threads=1":                             list(&allowed),
	} {
		t.Run(args, func(t *testing.T) {
			p := startDaemon(t, args)
			g := connect(t, p.socket)
			g.mount()
			status, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.cmd.Process.Pid))
			if err != nil || len(status) < 3 {
				t.Fatalf("threads: %q, %v", status, err)
			}
			for _, path := range status {
				text, err := os.ReadFile(path)
				if os.IsNotExist(err) {
					continue // the thread has ended
				}
				if err != nil {
					t.Fatal(err)
				}
				_, rest, _ := strings.Cut(string(text), "\nCpus_allowed_list:\t")
				got, _, _ := strings.Cut(rest, "\n")
				set, err := parseCPUs(got)
				if err != nil {
					t.Fatalf("%s: %q", path, got)
				}
				if list(&set) != want {
					t.Errorf("%s: processors %s, want %s", path, list(&set), want)
				}
			}
		})
	}
}

// list returns the processors of a set.
func list(set *unix.CPUSet) string {
	var numbers []string
	for cpu := range maxCPU + 1 {
		if set.IsSet(cpu) {
			numbers = append(numbers, fmt.Sprint(cpu))
		}
	}
	return strings.Join(numbers, ",")
}

// nodeList returns the processors of a NUMA node that are in a set.
func nodeList(t *testing.T, node int, of *unix.CPUSet) string {
	t.Helper()
	set, err := nodeCPUs(node)
	if err != nil {
		t.Fatal(err)
	}
	for cpu := range maxCPU + 1 {
		if !of.IsSet(cpu) {
			set.Clear(cpu)
		}
	}
	return list(&set)
}

// TestProcessorsThatAreNot: what cannot be is said with the flag's name.
func TestProcessorsThatAreNot(t *testing.T) {
	dir := t.TempDir()
	common := []string{"--socket-path", filepath.Join(dir, "s"), "--shared-dir", dir, "--tag", "t"}
	for flag, say := range map[string]string{
		fmt.Sprintf("--cpus=%d", maxCPU): "--cpus: none of these processors may be used: invalid argument",
		"--numa-node=9999":               "--numa-node 9999: is not a NUMA node of this machine",
	} {
		got := runArgs(t, append(common, flag)...)
		if got.status != exitFailure || !strings.Contains(got.stderr, say) {
			t.Errorf("%s: %+v, want %q", flag, got, say)
		}
	}
}
