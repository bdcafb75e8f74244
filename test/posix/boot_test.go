// SPDX-License-Identifier: Apache-2.0

//go:build boot

package main

import (
	"os/exec"
	"slices"
	"testing"
	"time"

	"vhost-user-9p/test/rig"
)

func TestUMLPosix(t *testing.T) {
	for _, cache := range []string{"none", "mmap", "loose"} {
		t.Run(cache, func(t *testing.T) { testGuest(t, rig.UML, cache, 10*time.Minute) })
	}
	t.Run("readonly", testReadOnly)
}

func TestQEMUPosix(t *testing.T) { testGuest(t, rig.QEMU, "none", 20*time.Minute) }

// testGuest runs all checks in a guest, in the share.
func testGuest(t *testing.T, vehicle rig.Vehicle, cache string, timeout time.Duration) {
	rig.NeedRoot(t)
	export := rig.Export(t)
	compare(t, vehicle, rig.StartDaemon(t, export), cache, cache, "", checks, timeout)
}

// testReadOnly runs those for what cannot be written to with a daemon that forbids it.
func testReadOnly(t *testing.T) {
	rig.NeedRoot(t)
	export := rig.Export(t)
	if out, err := exec.Command(rig.Program(t, "test/posix"), "-prepare", export).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	compare(t, rig.UML, rig.StartDaemon(t, export, "--readonly"), "none", "readonly", "-readonly", 300, time.Minute)
}

// compare runs checks in a guest and holds what they see against the table of
// differences, of which it takes the rows of a column.
func compare(t *testing.T, vehicle rig.Vehicle, d *rig.Daemon, cache, column, flags string, least int, timeout time.Duration) {
	t.Helper()
	g := vehicle(t, d, rig.GuestConfig{Cache: cache, Programs: []string{"test/posix"}, Bare: true, Script: `
/run/vm/posix ` + flags + ` /mnt >/tmp/seen || true
cat /tmp/seen
`})
	seen := g.Wait(timeout)
	rows := differences(t)
	used := map[int]bool{}
	for _, c := range parse(t, seen, least) {
		if c.ok {
			continue
		}
		row := slices.IndexFunc(rows, func(d difference) bool { return d.explains(column, c) })
		if row < 0 {
			t.Errorf("%s: %s", c.name, c.seen)
		}
		used[row] = true
	}
	for i, d := range rows {
		if !used[i] && slices.Contains(d.caches, column) {
			t.Errorf("docs/protocol.md: the difference %q was not seen", d.check)
		}
	}
}
