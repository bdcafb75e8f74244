// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func chowns(t *T) {
	for _, k := range kinds {
		t.group(k.name, func(t *T) {
			chownMatrix(t, k)
			t.a(k, t.path("f"), t.alice, 0o644)
			f := t.path("f")
			t.moves("root", func() unix.Errno { return t.root.lchown(f, bobID, shared) }, 0, track{f, "c"}, track{t.dir, ""})
			t.is("root gives", t.owner(f), fmt.Sprintf("%d:%d", bobID, shared))
			t.is("owner alone", t.root.lchown(f, aliceID, -1), unix.Errno(0))
			t.is("owner alone gives", t.owner(f), fmt.Sprintf("%d:%d", aliceID, shared))
			t.is("group alone", t.root.lchown(f, -1, own), unix.Errno(0))
			t.is("group alone gives", t.owner(f), fmt.Sprintf("%d:%d", aliceID, own))
			t.moves("neither", func() unix.Errno { return t.root.lchown(f, -1, -1) }, 0, track{f, "c"})
			t.is("neither gives", t.owner(f), fmt.Sprintf("%d:%d", aliceID, own))
			t.moves("the same", func() unix.Errno { return t.root.lchown(f, aliceID, own) }, 0, track{f, "c"})
			t.is("large numbers", t.root.lchown(f, 1<<32-2, 1<<31), unix.Errno(0))
			t.is("large numbers give", t.owner(f), fmt.Sprintf("%d:%d", uint32(1<<32-2), uint32(1<<31)))
			if k != symlink {
				t.must("symlink", t.root.symlink("f", t.path("s")))
				t.moves("through a symlink", func() unix.Errno { return t.root.chown(t.path("s"), 5, 6) }, 0, track{f, "c"}, track{t.path("s"), "a"})
				t.is("through a symlink gives", t.owner(f), "5:6")
				t.moves("a symlink itself", func() unix.Errno { return t.root.lchown(t.path("s"), 7, 8) }, 0, track{f, ""}, track{t.path("s"), "c"})
				t.is("a symlink itself gives", t.owner(t.path("s"))+" "+t.owner(f), "7:8 5:6")
			}
		})
	}
	for _, k := range []kind{regular, directory, fifo} {
		t.group("set-ID bits of a "+k.name, func(t *T) { chownSetID(t, k) })
	}
	t.group("descriptor", func(t *T) {
		for _, k := range []kind{regular, directory} {
			t.a(k, t.path(k.name), t.alice, 0o755)
			fd := t.open(t.path(k.name), unix.O_RDONLY)
			chown := func(uid, gid int) unix.Errno {
				return t.root.do(call{Op: "fchown", FD: fd, UID: uid, GID: gid}).Errno
			}
			t.moves(k.name, func() unix.Errno { return chown(bobID, shared) }, 0, track{t.path(k.name), "c"})
			t.is(k.name+" gives", t.owner(t.path(k.name)), fmt.Sprintf("%d:%d", bobID, shared))
			st := t.fstat(fd)
			t.is(k.name+" fstat", fmt.Sprintf("%d:%d", st.Uid, st.Gid), fmt.Sprintf("%d:%d", bobID, shared))
			t.moves(k.name+" neither", func() unix.Errno { return chown(-1, -1) }, 0, track{t.path(k.name), "c"})
			t.root.close(fd)
			fd, e := t.alice.open(t.path(k.name), unix.O_RDONLY, 0)
			t.must("open", e)
			t.refuses(k.name+" of another's", unix.EPERM, func() unix.Errno {
				return t.alice.do(call{Op: "fchown", FD: fd, UID: aliceID, GID: -1}).Errno
			}, t.path(k.name))
			t.alice.close(fd)
		}
		t.is("not open", t.root.do(call{Op: "fchown", FD: 999, UID: 1, GID: 1}).Errno, unix.EBADF)
	})
}

// chownMatrix: only root gives files away; their owner may change the group to one that
// the owner is in.
func chownMatrix(t *T, k kind) {
	for _, by := range []*caller{t.alice, t.bob} {
		for _, uid := range []int{-1, aliceID, bobID, 0} {
			for _, gid := range []int{-1, aliceID, own, shared, bobID, foreign, 0} {
				want := unix.Errno(0)
				owner := by == t.alice
				switch {
				case uid != -1 && (!owner || uid != aliceID):
					want = unix.EPERM
				case gid != -1 && !owner:
					want = unix.EPERM
				case gid != -1 && gid != aliceID && gid != own && gid != shared:
					want = unix.EPERM
				}
				what := fmt.Sprintf("%s %d:%d", by.name, uid, gid)
				path := t.path("matrix")
				t.a(k, path, t.alice, 0o644)
				group := aliceID
				if gid != -1 && want == 0 {
					group = gid
				}
				if want == 0 {
					t.is(what, by.lchown(path, uid, gid), want)
				} else {
					t.refuses(what, want, func() unix.Errno { return by.lchown(path, uid, gid) }, path)
				}
				t.is(what+" gives", t.owner(path), fmt.Sprintf("%d:%d", aliceID, group))
				t.must("remove", k.remove(t.root, path))
			}
		}
	}
}

// chownSetID: a new owner or group takes the set-ID bits off anything but a folder;
// set-group-ID without x for the group stays for those who are in the group (it once
// meant mandatory locks).
func chownSetID(t *T, k kind) {
	for _, by := range []*caller{t.root, t.alice} {
		for _, mode := range []uint32{0o4755, 0o2755, 0o6755, 0o7777, 0o4644, 0o2644, 0o6644, 0o1644, 0o6711, 0o2010} {
			for _, to := range []struct {
				name     string
				uid, gid int
			}{{"owner", aliceID, -1}, {"group", -1, shared}, {"both", aliceID, own}, {"neither", -1, -1}} {
				path := t.path("f")
				t.a(k, path, t.alice, mode)
				want := mode
				if k != directory {
					want &^= unix.S_ISUID
					if mode&0o010 != 0 {
						want &^= unix.S_ISGID
					}
				}
				what := fmt.Sprintf("%s %s %s", by.name, octal(mode), to.name)
				t.is(what, by.chown(path, to.uid, to.gid), unix.Errno(0))
				t.is(what+" gives", t.mode(path), octal(want))
				t.must("remove", k.remove(t.root, path))
			}
		}
	}
}
