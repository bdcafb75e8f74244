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

// export makes the tree.
func export(t *testing.T) string {
	t.Helper()
	rig.NeedRoot(t)
	dir := rig.Export(t)
	if err := cases.Make(dir); err != nil {
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
		t.Run(c.Name, func(t *testing.T) {
			for _, depth := range []int{1, 16, 64} {
				if !c.HasDepth(depth) {
					continue
				}
				s.Prepare(c, depth)
				for range 2 {
					r := s.Run(20 * time.Millisecond)
					if r.Operations < int64(depth) {
						t.Errorf("depth %d: %d operations", depth, r.Operations)
					}
					t.Logf("depth %2d: %6.1f us/op, cpu %6.1f us/op, %.2f switches/op", depth,
						float64(r.Elapsed.Nanoseconds())/1e3/float64(r.Operations), float64(r.CPU.Nanoseconds())/1e3/float64(r.Operations), float64(r.Switches)/float64(r.Operations))
				}
				s.Finish()
			}
		})
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

func TestFUSE(t *testing.T) {
	if testing.Short() {
		t.Skip("missing: time to make the Debian root that has virtiofsd")
	}
	dir := export(t)
	d := rig.StartVirtiofsd(t, dir)
	every(t, drive.DialFUSE(t, d.Socket, d.Pid()))
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
	for i := range cases.Slots {
		entries, err := os.ReadDir(dir + "/" + cases.DirName(i))
		if err != nil || len(entries) != 1 || entries[0].Name() != cases.RenameFrom {
			t.Errorf("in %s: %v, %v", cases.DirName(i), entries, err)
		}
	}
}
