// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

// ext4Folder returns an empty folder on ext4, that everybody may search: the system's
// temporary folder if it is on one, else one on a loop device.
func ext4Folder(t *testing.T) string {
	t.Helper()
	dir := rig.Dir(t)
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	if st.Type != unix.EXT4_SUPER_MAGIC {
		rig.MountDisk(t, filepath.Join(dir, "disk"))
		dir = filepath.Join(dir, "disk")
	}
	for path := dir; path != os.TempDir(); path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir = filepath.Join(dir, "posix")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// checks is the least number of checks that a whole run makes: fewer means that groups
// have ended early.
const checks = 13200

// TestHost runs all checks on the host: what they expect is what Linux does.
func TestHost(t *testing.T) {
	rig.NeedRoot(t)
	program := rig.Program(t, "test/posix")
	cmd := exec.Command(program, ext4Folder(t))
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	for _, c := range parse(t, out.String(), checks) {
		if !c.ok {
			t.Errorf("%s: %s", c.name, c.seen)
		}
	}
	if err != nil {
		t.Errorf("the program: %v\n%s", err, &stderr)
	}
}

// check is a line of the program's output.
type check struct {
	name string
	ok   bool
	seen string
}

// parse returns the lines of the program's output, of which there must be so many.
func parse(t *testing.T, out string, least int) []check {
	t.Helper()
	var all []check
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) == 3 {
			all = append(all, check{fields[0], fields[1] == "ok", fields[2]})
		}
	}
	if len(all) < least {
		t.Errorf("%d checks, want at least %d", len(all), least)
	}
	return all
}
