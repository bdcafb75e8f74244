// SPDX-License-Identifier: Apache-2.0

//go:build boot

package ids

import (
	"strings"
	"testing"

	"vhost-user-9p/test/rig"
)

// TestUMLCopies has copies of file systems, with the same UUID and the same inode
// numbers, in one export from the beginning: two of one, and one of the root's.
func TestUMLCopies(t *testing.T) {
	s := newSite(t)
	top, a := rig.MakeDisk(t, rig.DiskConfig{}), rig.MakeDisk(t, rig.DiskConfig{})
	s.prepare(&volume{at: ".", disk: top})
	s.prepare(&volume{at: "m/a", disk: a})
	s.prepare(&volume{at: "m/a-copy", disk: a.Copy()})
	s.prepare(&volume{at: "m/top-copy", disk: top.Copy()})
	s.up(false)
	l := newLedger(t)
	d := rig.StartDaemon(t, s.export)
	l.whole("the first guest", looked(t, d, 1))
	d.Restart()
	l.whole("the next daemon, copies first", looked(t, d, 2, "m/top-copy", "m/a-copy"))
	d.Kill()
	d.Start()
	l.whole("the daemon after that, the other one first", looked(t, d, 3, "m/a"))
	wantTable(t, d, "xattr")
}

// TestUMLCopyComes has a copy come while the daemon runs: what was known keeps its IDs.
func TestUMLCopyComes(t *testing.T) {
	s := newSite(t)
	a := rig.MakeDisk(t, rig.DiskConfig{})
	twin := a.Copy()
	s.prepare(&volume{at: ".", disk: rig.MakeDisk(t, rig.DiskConfig{})})
	s.prepare(&volume{at: "m/a", disk: a})
	s.up(false)
	l := newLedger(t)
	d := rig.StartDaemon(t, s.export)
	l.whole("before the copy", looked(t, d, 1))
	comes := s.add(&volume{at: "m/copy", disk: twin})
	l.whole("the copy has come", looked(t, d, 2, "m/copy"))
	d.Restart()
	l.whole("the next daemon, the copy first", looked(t, d, 3, "m/copy"))
	wantTable(t, d, "xattr")

	// Alone again, it has its IDs under any device number.
	d.Stop()
	s.drop(comes)
	s.moved()
	l.forget(func(path string) bool { return strings.HasPrefix(path, "m/copy") })
	d.Start()
	l.whole("the copy has gone", looked(t, d, 4, "m/a"))
}
