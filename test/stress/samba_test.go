// SPDX-License-Identifier: Apache-2.0

//go:build boot

package stress

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vhost-user-9p/test/rig"
)

//go:embed testdata/samba.sh
var sambaScript string

// TestSamba has a Samba server in the guest serve the share on to two clients, with oplocks
// and without. Its own test program must find on the share what it finds on the guest's
// tmpfs, and the file IDs must be the same when another daemon has served another boot, which
// meets the file systems of the export in another order.
func TestSamba(t *testing.T) {
	rig.NeedRoot(t)
	export := rig.Export(t)
	for n := range 3 {
		dir := filepath.Join(export, "nine", fmt.Sprint("disk-", n))
		rig.MountDisk(t, dir)
		for m := range 3 {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprint("file-", m)), []byte("content"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	d := rig.StartDaemon(t, export)
	before := usageOf(t, d)
	guest := func(run int) *rig.Guest {
		return rig.UML(t, d, rig.GuestConfig{CPUs: 2, Files: []string{"testdata/clients.py"}, Script: fmt.Sprintf("run=%d\n", run) + sambaScript})
	}
	g := guest(1)
	for _, part := range []string{"sessions-oplocks", "torture-oplocks", "clients-oplocks", "sessions", "torture", "clients"} {
		g.Part(part, 3*time.Minute)
	}
	g.Wait(time.Minute)
	nothingLeft(t, d, before)
	d.Restart()
	guest(2).Wait(time.Minute)

	ids := read(t, export, "ids-1")
	if got := read(t, export, "ids-2"); got != ids {
		t.Errorf("with another daemon the files have the IDs\n%s\nbefore\n%s", got, ids)
	}
	seen := map[string]string{}
	for line := range strings.Lines(ids) {
		path, id, _ := strings.Cut(strings.TrimSpace(line), " ")
		if seen[id] != "" {
			t.Errorf("%s and %s have the same file ID %s", seen[id], path, id)
		}
		seen[id] = path
	}
	if !strings.Contains(ids, `disk-2\file-2 `) || len(seen) < 12 {
		t.Errorf("there are not all the files: %s", ids)
	}
}
