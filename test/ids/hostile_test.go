// SPDX-License-Identifier: Apache-2.0

//go:build boot

package ids

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pkg/xattr"

	"vhost-user-9p/test/rig"
)

// forging is a script that begins when it is told to.
const forging = `
while [ ! -e go ]; do sleep 0.05; done
set -x
mkdir links
ln -s %[1]s links/state
for path in links/state %[1]s /mnt%[1]s ../../..%[1]s links/../..%[1]s; do
	if [ -e $path ] || ls $path/ || touch $path/x; then exit 1; fi
done
rm -r links
$guest forge /mnt >forged || { grep FAIL forged; exit 1; }
rm -rf forge-* forged go
`

// TestUMLHostile has the guest's root try to get at the stored table: in each security
// model, and where rules lead from its names to those of the host.
func TestUMLHostile(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
	}{
		{"passthrough", []string{"--security-model", "passthrough"}},
		{"none", []string{"--security-model", "none"}},
		{"mapped-xattr", []string{"--security-model", "mapped-xattr"}},
		{"mapped-file", []string{"--security-model", "mapped-file"}},
		{"xattrmap", []string{"--xattrmap", "/prefix/all/trusted./user.virtfs./ /ok/client/user.virtfs./user.virtfs./ /prefix/all//user.virtfs.system./"}},
		{"file", []string{"--qid-store", "file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			place := "xattr"
			if c.name == "file" {
				place = "file"
			}
			s := newSite(t)
			s.prepare(&volume{at: ".", disk: rig.MakeDisk(t, rig.DiskConfig{}), fill: poor})
			s.prepare(&volume{at: "m/tmpfs"})
			s.prepare(&volume{at: "m/ext4", disk: rig.MakeDisk(t, rig.DiskConfig{})})
			s.up(false)
			l := newLedger(t)
			d := rig.StartDaemon(t, s.export, c.args...)
			g := rig.UML(t, d, rig.GuestConfig{Script: look(1) + "echo listed\n" + fmt.Sprintf(forging, d.StateDir()) + look(2, "m/ext4")})
			g.WaitFor("listed", 1, patience)
			l.whole("before", g.Stdout())
			wantTable(t, d, place)
			before := table(t, d)
			if len(before) == 0 || place == "xattr" && before["user.virtfs.system.qidf.0"] == "" {
				t.Fatalf("what is stored is %q", before)
			}
			must(t, os.WriteFile(filepath.Join(s.export, "go"), nil, 0o666))
			l.whole("after", g.Wait(patience))
			if after := table(t, d); !maps.Equal(before, after) {
				t.Errorf("what is stored has changed from %q to %q", before, after)
			}
			d.Stop()
			if after := table(t, d); !maps.Equal(before, after) {
				t.Errorf("at its end the daemon has changed what is stored from %q to %q", before, after)
			}
		})
	}
}

// poor is populate, and makes the folder one that anybody may write to.
func poor(t *testing.T, dir string) {
	t.Helper()
	populate(t, dir)
	must(t, os.Chmod(dir, 0o777))
}

// table returns all attributes of the export that guests may not have, and all files in
// the state directory.
func table(t *testing.T, d *rig.Daemon) map[string]string {
	t.Helper()
	all := map[string]string{}
	names, err := xattr.List(d.Export)
	must(t, err)
	for _, name := range names {
		if strings.HasPrefix(name, "user.virtfs.") {
			value, err := xattr.Get(d.Export, name)
			must(t, err)
			all[name] = string(value)
		}
	}
	files, err := os.ReadDir(d.StateDir())
	must(t, err)
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(d.StateDir(), f.Name()))
		must(t, err)
		all[f.Name()] = string(content)
	}
	return all
}
