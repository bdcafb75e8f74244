// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func renames(t *T) {
	for _, from := range kinds {
		t.group(from.name, func(t *T) { renameFree(t, from) })
		for _, to := range kinds {
			t.group(from.name+" over a "+to.name, func(t *T) { renameOver(t, from, to) })
		}
	}
	t.group("errors", renameErrors)
	t.group("folders", renameFolders)
	t.group("flags", renameFlags)
}

// renameFree gives a file a name that is free.
func renameFree(t *T, k kind) {
	t.folder(t.path("d"), t.root, 0o755)
	t.folder(t.path("e"), t.root, 0o755)
	a, b, d := t.path("a"), t.path("b"), t.path("d", "moved")
	t.a(k, a, t.alice, 0o640)
	before := t.lstat(a)
	t.moves("beside", func() unix.Errno { return t.root.rename(a, b) }, 0, track{a, "gone"}, track{t.dir, "mc"})
	t.is("is there", fmt.Sprint(t.exists(a), t.exists(b)), "false true")
	parent, d0 := t.lstat(t.dir), t.lstat(t.path("d"))
	t.moves("into a folder", func() unix.Errno { return t.root.rename(b, d) }, 0, track{b, "gone"}, track{t.dir, "mc"}, track{t.path("d"), "mc"})
	after := t.lstat(d)
	t.is("the same file", fmt.Sprint(after.Ino == before.Ino, after.Mode == before.Mode, after.Uid, after.Gid, after.Nlink == before.Nlink, after.Mtim == before.Mtim),
		fmt.Sprint(true, true, aliceID, aliceID, true, true))
	t.is("its status changes", after.Ctim != before.Ctim, true)
	links := 0
	if k == directory {
		links = 1
	}
	t.is("links of the folders", fmt.Sprint(int(parent.Nlink)-int(t.lstat(t.dir).Nlink), int(t.lstat(t.path("d")).Nlink)-int(d0.Nlink)), fmt.Sprint(links, links))
	t.moves("between folders", func() unix.Errno { return t.root.rename(d, t.path("e", "x")) }, 0, track{t.path("d"), "mc"}, track{t.path("e"), "mc"}, track{t.dir, ""})
	t.moves("to itself", func() unix.Errno { return t.root.rename(t.path("e", "x"), t.path("e", "x")) }, 0, track{t.path("e", "x"), ""}, track{t.path("e"), ""})
	if k != directory {
		t.must("link", t.root.link(t.path("e", "x"), t.path("e", "y")))
		t.moves("to another name of itself", func() unix.Errno { return t.root.rename(t.path("e", "x"), t.path("e", "y")) }, 0,
			track{t.path("e", "x"), ""}, track{t.path("e", "y"), ""}, track{t.path("e"), ""})
		t.is("links", t.lstat(t.path("e", "y")).Nlink, 2)
		t.is("back", t.root.rename(t.path("e", "y"), t.path("e", "x")), unix.Errno(0))
		t.is("both names stay", fmt.Sprint(t.exists(t.path("e", "x")), t.exists(t.path("e", "y"))), "true true")
	}
}

// renameOver gives a file a name that another has.
func renameOver(t *T, from, to kind) {
	a, b := t.path("a"), t.path("b")
	t.a(from, a, t.alice, 0o640)
	t.a(to, b, t.bob, 0o600)
	want := unix.Errno(0)
	switch {
	case from != directory && to == directory:
		want = unix.EISDIR
	case from == directory && to != directory:
		want = unix.ENOTDIR
	}
	rename := func() unix.Errno { return t.root.rename(a, b) }
	if want != 0 {
		t.refuses("is refused", want, rename, a, b, t.dir)
		t.is("both stay", kindOf(t, a).name+" "+kindOf(t, b).name, from.name+" "+to.name)
		return
	}
	tracks := []track{{a, "gone"}, {t.dir, "mc"}}
	if to != directory {
		t.must("link", t.root.link(b, t.path("c")))
		tracks = append(tracks, track{t.path("c"), "c"})
	}
	ino := t.lstat(a).Ino
	dir := t.lstat(t.dir)
	t.moves("replaces it", rename, 0, tracks...)
	st := t.lstat(b)
	t.is("is the file", fmt.Sprint(st.Ino == ino, st.Mode&unix.S_IFMT == from.bits, st.Uid), fmt.Sprint(true, true, aliceID))
	if to == directory {
		t.is("links of the folder", int(dir.Nlink)-int(t.lstat(t.dir).Nlink), 1)
	} else {
		t.is("links of the replaced", t.lstat(t.path("c")).Nlink, 1)
		t.is("type of the replaced", kindOf(t, t.path("c")).name, to.name)
	}
}

