// SPDX-License-Identifier: Apache-2.0

//go:build boot

package boot

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vhost-user-9p/test/rig"
)

// fileSystems makes an export with two more file systems mounted in it, whose files have
// the same inode numbers.
func fileSystems(t *testing.T) (export string) {
	t.Helper()
	export = rig.Export(t)
	populate(t, filepath.Join(export, "own"))
	for _, name := range []string{"a", "b"} {
		rig.MountDisk(t, filepath.Join(export, name))
		populate(t, filepath.Join(export, name, "files"))
	}
	return export
}

// populate makes a hundred files.
func populate(t *testing.T, dir string) {
	t.Helper()
	for sub := range 5 {
		folder := filepath.Join(dir, fmt.Sprint("folder-", sub))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		for n := range 20 {
			write(t, fmt.Sprint(sub, n), folder, fmt.Sprint("file-", n))
		}
	}
}

// numbers parses lines with a number and a path. All numbers must be distinct.
func numbers(t *testing.T, output string) map[string]string {
	t.Helper()
	paths, seen := map[string]string{}, map[string]string{}
	for s := bufio.NewScanner(strings.NewReader(output)); s.Scan(); {
		number, path, ok := strings.Cut(s.Text(), " ")
		if !ok {
			t.Fatalf("line %q", s.Text())
		}
		if other, ok := seen[number]; ok && other != path {
			t.Errorf("%s and %s both have the inode number %s", other, path, number)
		}
		seen[number], paths[path] = path, number
	}
	return paths
}

// same checks that all that was there before has kept its number.
func same(t *testing.T, what string, before, after map[string]string) {
	t.Helper()
	wrong := 0
	for path, number := range before {
		if after[path] != number {
			if wrong++; wrong <= 5 {
				t.Errorf("%s: %s had the inode number %s, and has %q", what, path, number, after[path])
			}
		}
	}
	if wrong > 5 {
		t.Errorf("%s: %d of %d inode numbers have changed", what, wrong, len(before))
	}
}

// listed is a script that prints the inode numbers of everything in folders, in their
// order, to a file.
func listed(out, sort string, folders ...string) string {
	return fmt.Sprintf("find %s | sort %s | xargs -d '\\n' stat -c '%%i %%n' >%s\n", strings.Join(folders, " "), sort, out)
}

func TestUMLInodes(t *testing.T) {
	export := fileSystems(t)
	d := rig.StartDaemon(t, export)
	list := func(script, out string) map[string]string {
		t.Helper()
		rig.UML(t, d, rig.GuestConfig{Script: script}).Wait(time.Minute)
		return numbers(t, read(t, export, out))
	}
	before := list(listed("out-1", "", "own", "a", "b")+`
"$guest" inodes -seed 1 /mnt/a >/dev/null # compares stat and what the folders say
"$guest" inodes -seed 2 /mnt/b >/dev/null
`, "out-1")
	if len(before) < 300 {
		t.Fatalf("%d files listed", len(before))
	}

	same(t, "the next guest, visited backwards", before, list(listed("out-2", "-r", "b", "a", "own"), "out-2"))
	d.Restart()
	same(t, "the next daemon, visited backwards", before, list(listed("out-3", "-r", "b", "a", "own"), "out-3"))

	// A new file system, seen while the daemon runs, right before it is killed.
	g := rig.UML(t, d, rig.GuestConfig{Script: listed("out-4", "", "own", "a", "b") + `
echo ready
while [ ! -e go ]; do sleep 0.05; done
stat -c '%i %n' c/files/folder-1/file-1
echo seen
sleep 1000
`})
	g.WaitFor("ready", 1, time.Minute)
	for _, name := range []string{"c", "d"} {
		rig.MountDisk(t, filepath.Join(export, name))
		populate(t, filepath.Join(export, name, "files"))
	}
	write(t, "", export, "go")
	g.WaitFor("seen", 1, time.Minute)
	d.Kill()
	seen := map[string]string{}
	for line := range strings.Lines(g.Stdout()) {
		if number, path, ok := strings.Cut(strings.TrimSpace(line), " c/"); ok {
			seen["c/"+path] = number
		}
	}
	g.Kill()
	if len(seen) != 1 {
		t.Fatalf("the guest has listed %v", seen)
	}
	maps.Copy(seen, before)
	d.Start()
	after := list(listed("out-5", "-r", "d", "c", "b", "a", "own"), "out-5")
	same(t, "a killed daemon", seen, after)
	if len(after) < 500 {
		t.Errorf("%d files listed", len(after))
	}
}

// TestQEMUInodes has a guest in QEMU and one in User-mode Linux see the same numbers.
func TestQEMUInodes(t *testing.T) {
	export := fileSystems(t)
	d := rig.StartDaemon(t, export)
	rig.QEMU(t, d, rig.GuestConfig{Bare: true, Script: `
stats() { find "$@" | xargs stat -c '%i %n'; }
stats own a b >out-1
stats b a own >out-2
`}).Wait(3 * time.Minute)
	before := numbers(t, read(t, export, "out-1"))
	if len(before) < 300 {
		t.Fatalf("%d files listed", len(before))
	}
	same(t, "again", before, numbers(t, read(t, export, "out-2")))
	d.Restart()
	rig.UML(t, d, rig.GuestConfig{Script: listed("out-3", "-r", "b", "a", "own")}).Wait(time.Minute)
	same(t, "the next daemon, User-mode Linux", before, numbers(t, read(t, export, "out-3")))
}
