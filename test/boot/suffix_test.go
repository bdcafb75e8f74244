// SPDX-License-Identifier: Apache-2.0

//go:build boot

package boot

import (
	"testing"
	"time"

	"vhost-user-9p/test/rig"
)

// TestQEMUSuffixes has QEMU's own 9p server (multidevs=remap) and the daemon, with the
// layout that is QEMU's, serve one export in turn: a guest sees the same inode numbers.
func TestQEMUSuffixes(t *testing.T) {
	export := fileSystems(t)
	d := rig.StartDaemon(t, export, "--qid-layout", "suffix")
	seen := func(model string) map[string]string {
		t.Helper()
		g := rig.QEMU(t, d, rig.GuestConfig{OwnModel: model, Bare: true, Script: `
stat -c '%i %n' . >/tmp/seen
find own a b | xargs stat -c '%i %n' >>/tmp/seen
cp /tmp/seen out
`})
		g.Wait(3 * time.Minute)
		return numbers(t, read(t, export, "out"))
	}
	theirs, ours := seen("passthrough"), seen("")
	if len(theirs) < 300 {
		t.Fatalf("%d files listed", len(theirs))
	}
	same(t, "the daemon after QEMU", theirs, ours)
	d.Restart()
	same(t, "the next daemon", theirs, seen(""))
}
