// SPDX-License-Identifier: Apache-2.0

//go:build boot

package ids

import (
	"maps"
	"testing"

	"vhost-user-9p/test/rig"
)

// TestQEMULayoutSuffix has a guest that QEMU's own 9p server serves, then one that the
// daemon serves in the layout suffix: they are told the same.
func TestQEMULayoutSuffix(t *testing.T) {
	s := newSite(t)
	s.prepare(&volume{at: ".", disk: rig.MakeDisk(t, rig.DiskConfig{})})
	addSubmounts(t, s)
	s.up(false)
	// What is under the mount points has numbers, too, which nobody may be told.
	list := rig.GuestConfig{Bare: true, Script: `
find . | while read -r path; do stat -c 'id %i %n' "$path"; done | sed 's, \./, ,'
`}
	own := list
	own.OwnModel = "passthrough"
	d := rig.StartDaemon(t, s.export, "--qid-layout", "suffix")
	theirs := newLedger(t)
	theirs.whole("QEMU's server", rig.QEMU(t, d, own).Wait(patience))
	l := newLedger(t)
	l.whole("the daemon", rig.QEMU(t, d, list).Wait(patience))
	if !maps.Equal(theirs.ids, l.ids) {
		t.Errorf("%d IDs, and %d from QEMU's server", len(l.ids), len(theirs.ids))
		for path, id := range theirs.ids {
			if l.ids[path] != id {
				l.problem("%s has the ID %#x, from QEMU's server %#x", path, l.ids[path], id)
			}
		}
	}
	prefixes := map[uint64]bool{}
	for _, id := range l.ids {
		prefixes[id>>48] = true
	}
	if len(prefixes) != 1 {
		t.Errorf("IDs are not small: they have %d different upper bits", len(prefixes))
	}
	wantTable(t, d, "xattr")
	d.Restart()
	l.whole("the next daemon", looked(t, d, 2, submounts[2], submounts[3]))
}
