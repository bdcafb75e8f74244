// SPDX-License-Identifier: Apache-2.0

//go:build boot

package ids

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"vhost-user-9p/test/rig"
)

// kind is what the root of an export is on.
type kind struct {
	name string
	// root adds the root's volume, and those that it consists of.
	root func(*testing.T, *site)
	// passing: the table goes with the file system when that is unmounted.
	passing bool
	// held: see site.hold.
	held bool
}

var kinds = []kind{
	{name: "ext4-1k", root: onDisk(rig.DiskConfig{BlockSize: 1024}, nil)},
	{name: "ext4-4k", root: onDisk(rig.DiskConfig{}, nil)},
	{name: "xfs", root: onDisk(rig.DiskConfig{Type: "xfs"}, nil)},
	{name: "btrfs", root: onDisk(rig.DiskConfig{Type: "btrfs"}, subvolumes)},
	{name: "tmpfs", passing: true, root: func(_ *testing.T, s *site) { s.prepare(&volume{at: "."}) }},
	{name: "overlay", root: overlayOnOne},
	{name: "overlay-several", held: true, root: overlayOnSeveral},
}

// onDisk returns a kind's root function.
func onDisk(c rig.DiskConfig, fill func(*testing.T, string)) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		s.prepare(&volume{at: ".", disk: rig.MakeDisk(t, c), fill: fill})
	}
}

// overlayOnOne makes an overlay of one file system: files have its inode numbers, and one
// device number.
func overlayOnOne(t *testing.T, s *site) {
	v := s.prepare(&volume{disk: rig.MakeDisk(t, rig.DiskConfig{}), fill: layer("0")})
	s.prepare(&volume{at: ".", overlay: func() string {
		return overlayOptions([]string{v.stage}, v.stage)
	}})
}

// overlayOnSeveral makes an overlay of several file systems: files have a device number
// for each, and inode numbers that are the same on each.
func overlayOnSeveral(t *testing.T, s *site) {
	a := s.prepare(&volume{disk: rig.MakeDisk(t, rig.DiskConfig{}), fill: layer("a")})
	b := s.prepare(&volume{disk: rig.MakeDisk(t, rig.DiskConfig{}), fill: layer("b")})
	c := s.prepare(&volume{fill: layer("c")})
	upper := s.prepare(&volume{disk: rig.MakeDisk(t, rig.DiskConfig{}), fill: layer("upper")})
	s.prepare(&volume{at: ".", overlay: func() string {
		return overlayOptions([]string{a.stage, b.stage, c.stage}, upper.stage) + ",xino=off"
	}})
}

// overlayOptions are the mount options of an overlay of volumes that layer has filled.
func overlayOptions(lowers []string, upper string) string {
	var dirs []string
	for _, dir := range lowers {
		dirs = append(dirs, filepath.Join(dir, "layer"))
	}
	return fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", strings.Join(dirs, ":"), upper, upper)
}

// submounts are the places of what is mounted below each root.
var submounts = []string{"m/tmpfs", "m/ext4", "m/ext4/inner", "m/other"}

func addSubmounts(t *testing.T, s *site) {
	s.prepare(&volume{at: submounts[0]})
	s.prepare(&volume{at: submounts[1], disk: rig.MakeDisk(t, rig.DiskConfig{})})
	s.prepare(&volume{at: submounts[2]})
	s.prepare(&volume{at: submounts[3], disk: rig.MakeDisk(t, rig.DiskConfig{})})
}

// TestUMLKinds has guests look at exports on each kind of file system: again after the
// daemon has ended; after it was killed while a guest met file systems; and after the file
// systems have come back under each other's device numbers.
func TestUMLKinds(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			s := newSite(t)
			k.root(t, s)
			addSubmounts(t, s)
			s.spare = []*rig.Disk{rig.MakeDisk(t, rig.DiskConfig{Size: 8 << 20})}
			s.up(false)
			if k.held {
				s.hold()
			}
			l := newLedger(t)
			d := rig.StartDaemon(t, s.export)
			l.whole("the first guest", looked(t, d, 1))
			d.Restart()
			killWhileNew(t, s, d, l, killing{round: 1, few: 8, first: []string{submounts[3], submounts[2]}})
			l.whole("the daemon was killed", looked(t, d, 2, submounts[2]))
			wantTable(t, d, "xattr")

			d.Stop()
			s.moved()
			if k.passing {
				l = newLedger(t)
			}
			l.forget(func(path string) bool { return !s.lasting(path) })
			d.Start()
			l.whole("under other device numbers", looked(t, d, 3, submounts[3], submounts[0]))
		})
	}
}
