// SPDX-License-Identifier: Apache-2.0

//go:build boot

package ids

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pkg/xattr"
	"golang.org/x/sys/unix"

	"vhost-user-9p/test/rig"
)

// TestUMLReadOnly has exports that may not, and that cannot be written: the table is in
// the state directory, and nothing in the export changes.
func TestUMLReadOnly(t *testing.T) {
	for _, c := range []struct {
		name  string
		flags uintptr
		args  []string
	}{
		{"flag", 0, []string{"--readonly"}},
		{"mount", unix.MS_RDONLY, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			root := s.prepare(&volume{at: ".", disk: rig.MakeDisk(t, rig.DiskConfig{})})
			addSubmounts(t, s)
			s.up(false)
			s.down() // now it is filled
			root.flags = c.flags
			s.up(false)
			before := described(t, s)
			l := newLedger(t)
			d := rig.StartDaemon(t, s.export, c.args...)
			l.whole("the first guest", looked(t, d, 1))
			wantTable(t, d, "file")
			d.Restart()
			l.whole("the next daemon", looked(t, d, 2, submounts[3], submounts[0]))
			wantTable(t, d, "file")
			d.Stop()
			if diff := cmp.Diff(before, described(t, s)); diff != "" {
				t.Errorf("the export has changed:\n%s", diff)
			}

			s.moved()
			l.forget(func(path string) bool { return !s.lasting(path) })
			d.Start()
			l.whole("under other device numbers", looked(t, d, 3, submounts[3]))
			if strings.Contains(d.Log(), "level=ERROR") {
				t.Error("the daemon has logged an error")
			}
		})
	}
}

// described returns the modification and change times and all attributes of everything
// in an export.
func described(t *testing.T, s *site) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(s.export, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		all[path] = fmt.Sprint(st.Mtim, st.Ctim, attributes(t, path))
		return nil
	})
	must(t, err)
	return all
}

// attributes returns all extended attributes of a file and their values, in hexadecimal.
func attributes(t *testing.T, path string) string {
	t.Helper()
	names, err := xattr.LList(path)
	must(t, err)
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		value, err := xattr.LGet(path, name)
		must(t, err)
		fmt.Fprintf(&b, "%s=%x\n", name, value)
	}
	return b.String()
}
