// SPDX-License-Identifier: Apache-2.0

package drive_test

import (
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/bench/drive"
	"vhost-user-9p/test/rig"
)

// TestPlace looks at the processors of a process that is started in each placement, one after
// the other.
func TestPlace(t *testing.T) {
	t.Cleanup(func() {
		if err := drive.Place(drive.Free); err != nil {
			t.Error(err)
		}
	})
	processors := func(place drive.Placement) int {
		t.Helper()
		if err := drive.Place(place); err != nil {
			t.Fatal(err)
		}
		var set unix.CPUSet
		if err := unix.SchedGetaffinity(rig.StartProcess(t, exec.Command("sleep", "60")), &set); err != nil {
			t.Fatal(err)
		}
		return set.Count()
	}
	all := processors(drive.Free)
	if all < 2 {
		t.Skip("missing capability: two processors")
	}
	for _, want := range []struct {
		place drive.Placement
		n     int
	}{{drive.Together, 1}, {drive.Apart, all - 1}, {drive.Together, 1}, {drive.Free, all}} {
		if n := processors(want.place); n != want.n {
			t.Errorf("%s: a server has %d processors of %d, want %d", want.place, n, all, want.n)
		}
	}
	if err := drive.Place("elsewhere"); err == nil {
		t.Error("a placement that there is not")
	}
}
