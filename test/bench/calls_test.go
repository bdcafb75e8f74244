// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/bench/cases"
	"vhost-user-9p/test/bench/drive"
	"vhost-user-9p/test/rig"
)

// calls is how many system calls there are for each operation, by name.
type calls map[string]float64

// all is the name of the sum of all calls.
const all = "all"

// counter counts the system calls of a process, those of its threads that are made later
// included, by the kernel's tracepoints: unlike a tracer it does not slow them down.
type counter map[string][]int // perf event fds, by name

// newCounter counts those with the names and all of them.
func newCounter(t *testing.T, pid int, names ...string) counter {
	t.Helper()
	c := counter{}
	t.Cleanup(func() {
		for _, fds := range c {
			for _, fd := range fds {
				_ = unix.Close(fd)
			}
		}
	})
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, all) {
		event := "syscalls/sys_enter_" + name
		if name == all {
			event = "raw_syscalls/sys_enter"
		}
		id, err := os.ReadFile("/sys/kernel/tracing/events/" + event + "/id")
		if err != nil {
			t.Fatalf("the kernel's tracepoints (tracefs): %v", err)
		}
		config, err := strconv.ParseUint(strings.TrimSpace(string(id)), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range tasks {
			tid, err := strconv.Atoi(task.Name())
			if err != nil {
				t.Fatal(err)
			}
			attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_TRACEPOINT, Config: config, Bits: unix.PerfBitInherit}
			attr.Size = uint32(binary.Size(attr))
			fd, err := unix.PerfEventOpen(&attr, tid, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
			if err == unix.ESRCH {
				continue // the thread has ended
			}
			if err != nil {
				t.Fatalf("perf_event_open: %v", err)
			}
			c[name] = append(c[name], fd)
		}
	}
	return c
}

// during returns what was counted while f made a number of operations.
func (c counter) during(t *testing.T, operations float64, f func()) calls {
	t.Helper()
	made := calls{}
	for name, fds := range c {
		made[name] = -read(t, fds)
	}
	f()
	for name, fds := range c {
		made[name] = (made[name] + read(t, fds)) / operations
	}
	return made
}

func read(t *testing.T, fds []int) (sum float64) {
	t.Helper()
	for _, fd := range fds {
		var n [8]byte
		if _, err := unix.Read(fd, n[:]); err != nil {
			t.Fatal(err)
		}
		sum += float64(binary.NativeEndian.Uint64(n[:]))
	}
	return sum
}

// depths are those that budgets have figures for: one request at a time, and many.
var depths = [...]int{1, 16}

// budgets says which system calls an operation makes: those on files, which are exact, and
// the most of all others together. Of these each message needs at most two, one that waits for it
// and one that notifies the driver of the answer, and many messages in flight share them.
var budgets = []struct {
	name   string
	files  calls
	others [len(depths)]float64
}{
	{"getattr", calls{"statx": 1}, [...]float64{2.3, 0.2}},
	{"walk 1", calls{"statx": 1}, [...]float64{4.6, 0.4}},
	{"walk 8", calls{"statx": 8}, [...]float64{4.6, 0.6}},
	{"missing name", calls{"statx": 1}, [...]float64{2.3, 0.2}},
	{"open+close", calls{"openat": 1, "statx": 1, "close": 1}, [...]float64{6.9, 0.6}},
	{"create+unlink", calls{"openat2": 1, "openat": 1, "statx": 2, "unlinkat": 1, "close": 2}, [...]float64{9.2, 4}}, // long enough to be told of one by one
	{"read 4 KiB", calls{"preadv2": 1}, [...]float64{2.3, 0.2}},
	{"write 4 KiB", calls{"pwritev2": 1}, [...]float64{2.3, 0.2}},
}

const (
	operations = 4000
	// stray is how much more of an exact call there may be: the runtime makes some now and
	// then, for itself.
	stray = 0.01
	// On a busy machine there are more waits and notifications, by chance: what counts is the
	// least of so many attempts.
	attempts = 15
)

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
				counter := newCounter(t, d.Pid(), slices.Collect(maps.Keys(want.files))...)
				least := math.Inf(1)
				for range attempts {
					made := counter.during(t, operations, func() { server.Count(operations) })
					others := made[all]
					for name, n := range want.files {
						others -= made[name]
						if made[name] < n || made[name] > n+stray {
							t.Fatalf("%.3f %s, not %v", made[name], name, n)
						}
					}
					if least = min(least, others); least <= want.others[k] {
						break
					}
				}
				t.Logf("%.3f other calls", least)
				if least > want.others[k] {
					t.Errorf("%.3f other calls, more than %v", least, want.others[k])
				}
			})
		}
	}
}
