// SPDX-License-Identifier: Apache-2.0

//go:build boot

package ids

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pkg/xattr"
	"golang.org/x/sys/unix"

	"vhost-user-9p/test/rig"
)

// TestUMLNoRoom has exports whose root takes no table, or no more of it: it moves to the
// state directory, and file IDs are as everywhere.
func TestUMLNoRoom(t *testing.T) {
	for _, c := range []struct {
		name  string
		stuff func(t *testing.T, export string) // leaves no room
		later bool                              // after the table has begun
	}{
		{name: "full", stuff: fillUp},
		{name: "attributes", stuff: fillAttributes},
		{name: "attributes-later", stuff: fillAttributes, later: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.prepare(&volume{at: ".", disk: rig.MakeDisk(t, rig.DiskConfig{Size: 8 << 20})})
			addSubmounts(t, s)
			s.up(false)
			l := newLedger(t)
			d := rig.StartDaemon(t, s.export)
			if c.later {
				l.whole("while there was room", looked(t, d, 1))
				wantTable(t, d, "xattr")
				for n := range 3 {
					s.add(&volume{at: fmt.Sprint("m/more-", n)})
				}
			}
			c.stuff(t, s.export)
			l.whole("no room", looked(t, d, 2, submounts[2]))
			wantTable(t, d, "file")
			if line := "qid table is in the state directory from now on"; strings.Count(d.Log(), line) != 1 {
				t.Errorf("the daemon has not logged once: %s", line)
			}
			d.Kill()
			d.Start()
			l.whole("a killed daemon", looked(t, d, 3, submounts[3], submounts[0]))
			wantTable(t, d, "file")
		})
	}
}

// fillUp takes every free block of a file system.
func fillUp(t *testing.T, export string) {
	t.Helper()
	f, err := os.Create(filepath.Join(export, "full"))
	must(t, err)
	defer f.Close()
	for size := 1 << 20; size >= 1<<10; {
		if _, err = f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	if err := f.Sync(); err != nil && !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	var st unix.Statfs_t
	must(t, unix.Statfs(export, &st))
	if st.Bavail != 0 {
		t.Fatalf("%d blocks are free", st.Bavail)
	}
}

// fillAttributes gives a directory all the attributes that it has room for.
func fillAttributes(t *testing.T, export string) {
	t.Helper()
	n := 0
	for size := 1024; ; {
		err := xattr.Set(export, fmt.Sprint("user.filler-", n), make([]byte, size))
		switch {
		case err == nil:
			n++
		case !errors.Is(err, unix.ENOSPC):
			t.Fatal(err)
		case size == 0:
			return
		default:
			size /= 2
		}
	}
}
