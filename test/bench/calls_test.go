// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/bench/cases"
	"vhost-user-9p/test/bench/drive"
	"vhost-user-9p/test/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

// calls is how many system calls there are for each operation, by name.
type calls map[string]float64

// countCalls runs f, which makes a number of operations, while strace counts the system
// calls of all of a process's threads.
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
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // if it has not ended by then
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
				made[f[1]] = n / operations
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

// depths are those that budgets have figures for: one request at a time, and many.
var depths = [...]int{1, 16}

// budgets says which system calls an operation makes. Calls on files are exact. How often
// the driver is notified, and how often one thread wakes or waits for another (futex),
// depends on timing, which strace upsets: these are bounds, twice what is seen on a busy
// machine.
var budgets = []struct {
	name   string
	files  calls
	notify [len(depths)]float64
	futex  [len(depths)]float64
}{
	{"getattr", calls{"statx": 1}, [...]float64{1, 0.5}, [...]float64{4, 3}},
	{"walk 1", calls{"statx": 2, "openat2": 1, "close": 1}, [...]float64{2, 1}, [...]float64{8, 6}},
	{"missing name", calls{"statx": 1}, [...]float64{1, 0.5}, [...]float64{4, 3}},
	{"read 4 KiB", calls{"preadv2": 1}, [...]float64{1, 0.5}, [...]float64{4, 3}},
	{"write 4 KiB", calls{"pwritev2": 1}, [...]float64{1, 0.5}, [...]float64{4, 3}},
	{"create+unlink", calls{"openat2": 1, "openat": 1, "statx": 2, "unlinkat": 1, "close": 2}, [...]float64{4, 2}, [...]float64{16, 12}},
}

const (
	operations = 2000
	// stray is how much more of an exact call there may be: the runtime makes some now and
	// then, for itself.
	stray = 0.01
	// maxOthers bounds the sum of all calls that have no bound of their own: one more for each
	// operation is too much. Threads that are started make some.
	maxOthers = 1
)

// byTheClock are calls that threads make as time goes by: the more, the slower the machine.
var byTheClock = []string{"nanosleep", "epoll_pwait", "restart_syscall"}

// TestSystemCalls counts the system calls of the daemon, from outside.
func TestSystemCalls(t *testing.T) {
	rig.NeedRoot(t)
	dir := rig.Export(t)
	if err := cases.Make(dir, depths[len(depths)-1], 0); err != nil {
		t.Fatal(err)
	}
	d := rig.StartDaemon(t, dir)
	server := drive.DialNineP(t, d.Socket, d.Pid())
	for _, want := range budgets {
		c := cases.ByName(want.name)
		for k, depth := range depths {
			t.Run(fmt.Sprintf("%s/depth=%d", want.name, depth), func(t *testing.T) {
				server.Prepare(c, depth)
				server.Count(operations) // files are open, threads are there
				made := countCalls(t, d.Pid(), func() { server.Count(operations) })
				for name, n := range want.files {
					if made[name] < n || made[name] > n+stray {
						t.Errorf("%.3f %s, not %v", made[name], name, n)
					}
				}
				if n := made["write"]; n > want.notify[k]+stray {
					t.Errorf("%.3f notifications, more than %v", n, want.notify[k])
				}
				if n := made["futex"]; n > want.futex[k] {
					t.Errorf("%.3f futex, more than %v", n, want.futex[k])
				}
				others := 0.0
				for name, n := range made {
					if want.files[name] == 0 && name != "write" && name != "futex" && !slices.Contains(byTheClock, name) {
						others += n
					}
				}
				if others > maxOthers {
					t.Errorf("%.3f other calls, more than %v", others, maxOthers)
				}
				if t.Failed() {
					t.Logf("calls for each operation: %v", made)
				}
			})
		}
	}
}
