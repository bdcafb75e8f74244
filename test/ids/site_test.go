// SPDX-License-Identifier: Apache-2.0

//go:build boot

package ids

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/rig"
)

// volume is a file system of a site.
type volume struct {
	// at is where it is in the export: "." is the root. If empty, it is not there
	// itself, but below an overlay.
	at string
	// disk is what it is on; nil: it is none that lasts.
	disk *rig.Disk
	// overlay returns the options of an overlay. If not set, without disk it is a tmpfs.
	overlay func() string
	// flags are those of mount(2).
	flags uintptr
	// fill makes files in it; if not set, populate. What is in memory is filled again
	// when it is mounted again.
	fill func(t *testing.T, dir string)

	stage  string // where it is mounted first
	filled bool
}

// site is an export of several file systems that can be taken down and set up again.
//
// Each is mounted aside first, and from there at its place: so the order in which they
// get device numbers is not that in which they stand in the tree.
type site struct {
	t       *testing.T
	export  string
	dir     string
	volumes []*volume // each after what it is mounted on
	staged  []*volume // those that are mounted, in that order
	held    []*os.File
	spare   []*rig.Disk // for volumes that are added later
	cleanup sync.Once
}

func newSite(t *testing.T) *site {
	return &site{t: t, dir: rig.Dir(t), export: rig.Export(t)}
}

// prepare adds a volume that up mounts.
func (s *site) prepare(v *volume) *volume {
	v.stage = filepath.Join(s.dir, fmt.Sprint(len(s.volumes)))
	s.volumes = append(s.volumes, v)
	return v
}

// add adds a volume to a site that is up.
func (s *site) add(v *volume) *volume {
	s.t.Helper()
	s.prepare(v)
	s.mount(v)
	s.place(v)
	return v
}

// drop takes a volume away for good.
func (s *site) drop(v *volume) {
	s.t.Helper()
	s.unplace(v)
	s.unmount(v)
	it := func(o *volume) bool { return o == v }
	s.volumes, s.staged = slices.DeleteFunc(s.volumes, it), slices.DeleteFunc(s.staged, it)
}

// up mounts everything. Those that are no overlays are mounted in their order, or the
// other way round. All disks must have been made before, and the daemon is started after:
// at the end it goes first, and they last.
func (s *site) up(backwards bool) {
	s.t.Helper()
	s.cleanup.Do(func() { s.t.Cleanup(s.down) })
	order := slices.Clone(s.volumes)
	if backwards {
		slices.Reverse(order)
	}
	for _, overlays := range []bool{false, true} { // those are on others
		for _, v := range order {
			if (v.overlay != nil) == overlays {
				s.mount(v)
			}
		}
	}
	for _, v := range s.volumes {
		s.place(v)
	}
}

// mount mounts a volume aside.
func (s *site) mount(v *volume) {
	s.t.Helper()
	switch {
	case v.disk != nil:
		v.disk.Mount(v.stage, v.flags)
	case v.overlay != nil:
		rig.Mount(s.t, "none", v.stage, "overlay", v.flags, v.overlay())
	default:
		rig.Mount(s.t, "none", v.stage, "tmpfs", v.flags, "size=16m")
		v.filled = false
	}
	s.staged = append(s.staged, v)
	if !v.filled && v.flags&unix.MS_RDONLY == 0 {
		v.filled = true
		fill := v.fill
		if fill == nil {
			fill = populate
		}
		fill(s.t, v.stage)
	}
}

func (s *site) place(v *volume) {
	s.t.Helper()
	if v.at != "" {
		rig.Mount(s.t, v.stage, filepath.Join(s.export, v.at), "", unix.MS_BIND, "")
	}
}

// down unmounts everything. No daemon may serve it.
func (s *site) down() {
	s.t.Helper()
	for _, f := range s.held {
		_ = f.Close()
	}
	s.held = nil
	for _, v := range slices.Backward(s.volumes) {
		s.unplace(v)
	}
	for _, v := range slices.Backward(s.staged) {
		s.unmount(v)
	}
	s.staged = nil
}

func (s *site) unplace(v *volume) {
	if v.at != "" {
		rig.Unmount(s.t, filepath.Join(s.export, v.at))
	}
}

func (s *site) unmount(v *volume) {
	if v.disk != nil {
		v.disk.Unmount()
	} else {
		rig.Unmount(s.t, v.stage)
	}
}

// moved takes the site down and sets it up again under other device numbers: each disk
// has that of another one.
func (s *site) moved() {
	s.t.Helper()
	before := s.devices()
	s.down()
	disks := s.disks()
	rig.RotateDevices(s.t, disks)
	s.up(true)
	// That is what it is about: if not so, the test tests nothing.
	after := s.devices()
	inherited := 0
	for place, dev := range after {
		for other, old := range before {
			if place != other && dev == old {
				inherited++
			}
		}
	}
	if inherited == 0 {
		s.t.Errorf("no file system has the device number of another: %v, then %v", before, after)
	}
}

// disks returns all that there are.
func (s *site) disks() (all []*rig.Disk) {
	for _, v := range s.volumes {
		if v.disk != nil {
			all = append(all, v.disk)
		}
	}
	return all
}

// devices returns st_dev of the volumes, by their places.
func (s *site) devices() map[string]uint64 {
	s.t.Helper()
	all := map[string]uint64{}
	for _, v := range s.volumes {
		if v.at == "" {
			continue
		}
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(s.export, v.at), &st); err != nil {
			s.t.Fatal(err)
		}
		all[v.at] = st.Dev
	}
	return all
}

// lasting reports whether a path of the export is on a file system that has an identity.
func (s *site) lasting(path string) bool {
	var on *volume
	for _, v := range s.volumes {
		if v.at == "." || v.at != "" && (path == v.at || strings.HasPrefix(path, v.at+"/")) {
			if on == nil || len(v.at) > len(on.at) {
				on = v
			}
		}
	}
	return on != nil && on.disk != nil
}

// hold keeps all directories open until the site is taken down. The kernel makes up the
// inode numbers of those of some overlays, and forgets them with the inode.
func (s *site) hold() {
	s.t.Helper()
	err := filepath.WalkDir(s.export, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err == nil {
			s.held = append(s.held, f)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
}
