// SPDX-License-Identifier: Apache-2.0

//go:build boot

package boot

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vhost-user-9p/test/rig"
	"vhost-user-9p/test/tree"
)

// TestQEMUReboot has one daemon serve a guest that reboots by itself, that is reset from
// outside while it works, and that ends; then a new daemon serves a new guest.
func TestQEMUReboot(t *testing.T) {
	export := rig.Export(t)
	spec := tree.Spec{Seed: 5, Files: 60, WholeSeconds: true}
	made := generate(t, filepath.Join(rig.Dir(t), "made"), spec)
	d := rig.StartDaemon(t, export)
	const held = 60
	config := rig.GuestConfig{Bare: true, Reboot: true, Script: fmt.Sprintf(`
boot=$(cat boots 2>/dev/null || echo 0)
boot=$((boot + 1))
echo $boot >boots
case $boot in
1)
	"$guest" generate -seed %d -files %d -seconds tree
	exec 7>held-open 8<tree
	;;
*)
	"$guest" manifest tree >manifest-$boot
	;;
esac
echo "boot $boot"
case $boot in
1)
	sync
	reboot -f
	sleep 1000
	;;
2)
	for n in $(seq %d); do sleep 1000 <boots & done # each holds a file open
	mkdir load
	"$guest" writers load
	;;
*)
	mkdir load-$boot
	: >load-$boot/stop-soon
	(sleep 2; : >load-$boot/stop) &
	"$guest" writers -n 2 load-$boot
	"$guest" verifywriters load-$boot
	;;
esac
`, spec.Seed, spec.Files, held)}
	g := rig.QEMU(t, d, config)
	qmp := g.QMP()
	g.WaitFor("boot 1", 1, time.Minute)
	g.WaitFor("boot 2", 1, 2*time.Minute)
	journal := filepath.Join(export, "load/0/journal")
	rig.Eventually(t, time.Minute, func() error { return longer(journal, 20) })
	working := openFiles(t, d)
	qmp.Run("system_reset")
	g.WaitFor("boot 3", 1, 2*time.Minute)
	d.Alive()
	if !rig.Peer() {
		// Not at once: what the new guest looks at stays open for a moment.
		rig.Eventually(t, rig.Moment, func() error {
			if now := openFiles(t, d); now > working-held {
				return fmt.Errorf("the daemon has %d files open after the reset, %d before: it keeps what the guest has forgotten", now, working)
			}
			return nil
		})
	}
	g.Wait(2 * time.Minute)
	if n := qmp.Events("RESET"); n < 2 {
		t.Errorf("%d resets, want 2", n)
	}
	d.Restart()
	rig.QEMU(t, d, config).Wait(3 * time.Minute)
	for boot := 2; boot <= 4; boot++ {
		if err := tree.Compare(made, read(t, export, fmt.Sprint("manifest-", boot))); err != nil {
			t.Errorf("boot %d: %v", boot, err)
		}
	}
	if err := tree.Compare(made, manifest(t, filepath.Join(export, "tree"))); err != nil {
		t.Errorf("on the host: %v", err)
	}
}

// longer returns an error until a file has more lines.
func longer(path string, lines int) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if n := strings.Count(string(content), "\n"); n <= lines {
		return fmt.Errorf("%s has %d lines, %d were expected", filepath.Base(path), n, lines)
	}
	return nil
}

// openFiles counts the daemon's open files.
func openFiles(t *testing.T, d *rig.Daemon) int {
	t.Helper()
	if rig.Peer() {
		return 0
	}
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestQEMUStopAndContinue stops and continues a guest whose processes write all the
// time. While it is stopped nothing may change, and nothing may be lost or stuck after.
func TestQEMUStopAndContinue(t *testing.T) {
	export := rig.Export(t)
	d := rig.StartDaemon(t, export)
	g := rig.QEMU(t, d, rig.GuestConfig{Bare: true, Script: `
mkdir load
"$guest" writers -n 4 load
"$guest" verifywriters load
`})
	qmp := g.QMP()
	journals := make([]string, 4)
	for i := range journals {
		journals[i] = filepath.Join(export, "load", fmt.Sprint(i), "journal")
		rig.Eventually(t, time.Minute, func() error { return longer(journals[i], 3) })
	}
	for round := range 20 {
		qmp.Run("stop")
		qmp.WaitEvents("STOP", round+1)
		before := lineCounts(t, journals)
		names := listing(t, filepath.Join(export, "load"))
		time.Sleep(time.Duration(20+rand.IntN(200)) * time.Millisecond)
		if after := listing(t, filepath.Join(export, "load")); after != names {
			t.Errorf("round %d: the share has changed while the guest was stopped: %s, then %s", round, names, after)
		}
		qmp.Run("cont")
		qmp.WaitEvents("RESUME", round+1)
		for i, journal := range journals {
			rig.Eventually(t, time.Minute, func() error { return longer(journal, before[i]) })
		}
	}
	write(t, "", export, "load/stop")
	g.Wait(2 * time.Minute)
	run(t, rig.Program(t, "test/guest"), "verifywriters", filepath.Join(export, "load"))
}

func lineCounts(t *testing.T, paths []string) []int {
	t.Helper()
	counts := make([]int, len(paths))
	for i, path := range paths {
		counts[i] = strings.Count(read(t, path), "\n")
	}
	return counts
}

// listing describes the names, sizes and modification times in a folder and its
// subfolders.
func listing(t *testing.T, dir string) string {
	t.Helper()
	return run(t, "find", dir, "-printf", "%P %s %T@\n")
}

// TestUMLRestart has one daemon serve several guests, one after the other, one of which
// is killed, and a new daemon the next.
func TestUMLRestart(t *testing.T) {
	export := rig.Export(t)
	spec := tree.Spec{Seed: 6, Files: 200, WholeSeconds: true}
	d := rig.StartDaemon(t, export)
	rig.UML(t, d, rig.GuestConfig{Script: fmt.Sprintf("$guest generate -seed %d -files %d -seconds tree", spec.Seed, spec.Files)}).Wait(time.Minute)
	made := manifest(t, filepath.Join(export, "tree"))
	again := func(n int) {
		t.Helper()
		rig.UML(t, d, rig.GuestConfig{Script: fmt.Sprintf("$guest manifest tree >manifest-%d", n)}).Wait(time.Minute)
		if err := tree.Compare(made, read(t, export, fmt.Sprint("manifest-", n))); err != nil {
			t.Errorf("guest %d: %v", n, err)
		}
	}
	if rig.Peer() {
		d.Restart()
	}
	again(1)
	if rig.Peer() {
		d.Restart()
	}
	g := rig.UML(t, d, rig.GuestConfig{Script: "mkdir load; $guest writers load"})
	rig.Eventually(t, time.Minute, func() error { return longer(filepath.Join(export, "load/0/journal"), 5) })
	g.Kill()
	if rig.Peer() {
		d.Restart()
	}
	again(2)
	d.Restart()
	again(3)
}
