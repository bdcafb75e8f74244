// SPDX-License-Identifier: Apache-2.0

//go:build boot

package boot

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/pkg/xattr"

	"vhost-user-9p/test/rig"
)

// TestUMLHiddenTable has root in a guest try to get at the stored table of file IDs, in
// each security model and with names mapped: it stays as it is, and unseen.
func TestUMLHiddenTable(t *testing.T) {
	for name, flags := range map[string][]string{
		"passthrough":  {"--security-model=passthrough"},
		"mapped-xattr": {"--security-model=mapped-xattr"},
		"mapped-file":  {"--security-model=mapped-file"},
		"none":         {"--security-model=none"},
		"xattrmap":     {"--security-model=passthrough", "--xattrmap=:prefix:all::user.virtfs.::ok:all:::"},
	} {
		t.Run(name, func(t *testing.T) {
			export := rig.Export(t)
			d := rig.StartDaemon(t, export, flags...)
			rig.UML(t, d, rig.GuestConfig{Script: "stat . >/dev/null"}).Wait(time.Minute)
			before := table(t, export)
			if len(before) != 2 {
				t.Fatalf("the stored table is %q", before)
			}
			rig.UML(t, d, rig.GuestConfig{Script: `
refused() { if "$@" >/dev/null 2>&1; then echo "done: $*"; return 1; fi; }
mkdir folder
touch folder/file
ln folder/file folder/link
ln -s .. folder/up
for name in qidp.0 qidf.0 qidp.1; do
	for prefix in user.virtfs.system. trusted.virtfs.system. user.user.virtfs.system.; do
		for on in . folder/link folder/up; do
			attr=$prefix$name
			case $prefix in
			user.virtfs.*)
				refused setfattr -n $attr -v forged $on
				refused setfattr -h -n $attr -v forged $on
				;;
			*) setfattr -n $attr -v forged $on || true ;;
			esac
			refused setfattr -x user.virtfs.system.$name $on
			refused getfattr -n user.virtfs.system.$name $on
		done
	done
done
refused eval "getfattr -R -d -m - . | grep -i 'user.virtfs.system.qid[pf].[01]=' | grep -v forged"
refused eval "getfattr -m - . folder/up | grep '^user.virtfs'"
mv folder/link folder/other
rm -r folder
`}).Wait(time.Minute)
			if after := table(t, export); !maps.Equal(after, before) {
				t.Errorf("the stored table was %q, and is %q", before, after)
			}
			d.Restart()
			rig.UML(t, d, rig.GuestConfig{Script: "stat . >/dev/null"}).Wait(time.Minute)
			if after := table(t, export); !maps.Equal(after, before) {
				t.Errorf("after a restart the stored table was %q, and is %q", before, after)
			}
		})
	}
}

// table returns the attributes that hold the stored table.
func table(t *testing.T, export string) map[string]string {
	t.Helper()
	names, err := xattr.List(export)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, name := range names {
		if strings.HasPrefix(name, "user.virtfs.system.qid") {
			value, err := xattr.Get(export, name)
			if err != nil {
				t.Fatal(err)
			}
			all[name] = string(value)
		}
	}
	return all
}
