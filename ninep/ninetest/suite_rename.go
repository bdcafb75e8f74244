// SPDX-License-Identifier: Apache-2.0

package ninetest

import (
	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

var renameTests = []suiteTest{
	{name: "renameat", run: func(e *env) {
		fid := e.create("a", "data")
		e.mkdir("d")
		d := e.walk("d")
		e.ok(e.Renameat(root, "a", root, "b"))
		equal(e, "content", e.content("b"), "data")
		e.ok(e.Renameat(root, "b", d, "c"))
		equal(e, "content", e.content("d", "c"), "data")
		e.ok(e.Renameat(d, "c", d, "c"))
		if e.exists("a") || e.exists("b") {
			e.Error("the old name is still there")
		}
		// The fid goes on meaning the file.
		equal(e, "qid path", e.attr(fid).QID.Path, e.attr(e.walk("d", "c")).QID.Path)
		_, err := e.Write(fid, 0, []byte("D"))
		e.ok(err)
		equal(e, "content", e.content("d", "c"), "Data")
	}},
	{name: "renameat_errors", run: func(e *env) {
		e.create("f", "")
		e.mkdir("d")
		e.mkdir("full")
		_, err := e.Mkdir(e.walk("full"), "sub", 0o755, 0)
		e.ok(err)
		e.want(e.Renameat(root, "nothing", root, "x"), unix.ENOENT)
		e.want(e.Renameat(root, "f", root, "d"), unix.EISDIR)
		e.want(e.Renameat(root, "d", root, "f"), unix.ENOTDIR)
		e.want(e.Renameat(root, "d", root, "full"), unix.ENOTEMPTY, unix.EEXIST)
		e.want(e.Renameat(root, "d", e.walk("d"), "x"), unix.EINVAL)
		e.want(e.Renameat(root, "full", e.walk("full", "sub"), "x"), unix.EINVAL)
		e.want(e.Renameat(e.walk("f"), "x", root, "y"), unix.ENOTDIR)
		e.want(e.Renameat(root, "f", e.walk("f"), "y"), unix.ENOTDIR)
		for _, name := range []string{".", ".."} {
			e.want(e.Renameat(root, name, root, "x"), unix.EISDIR)
			e.want(e.Renameat(root, "f", root, name), unix.EISDIR)
			e.want(e.Rename(e.walk("f"), root, name), unix.EISDIR)
		}
		for _, name := range []string{"", "/", "a/b", "../x", "x\x00"} {
			e.want(e.Renameat(root, name, root, "x"), unix.ENOENT)
			e.want(e.Renameat(root, "f", root, name), unix.ENOENT)
			e.want(e.Rename(e.walk("f"), root, name), unix.ENOENT)
		}
		e.want(e.Renameat(root, "f", root, longName(256)), unix.ENAMETOOLONG)
	}},
	{name: "renameat_replaces", run: func(e *env) {
		e.create("a", "new")
		old := e.create("b", "old")
		e.ok(e.Renameat(root, "a", root, "b"))
		equal(e, "content", e.content("b"), "new")
		data, err := e.ReadAll(old)
		e.ok(err)
		equal(e, "content of the replaced file", string(data), "old")
		e.mkdir("d1")
		e.mkdir("d2")
		e.ok(e.Renameat(root, "d1", root, "d2"))
		if e.exists("d1") {
			e.Error("the old name is still there")
		}
	}},
	{name: "rename", run: func(e *env) {
		e.create("a", "data")
		e.mkdir("d")
		fid := e.walk("a")
		e.ok(e.Rename(fid, root, "b"))
		equal(e, "content", e.content("b"), "data")
		e.ok(e.Rename(fid, e.walk("d"), "c"))
		equal(e, "content", e.content("d", "c"), "data")
		// The fid knows its new name.
		e.ok(e.Remove(fid))
		if e.exists("d", "c") {
			e.Error("still there")
		}
		if e.Rename(root, root, "x") == nil {
			e.Error("renamed the root")
		}
		e.mkdir("e")
		f := e.walk("e")
		e.want(e.Rename(f, f, "x"), unix.EINVAL)
	}},
	{name: "directory_with_fids_below", run: func(e *env) {
		e.mkdir("d")
		d := e.walk("d")
		f, err := e.WalkTo(d)
		e.ok(err)
		_, err = e.Lcreate(f, "f", unix.O_RDWR, 0o644, 0)
		e.ok(err)
		below, err := e.WalkTo(d, "f")
		e.ok(err)
		e.ok(e.Renameat(root, "d", root, "e"))
		e.ok(e.Setattr(below, ninep.SetAttr{Valid: ninep.SetMode, Mode: 0o600}))
		equal(e, "mode", e.attr(e.walk("e", "f")).Mode, unix.S_IFREG|0o600)
		_, err = e.WalkTo(d, "f")
		e.ok(err)
		_, err = e.Mkdir(d, "sub", 0o755, 0)
		e.ok(err)
		if !e.exists("e", "sub") {
			e.Error("made elsewhere")
		}
		equal(e, "..", e.attr(e.walk("e", "sub", "..", "..")).QID.Path, e.attr(root).QID.Path)
	}},
}

var unlinkedTests = []suiteTest{
	{name: "open_file", lacks: lacksOpenUnlink, run: func(e *env) {
		// QEMU's use_after_unlink, and what does not work there.
		fid := e.walk()
		_, err := e.Lcreate(fid, "f", unix.O_RDWR, 0o644, 0)
		e.ok(err)
		e.ok(e.Unlinkat(root, "f", 0))
		a := e.attr(fid)
		equal(e, "nlink", a.NLink, 0)
		n, err := e.Write(fid, 0, pattern(2048))
		e.ok(err)
		equal(e, "count", n, 2048)
		e.ok(e.Setattr(fid, ninep.SetAttr{Valid: ninep.SetSize, Size: 2001}))
		equal(e, "size", e.attr(fid).Size, 2001)
		data, err := e.ReadAll(fid)
		e.ok(err)
		equal(e, "content", string(data), string(pattern(2048)[:2001]))
		useUnlinked(e, fid)
		e.ok(e.Fsync(fid, false))
		e.want(e.Remove(fid), unix.ENOENT, unix.ESTALE)
	}},
	{name: "file_not_open", lacks: lacksOpenUnlink, run: func(e *env) {
		e.create("f", "data")
		fid := e.walk("f")
		e.ok(e.Unlinkat(root, "f", 0))
		useUnlinked(e, fid)
		_, _, err := e.Lopen(fid, unix.O_RDONLY)
		e.ok(err)
		data, err := e.ReadAll(fid)
		e.ok(err)
		equal(e, "content", string(data), "data")
	}},
	{name: "replaced_file", lacks: lacksOpenUnlink, run: func(e *env) {
		e.create("f", "old")
		fid := e.walk("f")
		e.create("g", "new")
		e.ok(e.Renameat(root, "g", root, "f"))
		useUnlinked(e, fid)
		_, _, err := e.Lopen(fid, unix.O_RDONLY)
		e.ok(err)
		data, err := e.ReadAll(fid)
		e.ok(err)
		equal(e, "content", string(data), "old")
	}},
	{name: "directory", lacks: lacksOpenUnlink, run: func(e *env) {
		e.mkdir("d")
		opened, fid := e.open(unix.O_RDONLY, "d"), e.walk("d")
		e.ok(e.Unlinkat(root, "d", unix.AT_REMOVEDIR))
		e.attr(fid)
		_, err := e.Mkdir(fid, "x", 0o755, 0)
		e.want(err, unix.ENOENT)
		_, err = e.WalkTo(fid, "x")
		e.want(err, unix.ENOENT)
		// File systems differ in whether such a directory has "." and "..".
		list, err := e.ReadAllDir(opened, 4096)
		if err == nil && len(list) > 2 {
			e.Errorf("%d entries in a directory that was removed", len(list))
		}
	}},
}

func lacksOpenUnlink(l *Lacks) bool { return l.OpenUnlink }

// useUnlinked does what one may do to a file that has lost its name.
func useUnlinked(e *env, fid uint32) {
	e.Helper()
	e.ok(e.Setattr(fid, ninep.SetAttr{Valid: ninep.SetMode, Mode: 0o600}))
	equal(e, "mode", e.attr(fid).Mode, unix.S_IFREG|0o600)
	mt := ninep.Time{Sec: 987654321}
	e.ok(e.Setattr(fid, ninep.SetAttr{Valid: ninep.SetMTime | ninep.SetMTimeSet, MTime: mt}))
	equal(e, "mtime", e.attr(fid).MTime, mt)
	if !e.cfg.Lacks.Owners {
		e.ok(e.Setattr(fid, ninep.SetAttr{Valid: ninep.SetUID, UID: 11}))
		equal(e, "uid", e.attr(fid).UID, 11)
	}
	if !e.cfg.Lacks.Xattrs {
		e.ok(e.SetXattr(fid, xattrName, []byte("v"), 0))
		v, err := e.GetXattr(fid, xattrName)
		e.ok(err)
		equal(e, "value", string(v), "v")
	}
	_, err := e.Statfs(fid)
	e.ok(err)
	clone, err := e.WalkTo(fid)
	e.ok(err)
	equal(e, "qid path of a clone", e.attr(clone).QID.Path, e.attr(fid).QID.Path)
	e.ok(e.Clunk(clone))
}
