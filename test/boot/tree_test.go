// SPDX-License-Identifier: Apache-2.0

//go:build boot

package boot

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"vhost-user-9p/test/rig"
	"vhost-user-9p/test/tree"
)

func TestUMLTree(t *testing.T) {
	testTree(t, rig.UML, tree.Spec{Seed: 7, Files: 5000, Big: 1 << 30}, 10*time.Minute)
}

// Emulated, the whole tree would take a quarter of an hour: this one takes a minute and a
// half.
func TestQEMUTree(t *testing.T) {
	testTree(t, rig.QEMU, tree.Spec{Seed: 7, Files: 600, Big: 64 << 20}, 10*time.Minute)
}

// testTree copies a tree that the guest has made into the share and out again, has the
// guest make one right in the share, and copies one out that the host has made. Each
// must be the same for the guest, for the host, and as it was made.
func testTree(t *testing.T, vehicle rig.Vehicle, spec tree.Spec, timeout time.Duration) {
	rig.NeedRoot(t)
	export := rig.Export(t)
	fromHost := generate(t, filepath.Join(export, "host"), spec)
	spec.WholeSeconds = true
	made := generate(t, filepath.Join(rig.Dir(t), "made"), spec)
	d := rig.StartDaemon(t, export)
	g := vehicle(t, d, rig.GuestConfig{Cache: "readahead", Script: fmt.Sprintf(`
mkdir out
generate() { "$guest" generate -seed %d -files %d -big %d -seconds "$1"; }
copied() {
	generate /tmp/made
	"$guest" manifest /tmp/made >out/made
	cp -a /tmp/made in
	"$guest" manifest in >out/in
	rm -r /tmp/made
	cp -a --sparse=always in /tmp/back
	"$guest" manifest /tmp/back >out/back
	rm -r /tmp/back
}
direct() {
	generate direct
	"$guest" manifest direct >out/direct
}
host() {
	"$guest" manifest host >out/host
	cp -a --sparse=always host /tmp/host
	"$guest" manifest /tmp/host >out/copy
}
part copied copied
part direct direct
part host host
`, spec.Seed, spec.Files, spec.Big)})
	g.Part("copied", timeout)
	g.Part("direct", timeout)
	g.Part("host", timeout)
	g.Wait(time.Minute)
	out := filepath.Join(export, "out")
	for _, c := range []struct{ what, want, got string }{
		{"made in the guest's memory", made, read(t, out, "made")},
		{"copied into the share, seen by the guest", made, read(t, out, "in")},
		{"copied into the share, seen by the host", made, manifest(t, filepath.Join(export, "in"))},
		{"copied into the share and out again", made, read(t, out, "back")},
		{"made in the share, seen by the guest", made, read(t, out, "direct")},
		{"made in the share, seen by the host", made, manifest(t, filepath.Join(export, "direct"))},
		{"made on the host, seen by the guest", fromHost, read(t, out, "host")},
		{"made on the host, copied out of the share", fromHost, read(t, out, "copy")},
		{"made on the host, afterwards", fromHost, manifest(t, filepath.Join(export, "host"))},
	} {
		if err := tree.Compare(c.want, c.got); err != nil {
			t.Errorf("the tree %s: %v", c.what, err)
		}
	}
}