func renameErrors(t *T) {
	t.folder(t.path("full"), t.root, 0o755)
	t.folder(t.path("full", "sub"), t.root, 0o755)
	t.folder(t.path("empty"), t.root, 0o755)
	t.file(t.path("f"), "f", 0o644)
	p := func(s string) string { return t.dir + "/" + s }
	for _, c := range []struct {
		from, to string
		want     unix.Errno
	}{
		{"empty", "full", unix.ENOTEMPTY},
		{"full", "full/sub", unix.EINVAL},
		{"full", "full/sub/x", unix.EINVAL},
		{"full", "full/x", unix.EINVAL},
		{"full/sub", "full", unix.ENOTEMPTY},
		{"missing", "x", unix.ENOENT},
		{"missing", "f", unix.ENOENT},
		{"missing", "empty", unix.ENOENT},
		{"f", "missing/x", unix.ENOENT},
		{"f", "empty", unix.EISDIR},
		{"f", "full", unix.EISDIR},
		{"empty", "f", unix.ENOTDIR},
		{"full", "f", unix.ENOTDIR},
		{"f", "f/x", unix.ENOTDIR},
		{"f/", "x", unix.ENOTDIR},
		{"f", "x/", unix.ENOTDIR},
		{"empty/.", "x", unix.EBUSY},
		{"empty/..", "x", unix.EBUSY},
		{"f", "empty/.", unix.EBUSY},
		{"f", "empty/..", unix.EBUSY},
		{"empty", "full/.", unix.EBUSY},
	} {
		t.refuses(c.from+" to "+c.to, c.want, func() unix.Errno { return t.root.rename(p(c.from), p(c.to)) }, t.dir, t.path("f"), t.path("full"), t.path("empty"))
	}
	t.refuses("to another file system", unix.EXDEV, func() unix.Errno { return t.root.rename(t.path("f"), "/dev/shm/posix-rename") }, t.dir, t.path("f"))
	t.is("a folder with a slash behind it", t.root.rename(p("empty/"), p("empty2/")), unix.Errno(0))
	t.is("over an empty folder", t.root.rename(p("full"), p("empty2")), unix.Errno(0))
	t.is("with all in it", t.exists(t.path("empty2", "sub")), true)
}

// renameFolders: the .. of a folder goes with it, and needs the right to write to it.
func renameFolders(t *T) {
	t.must("mkdir", t.root.mkdir(t.path("a"), 0o777))
	t.must("mkdir", t.root.mkdir(t.path("b"), 0o777))
	t.folder(t.path("a", "alice"), t.alice, 0o755)
	t.folder(t.path("a", "bob"), t.bob, 0o755)
	t.folder(t.path("a", "open"), t.bob, 0o777)
	t.folder(t.path("a", "closed"), t.alice, 0o555)
	for _, c := range []struct {
		name string
		want unix.Errno
	}{{"alice", 0}, {"bob", unix.EACCES}, {"open", 0}, {"closed", unix.EACCES}} {
		t.is(c.name+" between folders", t.alice.rename(t.path("a", c.name), t.path("b", c.name)), c.want)
		in := "a"
		if c.want == 0 {
			in = "b"
			up, e := t.root.lstat(t.path("b", c.name) + "/..")
			t.is(c.name+" its ..", fmt.Sprint(text(e), up.Ino == t.lstat(t.path("b")).Ino), "OKtrue")
		}
		t.is(c.name+" in a folder", t.alice.rename(t.path(in, c.name), t.path(in, c.name+"2")), unix.Errno(0))
	}
}

func renameFlags(t *T) {
	t.file(t.path("a"), "a", 0o644)
	t.file(t.path("b"), "b", 0o644)
	rename := func(from, to string, flags int) unix.Errno {
		return t.root.do(call{Op: "renameat2", Path: t.path(from), Path2: t.path(to), Flags: flags}).Errno
	}
	t.is("no-replace, taken", rename("a", "b", unix.RENAME_NOREPLACE), unix.EEXIST)
	t.is("no-replace, taken, content", t.content(t.path("a"))+t.content(t.path("b")), "ab")
	e := rename("a", "c", unix.RENAME_NOREPLACE)
	t.is("no-replace, free", e, unix.Errno(0))
	if e == 0 {
		t.must("rename", t.root.rename(t.path("c"), t.path("a")))
	}
	e = rename("a", "b", unix.RENAME_EXCHANGE)
	t.is("exchange", e, unix.Errno(0))
	if e != 0 {
		t.is("exchange, not done as a rename", t.content(t.path("a"))+t.content(t.path("b")), "ab")
	} else {
		t.is("exchange, content", t.content(t.path("a"))+t.content(t.path("b")), "ba")
	}
	t.is("exchange with what is missing", rename("a", "x", unix.RENAME_EXCHANGE), unix.ENOENT)
	t.is("exchange and no-replace", rename("a", "b", unix.RENAME_EXCHANGE|unix.RENAME_NOREPLACE), unix.EINVAL)
	t.is("unknown", rename("a", "b", 1<<10), unix.EINVAL)
}
