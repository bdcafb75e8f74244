// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

func symlinks(t *T) {
	for i, target := range []string{
		"x", ".", "..", "/", "/nowhere", "a/b/c", "a//b", "with space", "with\nnewline", "umlaut-ä", "\x01\xff\xfe",
		strings.Repeat("t", 255), strings.Repeat("t", 256), strings.Repeat("./", 500) + "x", strings.Repeat("t", 4095),
	} {
		what := fmt.Sprintf("target %d of %d bytes", i, len(target))
		path := t.path(what)
		t.is(what, t.root.symlink(target, path), unix.Errno(0))
		got, e := t.root.readlink(path)
		t.is(what+" readlink", text(e)+" "+got, "OK "+target)
		st := t.lstat(path)
		t.is(what+" size", st.Size, len(target))
		t.is(what+" mode", octal(st.Mode), octal(unix.S_IFLNK|0o777))
	}
	t.refuses("a target of 4096 bytes", unix.ENAMETOOLONG, func() unix.Errno { return t.root.symlink(strings.Repeat("t", 4096), t.path("long")) }, t.dir)
	t.refuses("an empty target", unix.ENOENT, func() unix.Errno { return t.root.symlink("", t.path("empty")) }, t.dir)
	t.group("readlink", func(t *T) {
		for _, k := range plain {
			t.a(k, t.path(k.name), t.root, 0o644)
			t.refuses("of a "+k.name, unix.EINVAL, func() unix.Errno {
				_, e := t.root.readlink(t.path(k.name))
				return e
			}, t.path(k.name))
		}
	})
	t.group("times", func(t *T) {
		t.moves("make", func() unix.Errno { return t.root.symlink("target", t.path("s")) }, 0, track{t.dir, "mc"})
		t.moves("readlink", func() unix.Errno { _, e := t.root.readlink(t.path("s")); return e }, 0, track{t.path("s"), "a"}, track{t.dir, ""})
	})
	t.group("following", func(t *T) {
		t.folder(t.path("d"), t.root, 0o755)
		t.file(t.path("d", "f"), "content", 0o644)
		t.must("symlink", t.root.symlink("d", t.path("to-d")))
		t.must("symlink", t.root.symlink("../d/f", t.path("d", "to-f")))
		t.must("symlink", t.root.symlink(t.home+"/d/f", t.path("absolute")))
		t.must("symlink", t.root.symlink("to-d/to-f", t.path("twice")))
		for _, path := range []string{"to-d/f", "to-d/to-f", "d/to-f", "absolute", "twice", "to-d/../d/../twice"} {
			t.is("content of "+path, t.content(t.dir+"/"+path), "content")
		}
		t.is("make through one", t.root.opens(t.path("to-d", "new"), unix.O_CREAT|unix.O_EXCL), unix.Errno(0))
		t.is("is in the folder", t.exists(t.path("d", "new")), true)
		t.must("symlink", t.root.symlink("d/made", t.path("dangling")))
		t.is("make what a dangling one leads to", t.root.opens(t.path("dangling"), unix.O_CREAT|unix.O_WRONLY), unix.Errno(0))
		t.is("is where it leads", t.exists(t.path("d", "made")), true)
		t.refuses("not if exclusive", unix.EEXIST, func() unix.Errno {
			t.must("unlink", t.root.unlink(t.path("d", "made")))
			return t.root.opens(t.path("dangling"), unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY)
		}, t.dir)
		t.refuses("rmdir of one to a folder", unix.ENOTDIR, func() unix.Errno { return t.root.rmdir(t.path("to-d")) }, t.dir)
		t.refuses("rmdir of one with a slash behind", unix.ENOTDIR, func() unix.Errno { return t.root.rmdir(t.path("to-d") + "/") }, t.dir)
		t.refuses("unlink of one with a slash behind", unix.ENOTDIR, func() unix.Errno { return t.root.unlink(t.path("to-d") + "/") }, t.dir)
		st, e := t.root.lstat(t.path("to-d") + "/")
		t.is("lstat with a slash behind", fmt.Sprint(text(e), " ", st.Mode&unix.S_IFMT == unix.S_IFDIR), "OK true")
		t.is("unlink of one", t.root.unlink(t.path("to-d")), unix.Errno(0))
		t.is("the folder stays", t.exists(t.path("d")), true)
	})
	t.group("in a sticky folder", func(t *T) {
		t.file(t.path("f"), "f", 0o666)
		t.must("mkdir", t.root.mkdir(t.path("d"), 0o777))
		t.must("chmod", t.root.chmod(t.path("d"), 0o1777))
		t.must("symlink", t.alice.symlink("../f", t.path("d", "s")))
		t.is("followed by its owner", t.alice.opens(t.path("d", "s"), unix.O_RDONLY), unix.Errno(0))
		want := unix.Errno(0)
		if protected("symlinks") {
			want = unix.EACCES
		}
		t.is("followed by another", t.bob.opens(t.path("d", "s"), unix.O_RDONLY), want)
		t.is("read by another", func() unix.Errno { _, e := t.bob.readlink(t.path("d", "s")); return e }(), unix.Errno(0))
	})
}
