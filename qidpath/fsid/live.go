// SPDX-License-Identifier: Apache-2.0

package fsid

import (
	"golang.org/x/sys/unix"
)

// Live is a file system that is mounted where a directory tree can reach it.
type Live struct {
	Mount    Mount
	Dev      uint64 // st_dev of its files, or of those of this subvolume
	Identity Identity
}

// Beneath returns the file system of the directory root, which rootFD is open on and
// path is the name of in mountinfo, and those that are mounted below it, once for each
// device number. Those that cannot be looked at, as a mount covers them or nobody may
// search the way to them, are left out. If want is not nil, only mounts for which it
// returns true are looked at. procFD is what Of takes.
//
// Subvolumes of btrfs that are not mounted are not among them.
func Beneath(rootFD, procFD int, path string, mountinfo []byte, want func(*Mount) bool) []Live {
	var live []Live
	seen := make(map[uint64]bool)
	add := func(fd int, m Mount) {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) != nil || seen[st.Dev] {
			return
		}
		id, err := Of(fd, procFD)
		if err != nil {
			return
		}
		seen[st.Dev] = true
		live = append(live, Live{Mount: m, Dev: st.Dev, Identity: id})
	}
	if top, ok := containing(path, mountinfo); ok && (want == nil || want(&top)) {
		add(rootFD, top)
	}
	for m := range Mounts(mountinfo) {
		rel, ok := m.Below(path)
		if !ok || rel == "." || want != nil && !want(&m) {
			continue
		}
		fd, err := openBeneath(rootFD, rel)
		if err != nil {
			continue
		}
		add(fd, m)
		_ = unix.Close(fd)
	}
	return live
}

// containing returns the mount that path is on: of those that lead to it the longest,
// and of these the last.
func containing(path string, mountinfo []byte) (best Mount, ok bool) {
	for m := range Mounts(mountinfo) {
		at := Mount{Point: path}
		if _, above := at.Below(m.Point); above && (!ok || len(m.Point) >= len(best.Point)) {
			best, ok = m, true
		}
	}
	return best, ok
}

// openBeneath opens (O_PATH) what is below a directory, and triggers no automounts.
func openBeneath(root int, rel string) (fd int, err error) {
	err = retry(func() error {
		fd, err = unix.Openat2(root, rel, &unix.OpenHow{
			Flags:   unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC,
			Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_SYMLINKS,
		})
		return err
	})
	return fd, err
}
