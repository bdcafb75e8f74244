// SPDX-License-Identifier: Apache-2.0

package main

import (
	"golang.org/x/sys/unix"
)

// modes are each bit alone, usual ones, none and all.
var modes = []uint32{
	0, 0o1, 0o2, 0o4, 0o10, 0o20, 0o40, 0o100, 0o200, 0o400, 0o1000, 0o2000, 0o4000,
	0o644, 0o755, 0o600, 0o1777, 0o2755, 0o4755, 0o6711, 0o777, 0o7777,
}

func chmods(t *T) {
	for _, k := range plain {
		t.group(k.name, func(t *T) {
			t.a(k, t.path("f"), t.root, 0o644)
			t.a(k, t.path("alice"), t.alice, 0o644)
			for _, mode := range modes {
				t.is("root "+octal(mode), t.root.chmod(t.path("f"), mode), unix.Errno(0))
				t.is("root "+octal(mode)+" gives", t.mode(t.path("f")), octal(mode))
				t.is("owner "+octal(mode), t.alice.chmod(t.path("alice"), mode), unix.Errno(0))
				t.is("owner "+octal(mode)+" gives", t.mode(t.path("alice")), octal(mode))
			}
			t.must("chmod", t.root.chmod(t.path("alice"), 0o666))
			t.moves("changes", func() unix.Errno { return t.root.chmod(t.path("f"), 0o4711) }, 0, track{t.path("f"), "c"}, track{t.dir, ""})
			t.moves("changes nothing", func() unix.Errno { return t.root.chmod(t.path("f"), 0o4711) }, 0, track{t.path("f"), "c"})
			t.is("type bits are ignored", t.root.chmod(t.path("f"), unix.S_IFLNK|0o123), unix.Errno(0))
			t.is("type bits are ignored, mode", t.mode(t.path("f")), "0123")
			t.is("the type is the same", kindOf(t, t.path("f")).name, k.name)
			t.refuses("not the owner", unix.EPERM, func() unix.Errno { return t.bob.chmod(t.path("alice"), 0o600) }, t.path("alice"))
			t.is("not the owner, mode", t.mode(t.path("alice")), "0666")
			t.must("chown", t.root.chown(t.path("f"), bobID, shared))
			t.refuses("of the group, not the owner", unix.EPERM, func() unix.Errno { return t.alice.chmod(t.path("f"), 0o600) }, t.path("f"))

			t.must("symlink", t.root.symlink("f", t.path("s")))
			t.moves("through a symlink", func() unix.Errno { return t.root.chmod(t.path("s"), 0o711) }, 0, track{t.path("f"), "c"}, track{t.path("s"), "a"})
			t.is("through a symlink, mode", t.mode(t.path("f")), "0711")
			t.moves("not following, not a symlink", func() unix.Errno {
				return t.root.do(call{Op: "fchmodat", FD: unix.AT_FDCWD, Path: t.path("f"), Mode: 0o640, Flags: unix.AT_SYMLINK_NOFOLLOW}).Errno
			}, 0, track{t.path("f"), "c"})
			t.is("not following, mode", t.mode(t.path("f")), "0640")
			t.refuses("a symlink itself", unix.EOPNOTSUPP, func() unix.Errno {
				return t.root.do(call{Op: "fchmodat", FD: unix.AT_FDCWD, Path: t.path("s"), Mode: 0o600, Flags: unix.AT_SYMLINK_NOFOLLOW}).Errno
			}, t.path("s"), t.path("f"))
			t.is("a symlink's mode", t.mode(t.path("s")), "0777")
		})
		t.group("set-group-ID of a "+k.name, func(t *T) { setGroupID(t, k) })
	}
	t.group("descriptor", func(t *T) {
		for _, k := range []kind{regular, directory} {
			t.a(k, t.path(k.name), t.alice, 0o644)
			fd := t.open(t.path(k.name), unix.O_RDONLY)
			for _, mode := range modes {
				t.is(k.name+" "+octal(mode), t.root.do(call{Op: "fchmod", FD: fd, Mode: mode}).Errno, unix.Errno(0))
				t.is(k.name+" "+octal(mode)+" fstat", octal(t.fstat(fd).Mode&0o7777), octal(mode))
				t.is(k.name+" "+octal(mode)+" stat", t.mode(t.path(k.name)), octal(mode))
			}
			t.moves(k.name, func() unix.Errno { return t.root.do(call{Op: "fchmod", FD: fd, Mode: 0o755}).Errno }, 0, track{t.path(k.name), "c"})
			t.root.close(fd)
			fd, e := t.bob.open(t.path(k.name), unix.O_RDONLY, 0)
			t.must("open as bob", e)
			t.refuses(k.name+" of another's", unix.EPERM, func() unix.Errno { return t.bob.do(call{Op: "fchmod", FD: fd, Mode: 0o777}).Errno }, t.path(k.name))
			t.bob.close(fd)
			fd = t.open(t.path(k.name), unix.O_PATH)
			t.refuses(k.name+" by O_PATH", unix.EBADF, func() unix.Errno { return t.root.do(call{Op: "fchmod", FD: fd, Mode: 0o777}).Errno }, t.path(k.name))
			t.root.close(fd)
		}
		t.is("not open", t.root.do(call{Op: "fchmod", FD: 999, Mode: 0o777}).Errno, unix.EBADF)
	})
}

// setGroupID: who is not in the file's group cannot set the bit, and loses it by any chmod.
func setGroupID(t *T, k kind) {
	for _, g := range []struct {
		name string
		gid  int
		kept bool
	}{{"own", aliceID, true}, {"supplementary", own, true}, {"shared", shared, true}, {"foreign", foreign, false}, {"root's", 0, false}} {
		for _, mode := range []uint32{0o2755, 0o6755, 0o2644, 0o3777, 0o7777} {
			path := t.path(g.name + octal(mode))
			t.a(k, path, t.alice, 0o755)
			t.must("chown", t.root.chown(path, -1, g.gid))
			want := mode
			if !g.kept {
				want &^= unix.S_ISGID
			}
			what := g.name + " group, " + octal(mode)
			t.is(what, t.alice.chmod(path, mode), unix.Errno(0))
			t.is(what+" gives", t.mode(path), octal(want))
			t.must("chmod", t.root.chmod(path, mode))
			t.is(what+", by root, gives", t.mode(path), octal(mode))
		}
	}
}
