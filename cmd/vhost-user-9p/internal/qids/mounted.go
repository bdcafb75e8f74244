// SPDX-License-Identifier: Apache-2.0

package qids

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
	"vhost-user-9p/qidpath/fsid"
)

// key is how a stored entry says on which file system it is.
type key struct {
	fs       qidpath.Identity
	unproven bool // fs is only a device number, because no more was stored
}

func keyOf(e qidpath.Element) key { return key{e.FS, e.Unproven} }

// fileSystem is one that is mounted now.
type fileSystem struct {
	fsid.Live
	inExport bool // it is the export's own, or below it
	copied   bool // the export has another one with the same identity
}

// is reports whether k is, or may be, about the file system.
func (f *fileSystem) is(k key) bool {
	dev, ok := k.fs.Device()
	switch {
	case !ok:
		return f.Identity == k.fs
	case dev != f.Dev:
		return false
	}
	// What has an identity of its own is told by that, unless there are copies.
	return k.unproven || f.copied || qidpath.Identity(f.Identity).IsZero()
}

// findMounted returns the file systems of the directory root and below it, and, if some
// of the keys are about others, those of the whole machine that may be these.
func findMounted(root *os.File, keys map[key]struct{}) ([]fileSystem, error) {
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", root.Fd()))
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, err
	}
	var found []fileSystem
	byIdentity := make(map[fsid.Identity]int)
	for _, l := range fsid.Beneath(int(root.Fd()), -1, path, text, nil) {
		found = append(found, fileSystem{Live: l, inExport: true})
		byIdentity[l.Identity]++
	}
	for i := range found {
		id := found[i].Identity
		found[i].copied = id != fsid.Identity{} && byIdentity[id] > 1
	}
	missing := make(map[uint64]bool) // device numbers
	for k := range keys {
		if len(matching(found, k)) == 0 {
			dev, _ := k.fs.Device() // or 0, which no file system has
			missing[dev] = true
		}
	}
	if len(missing) == 0 {
		return found, nil
	}
	return append(found, findElsewhere(found, missing, text)...), nil
}

// findElsewhere returns other file systems of the machine that have identities or
// one of the device numbers. Those of networks and daemons, which might not answer, are
// left alone unless they are wanted.
func findElsewhere(found []fileSystem, devs map[uint64]bool, mountinfo []byte) (others []fileSystem) {
	top, err := os.Open("/")
	if err != nil {
		return nil
	}
	defer top.Close()
	known := make(map[uint64]bool)
	for _, f := range found {
		known[f.Dev] = true
	}
	wanted := func(m *fsid.Mount) bool {
		return !known[m.Dev] && (devs[m.Dev] || m.Type == "btrfs" || unix.Major(m.Dev) != 0)
	}
	for _, l := range fsid.Beneath(int(top.Fd()), -1, "/", mountinfo, wanted) {
		if !known[l.Dev] {
			others = append(others, fileSystem{Live: l})
		}
	}
	return others
}

// matching returns those of the file systems that k is about, the export's first.
func matching(mounted []fileSystem, k key) (found []*fileSystem) {
	for i := range mounted {
		if mounted[i].is(k) {
			found = append(found, &mounted[i])
		}
	}
	return found
}
