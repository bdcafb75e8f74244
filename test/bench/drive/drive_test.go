// SPDX-License-Identifier: Apache-2.0

package drive_test

import (
	"os"
	"testing"
	"time"

	"vhost-user-9p/test/bench/cases"
	"vhost-user-9p/test/bench/drive"
	"vhost-user-9p/test/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

// depth is how many operations are in flight.
const depth = 4

// export makes the tree.
func export(t *testing.T) string {
	t.Helper()
	rig.NeedRoot(t)
	dir := rig.Export(t)
	if err := cases.Make(dir, depth, depth); err != nil {
		t.Fatal(err)
	}
	return dir
}

// every runs each case for a moment: the answers are checked as they come.
func every(t *testing.T, s drive.Server) {
	t.Helper()
	for _, c := range cases.All {
		if !s.Has(c) {
			continue
		}
		s.Prepare(c, depth)
		for range 2 {
			if r := s.Run(time.Millisecond); r.Operations < depth || r.Elapsed <= 0 || r.CPU <= 0 {
				t.Errorf("%s: %+v", c.Name, r)
			}
		}
		s.Finish()
	}
}

func TestNineP(t *testing.T) {
	dir := export(t)
	d := rig.StartDaemon(t, dir, "--max-msize", "4M")
	every(t, drive.DialNineP(t, d.Socket, d.Pid()))
	if t.Failed() {
		return
	}
	checkTree(t, dir)
}

func TestFloor(t *testing.T) {
	dir := export(t)
	every(t, drive.NewFloor(t, rig.Program(t, "test/bench/floor"), dir))
	every(t, drive.NewPlainLoop(t, rig.Program(t, "test/bench/floor"), dir))
	checkTree(t, dir)
}

// checkTree fails the test if what was made is not gone.
func checkTree(t *testing.T, dir string) {
	t.Helper()
	for i := range depth {
		entries, err := os.ReadDir(dir + "/" + cases.DirName(i))
		if err != nil || len(entries) != 1 || entries[0].Name() != cases.RenameFrom {
			t.Errorf("in %s: %v, %v", cases.DirName(i), entries, err)
		}
	}
}
