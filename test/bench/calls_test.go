// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/bench/cases"
	"vhost-user-9p/test/bench/drive"
	"vhost-user-9p/test/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

// calls is how many system calls a process makes, by name.
type calls map[string]float64

// countCalls runs f while strace counts the system calls of all of a process's threads.
func countCalls(t *testing.T, pid int, f func()) calls {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("missing program: strace")
	}
	out := filepath.Join(rig.Dir(t), "calls")
	cmd := exec.Command(strace, "-f", "-c", "-U", "calls,name", "-o", out, "-p", strconv.Itoa(pid))
	messages := &strings.Builder{}
	cmd.Stderr = messages
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	rig.Eventually(t, rig.Moment, func() error { return traced(pid, cmd.Process.Pid) })
	f()
	_ = cmd.Process.Signal(unix.SIGINT) // strace detaches, and says what it has counted
	_ = cmd.Wait()
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatalf("strace: %v\n%s", err, messages)
	}
	made := calls{}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 2 {
			if n, err := strconv.ParseFloat(f[0], 64); err == nil && f[1] != "total" {
				made[f[1]] = n
			}
		}
	}
	return made
}

// traced returns nil when all threads of a process have a tracer.
func traced(pid, tracer int) error {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		return err
	}
	for _, file := range files {
		status, err := os.ReadFile(file)
		if err == nil && !strings.Contains(string(status), fmt.Sprintf("TracerPid:\t%d\n", tracer)) {
			return fmt.Errorf("strace has not attached to %s", file)
		}
	}
	return nil
}

func TestSystemCalls(t *testing.T) {
	rig.NeedRoot(t)
	dir := rig.Export(t)
	if err := cases.Make(dir); err != nil {
		t.Fatal(err)
	}
	d := rig.StartDaemon(t, dir)
	server := drive.DialNineP(t, d.Socket, d.Pid())
	const operations = 2000
	for _, c := range cases.All {
		for _, depth := range []int{1, 16} {
			if c.Streams() || c.Kind == cases.Readdir {
				continue
			}
			server.Prepare(c, depth)
			server.Run(100 * time.Millisecond)
			made := countCalls(t, d.Pid(), func() { server.Count(operations) })
			t.Logf("%s %d", c.Name, depth)
			for name, n := range made {
				t.Logf("    %-20s %.3f", name, n/operations)
			}
		}
	}
}
