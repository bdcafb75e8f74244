// SPDX-License-Identifier: Apache-2.0

//go:build boot

package boot

import (
	"strings"
	"testing"
	"time"

	"vhost-user-9p/test/rig"
)

// TestQEMUOwners lets QEMU's own 9p server and the daemon serve the same export in turn, in
// each security model: what a guest of the one writes, a guest of the other sees alike.
func TestQEMUOwners(t *testing.T) {
	if rig.Peer() {
		t.Skip("missing capability: two servers")
	}
	for _, model := range []string{"passthrough", "mapped-xattr", "mapped-file", "none"} {
		t.Run(model, func(t *testing.T) {
			rig.NeedRoot(t) // for QEMU
			export := rig.Export(t)
			const options = "posixacl"
			// Each part ends with a line of its own.
			script := func(parts ...string) string { return strings.Join(parts, "\necho next\n") }
			const list = `"$guest" describeowners `
			write := func(dir string) string { return `"$guest" owners ` + dir + ` && "$guest" ownersacls ` + dir }
			change := func(dir string) string { return `"$guest" changeowners ` + dir + ` && "$guest" changeacls ` + dir }
			if model == "none" { // in which QEMU has no access control lists
				write = func(dir string) string { return `"$guest" owners ` + dir }
				change = func(dir string) string { return `"$guest" changeowners ` + dir }
			}
			// The daemon does not run while QEMU serves.
			d := rig.StartDaemon(t, export, "--security-model", model)
			d.Stop()
			theirs := listings(t, rig.QEMU(t, d, rig.GuestConfig{OwnModel: model, Bare: true, Options: options,
				Script: script(write("."), list+".")}))
			d.Start()
			ours := listings(t, rig.UML(t, d, rig.GuestConfig{Options: options, Script: script(
				list+".", change("."), list+".", "mkdir new; "+write("new"), list+"new")}))
			d.Stop()
			compare(t, "what QEMU's guest wrote", ours[0], theirs[1])
			again := listings(t, rig.QEMU(t, d, rig.GuestConfig{OwnModel: model, Bare: true, Options: options, Script: script(
				list+"new", change("new"), list+"new", `rm -r new`, list+".")}))
			compare(t, "what our guest wrote", again[0], ours[4])
			compare(t, "what our guest changed", again[4], ours[2])
			compare(t, "what QEMU's guest changed", again[2], ours[2])
		})
	}
}

// listings returns what the commands of a guest's script have written.
func listings(t *testing.T, g *rig.Guest) []string {
	t.Helper()
	out := g.Wait(2 * time.Minute)
	_, out, _ = strings.Cut(out, "the command runs\n")
	return strings.Split(out, "next\n")
}

// compare compares listings line by line.
func compare(t *testing.T, what, got, want string) {
	t.Helper()
	if strings.Count(want, "\n") < 20 {
		t.Errorf("%s: there are %d lines:\n%s", what, strings.Count(want, "\n"), want)
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	have := map[string]bool{}
	for _, line := range g {
		have[line] = true
	}
	for _, line := range w {
		if !have[line] {
			t.Errorf("%s: missing: %s", what, line)
		}
		delete(have, line)
	}
	for line := range have {
		t.Errorf("%s: in its place: %s", what, line)
	}
}
