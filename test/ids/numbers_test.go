// SPDX-License-Identifier: Apache-2.0

//go:build boot

package ids

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/rig"
)

// TestUMLNumbers has an export on one file system whose inode numbers have so many
// different upper bits that files are numbered one by one: an overlay that puts there
// which of twenty file systems a file is on.
func TestUMLNumbers(t *testing.T) {
	s := newSite(t)
	var layers []*volume
	for n := range 20 {
		layers = append(layers, s.prepare(&volume{fill: layer(fmt.Sprint(n))}))
	}
	upper := s.prepare(&volume{disk: rig.MakeDisk(t, rig.DiskConfig{}), fill: layer("upper")})
	s.prepare(&volume{at: ".", overlay: func() string {
		var lowers []string
		for _, v := range layers {
			lowers = append(lowers, v.stage)
		}
		return overlayOptions(lowers, upper.stage) + ",xino=on"
	}})
	s.up(false)
	if n := inodePrefixes(t, s.export); n <= 16 {
		t.Fatalf("the inode numbers have %d different upper bits: too few for the test", n)
	}
	l := newLedger(t)
	d := rig.StartDaemon(t, s.export)
	for round := range 2 {
		g := rig.UML(t, d, rig.GuestConfig{Script: look(round) + "sleep 1000"})
		until := rand.IntN(70)
		rig.Eventually(t, patience, func() error {
			if n := strings.Count(g.Stdout(), "\nid "); n < until {
				return fmt.Errorf("the guest was told of %d files, %d are to be", n, until)
			}
			return nil
		})
		time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond)
		d.Kill()
		output := g.Stdout()
		g.Kill()
		t.Logf("round %d: killed when the guest had been told of %d files", round, l.enter(fmt.Sprint("round ", round), output))
		d.Start()
	}
	d.Restart()
	l.whole("killed and restarted", looked(t, d, 2, "both", "of-7"))
	wantTable(t, d, "xattr")
	if n := d.Metrics()["vhost_user_9p_qid_numbers"]; n < 10 {
		t.Errorf("only %v files are numbered one by one", n)
	}
}

// inodePrefixes counts the different upper 16 bits of inode numbers in a folder.
func inodePrefixes(t *testing.T, dir string) int {
	t.Helper()
	all := map[uint64]bool{}
	must(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		all[st.Ino>>48] = true
		return nil
	}))
	return len(all)
}
