// SPDX-License-Identifier: Apache-2.0

//go:build boot

package boot

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vhost-user-9p/test/rig"
	"vhost-user-9p/test/tree"
)

// queuesStarted counts the queues that a daemon has started, packed and split.
func queuesStarted(d *rig.Daemon) (packed, split int) {
	for line := range strings.Lines(d.Log()) {
		if strings.Contains(line, "queue started") {
			packed += strings.Count(line, "layout=packed")
			split += strings.Count(line, "layout=split")
		}
	}
	return packed, split
}

// packedGuest has a guest make a tree, read it, and write from several processes at once,
// while during is run; the daemon offers packed virtqueues.
func packedGuest(t *testing.T, vehicle rig.Vehicle, c rig.GuestConfig, during func(*rig.Guest, string)) {
	t.Helper()
	export := rig.Export(t)
	d := rig.StartDaemon(t, export, "--packed")
	spec := tree.Spec{Seed: 8, Files: 100, WholeSeconds: true}
	c.Script = fmt.Sprintf(`
"$guest" generate -seed %d -files %d -seconds tree
"$guest" manifest tree >manifest
mkdir load
"$guest" writers -n 4 load
"$guest" verifywriters load
`, spec.Seed, spec.Files)
	c.Packed = true
	g := vehicle(t, d, c)
	journal := filepath.Join(export, "load/0/journal")
	rig.Eventually(t, 2*time.Minute, func() error { return longer(journal, 20) })
	during(g, journal)
	write(t, "", export, "load/stop")
	g.Wait(2 * time.Minute)
	if err := tree.Compare(manifest(t, filepath.Join(export, "tree")), read(t, export, "manifest")); err != nil {
		t.Error(err)
	}
	run(t, rig.Program(t, "test/guest"), "verifywriters", filepath.Join(export, "load"))
	if packed, split := queuesStarted(d); packed == 0 || split != 0 {
		t.Errorf("%d packed queues were started, and %d split ones", packed, split)
	}
}

// TestQEMUPacked has a guest use a packed virtqueue, which is stopped and continued again and
// again in the middle of the ring.
func TestQEMUPacked(t *testing.T) {
	for _, size := range []int{128, 64} {
		t.Run(fmt.Sprintf("size=%d", size), func(t *testing.T) {
			packedGuest(t, rig.QEMU, rig.GuestConfig{Bare: true, VQSize: size}, func(g *rig.Guest, journal string) {
				qmp := g.QMP()
				for round := range 10 {
					qmp.Run("stop")
					qmp.WaitEvents("STOP", round+1)
					lines := lineCounts(t, []string{journal})[0]
					qmp.Run("cont")
					qmp.WaitEvents("RESUME", round+1)
					rig.Eventually(t, time.Minute, func() error { return longer(journal, lines) })
				}
			})
		})
	}
}

// TestQEMUPackedReboot: the ring begins anew, with its wrap counters at 1.
func TestQEMUPackedReboot(t *testing.T) {
	export := rig.Export(t)
	d := rig.StartDaemon(t, export, "--packed")
	rig.QEMU(t, d, rig.GuestConfig{Bare: true, Packed: true, Reboot: true, Script: `
boot=$(cat boots 2>/dev/null || echo 0)
boot=$((boot + 1))
echo $boot >boots
for n in $(seq 100); do echo $n >file-$boot-$n; done
if [ $boot -lt 3 ]; then
	sync
	reboot -f
	sleep 1000
fi
`}).Wait(3 * time.Minute)
	if boots := read(t, export, "boots"); boots != "3\n" {
		t.Errorf("boots: %q", boots)
	}
	if packed, split := queuesStarted(d); packed != 3 || split != 0 {
		t.Errorf("%d packed queues were started, and %d split ones; want 3 and 0", packed, split)
	}
}

// TestUMLPacked: User-mode Linux takes what the daemon offers. It says 0 of where the ring
// begins, wrap counters included.
func TestUMLPacked(t *testing.T) {
	packedGuest(t, rig.UML, rig.GuestConfig{}, func(*rig.Guest, string) { time.Sleep(time.Second) })
}
