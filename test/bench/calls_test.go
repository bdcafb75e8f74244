// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"vhost-user-9p/test/bench/cases"
	"vhost-user-9p/test/bench/drive"
	"vhost-user-9p/test/rig"
)

// calls is how many system calls there are for each operation, by name.
type calls map[string]float64

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
	{"walk 8", calls{"statx": 8}, [...]float64{4.6, 0.8}},
	{"missing name", calls{"statx": 1}, [...]float64{2.3, 0.2}},
	{"open+close", calls{"openat": 1, "statx": 1, "close": 1}, [...]float64{6.9, 0.8}},
	{"create+unlink", calls{"openat2": 2, "openat": 0, "statx": 3, "unlinkat": 1, "close": 2}, [...]float64{9.2, 4}}, // long enough to be told of one by one
	{"mkdir+rmdir", calls{"mkdirat": 1, "statx": 2, "unlinkat": 1}, [...]float64{4.6, 4}},
	{"rename", calls{"renameat2": 1, "statx": 0}, [...]float64{2.3, 0.4}},
	{"read 4 KiB", calls{"preadv2": 1}, [...]float64{2.3, 0.2}},
	{"write 4 KiB", calls{"pwrite64": 1}, [...]float64{2.3, 0.3}},
}

const (
	turns = 4000 // of a slot, of one operation or two
	// stray is how much more of an exact call there may be: the runtime makes some now and
	// then, for itself.
	stray = 0.01
	// patience is how long it is tried again: on a busy machine there are more waits and
	// notifications, by chance, and a page that is locked is not read without waiting for it.
	patience = 20 * time.Second
)

// within returns what is wrong with the number of calls that operations took.
func within(made map[string]float64, operations int64, files calls, most float64) error {
	others := made[drive.AllCalls] / float64(operations)
	for name, n := range files {
		each := made[name] / float64(operations)
		others -= each
		if each < n || each > n+stray {
			return fmt.Errorf("%.3f %s, not %v", each, name, n)
		}
	}
	if others > most {
		return fmt.Errorf("%.3f other calls, more than %v", others, most)
	}
	return nil
}

// TestSystemCalls counts the system calls of the daemon, from outside.
func TestSystemCalls(t *testing.T) {
	rig.NeedRoot(t)
	dir := rig.Export(t)
	if err := cases.Make(dir, depths[len(depths)-1], 0); err != nil {
		t.Fatal(err)
	}
	// Where waiting and notifying meet is least a matter of chance on one processor.
	put(t, drive.Together)
	d := rig.StartDaemon(t, dir)
	server := drive.DialNineP(t, d.Socket, d.Pid())
	for _, want := range budgets {
		c := cases.ByName(want.name)
		for k, depth := range depths {
			t.Run(fmt.Sprintf("%s/depth=%d", want.name, depth), func(t *testing.T) {
				server.Prepare(c, depth)
				server.Count(turns) // files are open, threads are there
				names := slices.Collect(maps.Keys(want.files))
				var wrong error
				for end := time.Now().Add(patience); ; {
					made := drive.CountCalls(t, d.Pid(), func() { server.Count(turns) }, names...)
					if wrong = within(made, turns*c.Operations(), want.files, want.others[k]); wrong == nil {
						return
					}
					if time.Now().After(end) {
						t.Fatal(wrong)
					}
				}
			})
		}
	}
}
