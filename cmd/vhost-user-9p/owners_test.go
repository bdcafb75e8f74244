// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/hostfs"
)

func TestBadIDs(t *testing.T) {
	for arg, say := range map[string]string{
		"--map-uid=1000":                  `--map-uid "1000" is not a list of ranges such as 0:100000:65536`,
		"--map-gid=0:0:0":                 `--map-gid "0:0:0" is not a list of ranges such as 0:100000:65536 (0:0:0 is empty)`,
		"--map-uid=0:4294967295:1":        `(0:4294967295:1 goes beyond the last ID, 4294967294)`,
		"--map-uid=0:1:2 --map-uid=9:2:1": `--map-uid "0:1:2,9:2:1" is not a list of ranges such as 0:100000:65536 (0:1:2 and 9:2:1 overlap in the host's IDs)`,
		"--map-gid=3:0:2,0:10:4":          `(0:10:4 and 3:0:2 overlap in the guest's IDs)`,
		"--squash-uid=nobody":             `--squash-uid "nobody" is not an ID of the host, a number from 0 to 4294967294`,
		"--squash-gid=4294967295":         `--squash-gid "4294967295" is not an ID`,
	} {
		args := append([]string{"--socket-path=/nonexistent/s", "--shared-dir=/nonexistent", "--tag=share"}, strings.Fields(arg)...)
		if got := runArgs(t, args...); got.status != exitUsage || !strings.Contains(got.stderr, say) {
			t.Errorf("%s: %+v, want %s", arg, got, say)
		}
	}
}

func TestRangesAddUp(t *testing.T) {
	o, err := parseOptions([]string{"--fd=0", "--shared-dir=/d", "--tag=t", "--map-uid=0:5:1,1:6:1", "--map-uid", "9:9:1", "--squash-gid=7"})
	if err != nil {
		t.Fatal(err)
	}
	if want := []hostfs.IDRange{{Guest: 0, Host: 5, Count: 1}, {Guest: 1, Host: 6, Count: 1}, {Guest: 9, Host: 9, Count: 1}}; !slices.Equal(o.uids.Ranges, want) || o.uids.Squash {
		t.Errorf("users: %+v", o.uids)
	}
	if len(o.gids.Ranges) != 0 || !o.gids.Squash || o.gids.SquashTo != 7 {
		t.Errorf("groups: %+v", o.gids)
	}
}

// TestMappedOwners makes files for users of the guest that are others of the host.
func TestMappedOwners(t *testing.T) {
	if unix.Geteuid() != 0 {
		t.Skip("needs root, to make files for others")
	}
	for name, c := range map[string]struct {
		args        []string
		host, guest [2]uint32
		unmapped    error
	}{
		"mapped": {
			[]string{"--map-uid=0:100000:10", "--map-uid=1000:50:1", "--map-gid=0:200000:10"},
			[2]uint32{50, 200007}, [2]uint32{1000, 7}, unix.EOVERFLOW,
		},
		"squashed": {
			[]string{"--squash-uid=3000", "--squash-gid=4000", "--map-gid=0:4000:1"},
			[2]uint32{3000, 4000}, [2]uint32{3000, 0}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := startDaemon(t, c.args...)
			g := connect(t, p.socket)
			g.mount()
			const user = 2
			if _, err := g.Attach(user, 1000, ""); err != nil {
				t.Fatal(err)
			}
			if _, err := g.Mkdir(user, "d", 0o755, 7); err != nil {
				t.Fatal(err)
			}
			if st := stat(t, filepath.Join(p.share, "d")); [2]uint32{st.Uid, st.Gid} != c.host {
				t.Errorf("on the host: %d:%d, want %v", st.Uid, st.Gid, c.host)
			}
			fid, err := g.WalkTo(user, "d")
			if err != nil {
				t.Fatal(err)
			}
			a, err := g.Getattr(fid, ninep.AttrBasic)
			if err != nil || [2]uint32{a.UID, a.GID} != c.guest {
				t.Errorf("in the guest: %d:%d, %v, want %v", a.UID, a.GID, err, c.guest)
			}
			if err := g.Setattr(fid, ninep.SetAttr{Valid: ninep.SetUID, UID: 1001}); !errors.Is(err, c.unmapped) {
				t.Errorf("chown: %v, want %v", err, c.unmapped)
			}
		})
	}
}
