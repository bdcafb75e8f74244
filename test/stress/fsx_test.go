// SPDX-License-Identifier: Apache-2.0

//go:build boot

package stress

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vhost-user-9p/test/fsx"
	"vhost-user-9p/test/rig"
)

// TestRandom has random operations made in a guest, two runs at once, compared with a model,
// in each cache mode. Left out is what Linux' driver does not do right there, before the
// server hears of it: see docs/testing.md. At the end the host must have what the model has.
func TestRandom(t *testing.T) {
	modes := []struct {
		cache      string
		cpus       int    // one where mappings are written to: see docs/testing.md
		one, other string // flags of the two runs
	}{
		{"none", 2, "-map none", "-map read -noappend"},
		{"readahead", 2, "-map none -noappend -drop", "-map read -noappend"},
		{"mmap", 1, "-drop", ""},
		{"loose", 1, "-drop", ""},
	}
	first := seed(t)
	for n, mode := range modes {
		t.Run(mode.cache, func(t *testing.T) {
			export := rig.Export(t)
			d := rig.StartDaemon(t, export)
			before := usageOf(t, d)
			duration := period(t) / time.Duration(len(modes))
			seeds := [2]uint64{first + uint64(2*n), first + uint64(2*n) + 1}
			g := rig.UML(t, d, rig.GuestConfig{Cache: mode.cache, CPUs: mode.cpus, Script: fmt.Sprintf(`
one() { "$guest" fsx -nolinks -for %v -seed %d %s seed-%[2]d; }
other() { "$guest" fsx -nolinks -for %[1]v -seed %[4]d %[5]s seed-%[4]d; }
part one one &
part other other
wait
`, duration, seeds[0], mode.one, seeds[1], mode.other)})
			g.Part("one", duration+time.Minute)
			g.Part("other", duration+time.Minute)
			t.Log(g.Wait(time.Minute))
			for _, seed := range seeds {
				dir := filepath.Join(export, fmt.Sprint("seed-", seed))
				if failure, err := os.ReadFile(dir + ".failure"); err == nil {
					t.Errorf("in the guest: %s", failure)
					continue
				}
				state, err := fsx.State(dir)
				if err != nil {
					t.Fatal(err)
				}
				if want := read(t, dir+".state"); state != want {
					t.Errorf("seed %d: the host has\n%s\nwant\n%s", seed, state, want)
				}
			}
			nothingLeft(t, d, before)
		})
	}
}
