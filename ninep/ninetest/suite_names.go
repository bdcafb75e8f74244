// SPDX-License-Identifier: Apache-2.0

package ninetest

import (
	"strings"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// illegalNewNames are names that nothing can be made under, and the errors.
var illegalNewNames = map[string]unix.Errno{
	".":           unix.EEXIST,
	"..":          unix.EEXIST,
	"":            unix.ENOENT,
	"/":           unix.ENOENT,
	"a/b":         unix.ENOENT,
	"../x":        unix.ENOENT,
	"a\x00":       unix.ENOENT,
	longName(256): unix.ENAMETOOLONG,
}

var namesTests = []suiteTest{
	{name: "mkdir", run: func(e *env) {
		q, err := e.Mkdir(root, "d", 0o750, 0)
		e.ok(err)
		a := e.attr(e.walk("d"))
		equal(e, "qid path", a.QID.Path, q.Path)
		equal(e, "type", q.Type, ninep.QTDir)
		equal(e, "mode", a.Mode, unix.S_IFDIR|0o750)
		_, err = e.Mkdir(root, "d", 0o755, 0)
		e.want(err, unix.EEXIST)
		_, err = e.Mkdir(e.create("f", ""), "x", 0o755, 0)
		e.want(err, unix.ENOTDIR)
		_, err = e.Mkdir(root, "sticky", 0o1777, 0)
		e.ok(err)
		equal(e, "mode", e.attr(e.walk("sticky")).Mode, unix.S_IFDIR|0o1777)
	}},
	{name: "illegal_names", run: func(e *env) {
		f := e.create("f", "")
		for name, want := range illegalNewNames {
			_, err := e.Mkdir(root, name, 0o755, 0)
			e.want(err, want)
			_, err = e.Symlink(root, name, "x", 0)
			e.want(err, want)
			_, err = e.Mknod(root, name, unix.S_IFREG|0o644, 0, 0, 0)
			e.want(err, want)
			e.want(e.Link(root, f, name), want)
		}
		list, err := e.ReadAllDir(e.open(unix.O_RDONLY), 4096)
		e.ok(err)
		equal(e, "entries", len(list), 3)
	}},
	{name: "owner", lacks: func(l *Lacks) bool { return l.Owners }, run: func(e *env) {
		e.ok(e.Setattr(root, ninep.SetAttr{Valid: ninep.SetMode, Mode: 0o777}))
		_, err := e.Attach(1, 1234, "")
		e.ok(err)
		_, err = e.Mkdir(1, "d", 0o755, 5678)
		e.ok(err)
		_, err = e.Symlink(1, "l", "x", 5678)
		e.ok(err)
		_, err = e.Mknod(1, "n", unix.S_IFREG|0o644, 0, 0, 5678)
		e.ok(err)
		for _, name := range []string{"d", "l", "n"} {
			a := e.attr(e.walk(name))
			equal(e, "uid of "+name, a.UID, 1234)
			equal(e, "gid of "+name, a.GID, 5678)
		}
	}},
	{name: "symlink", run: func(e *env) {
		for _, target := range []string{"f", "/abs/olute", "../..", ".", "a//b/", strings.Repeat("x/", 1000), "\xff\xfe"} {
			q, err := e.Symlink(root, "l", target, 0)
			e.ok(err)
			equal(e, "type", q.Type, ninep.QTSymlink)
			fid := e.walk("l")
			equal(e, "type", e.attr(fid).Mode&unix.S_IFMT, unix.S_IFLNK)
			equal(e, "size", e.attr(fid).Size, uint64(len(target)))
			got, err := e.Readlink(fid)
			e.ok(err)
			equal(e, "target", got, target)
			e.ok(e.Unlinkat(root, "l", 0))
		}
		_, err := e.Symlink(root, "l", "", 0)
		e.want(err, unix.ENOENT)
		_, err = e.Symlink(root, "l", "a\x00b", 0)
		e.want(err, unix.EINVAL)
		_, err = e.Symlink(root, "l", longName(4096), 0)
		e.want(err, unix.ENAMETOOLONG)
		_, err = e.Readlink(root)
		e.want(err, unix.EINVAL)
		e.create("f", "")
		_, err = e.Symlink(root, "f", "x", 0)
		e.want(err, unix.EEXIST)
		_, err = e.Readlink(e.walk("f"))
		e.want(err, unix.EINVAL)
	}},
	{name: "mknod", lacks: func(l *Lacks) bool { return l.FIFOs }, run: func(e *env) {
		for name, mode := range map[string]uint32{
			"file": unix.S_IFREG | 0o640,
			"fifo": unix.S_IFIFO | 0o640,
			"sock": unix.S_IFSOCK | 0o640,
		} {
			_, err := e.Mknod(root, name, mode, 0, 0, 0)
			e.ok(err)
			equal(e, "mode", e.attr(e.walk(name)).Mode, mode)
			_, err = e.Mknod(root, name, mode, 0, 0, 0)
			e.want(err, unix.EEXIST)
		}
		for _, mode := range []uint32{unix.S_IFDIR, unix.S_IFLNK, 0o110000, unix.S_IFMT} {
			_, err := e.Mknod(root, "bad", mode|0o644, 0, 0, 0)
			e.want(err, unix.EINVAL, unix.EPERM)
		}
		if e.exists("bad") {
			e.Error("there is something of an impossible type")
		}
	}},
	{name: "mknod_device", lacks: func(l *Lacks) bool { return l.DeviceNodes }, run: func(e *env) {
		for name, mode := range map[string]uint32{"chr": unix.S_IFCHR | 0o600, "blk": unix.S_IFBLK | 0o600} {
			_, err := e.Mknod(root, name, mode, 0xabc, 0x12345, 0)
			e.ok(err)
			a := e.attr(e.walk(name))
			equal(e, "mode", a.Mode, mode)
			major, minor := ninep.DecodeDev(a.RDev)
			equal(e, "major", major, 0xabc)
			equal(e, "minor", minor, 0x12345)
			_, _, err = e.Lopen(e.walk(name), unix.O_RDONLY)
			e.want(err, unix.ENXIO)
		}
		_, err := e.Mknod(root, "bad", unix.S_IFCHR|0o600, 1<<12, 0, 0)
		e.want(err, unix.EINVAL)
		_, err = e.Mknod(root, "bad", unix.S_IFCHR|0o600, 0, 1<<20, 0)
		e.want(err, unix.EINVAL)
	}},
	{name: "link", lacks: func(l *Lacks) bool { return l.HardLinks }, run: func(e *env) {
		f := e.create("f", "data")
		e.ok(e.Link(root, f, "g"))
		a, b := e.attr(e.walk("f")), e.attr(e.walk("g"))
		equal(e, "qid path", b.QID.Path, a.QID.Path)
		equal(e, "nlink", b.NLink, 2)
		equal(e, "content", e.content("g"), "data")
		e.want(e.Link(root, f, "g"), unix.EEXIST)
		e.ok(e.Unlinkat(root, "f", 0))
		equal(e, "content", e.content("g"), "data")
		equal(e, "nlink", e.attr(f).NLink, 1)
		e.mkdir("d")
		e.want(e.Link(root, e.walk("d"), "h"), unix.EPERM)
		e.want(e.Link(f, f, "h"), unix.ENOTDIR)
	}},
	{name: "link_of_symlink", lacks: func(l *Lacks) bool { return l.HardLinks }, run: func(e *env) {
		_, err := e.Symlink(root, "l", "nowhere", 0)
		e.ok(err)
		e.ok(e.Link(root, e.walk("l"), "m"))
		got, err := e.Readlink(e.walk("m"))
		e.ok(err)
		equal(e, "target", got, "nowhere")
	}},
	{name: "unlinkat", run: func(e *env) {
		e.create("f", "")
		e.mkdir("d")
		_, err := e.Symlink(root, "l", "f", 0)
		e.ok(err)
		e.want(e.Unlinkat(root, "nothing", 0), unix.ENOENT)
		e.want(e.Unlinkat(root, "d", 0), unix.EISDIR)
		e.want(e.Unlinkat(root, "f", unix.AT_REMOVEDIR), unix.ENOTDIR)
		e.want(e.Unlinkat(root, "f", 1), unix.EINVAL)
		e.want(e.Unlinkat(root, "f", unix.AT_REMOVEDIR|1), unix.EINVAL)
		for _, flags := range []uint32{0, unix.AT_REMOVEDIR} {
			e.want(e.Unlinkat(root, ".", flags), unix.EINVAL)
			e.want(e.Unlinkat(root, "..", flags), unix.ENOTEMPTY)
			for _, name := range []string{"", "/", "d/..", "f\x00"} {
				e.want(e.Unlinkat(root, name, flags), unix.ENOENT)
			}
		}
		e.ok(e.Unlinkat(root, "l", 0))
		e.ok(e.Unlinkat(root, "f", 0))
		e.ok(e.Unlinkat(root, "d", unix.AT_REMOVEDIR))
		for _, name := range []string{"f", "d", "l"} {
			if e.exists(name) {
				e.Errorf("%s is still there", name)
			}
		}
	}},
	{name: "rmdir_not_empty", run: func(e *env) {
		e.mkdir("d")
		_, err := e.Mkdir(e.walk("d"), "sub", 0o755, 0)
		e.ok(err)
		e.want(e.Unlinkat(root, "d", unix.AT_REMOVEDIR), unix.ENOTEMPTY)
		e.want(e.Remove(e.walk("d")), unix.ENOTEMPTY)
		e.exists("d", "sub")
	}},
	{name: "remove", run: func(e *env) {
		e.create("f", "")
		e.mkdir("d")
		for _, name := range []string{"f", "d"} {
			fid := e.walk(name)
			e.ok(e.Remove(fid))
			e.want(e.Clunk(fid), unix.EBADF)
			if e.exists(name) {
				e.Errorf("%s is still there", name)
			}
		}
	}},
	{name: "remove_clunks_on_error", run: func(e *env) {
		fid := e.walk()
		if e.Remove(fid) == nil {
			e.Error("removed the root")
		}
		e.want(e.Clunk(fid), unix.EBADF)
		e.create("f", "")
		fid = e.walk("f")
		e.ok(e.Unlinkat(root, "f", 0))
		e.want(e.Remove(fid), unix.ENOENT, unix.ESTALE)
		e.want(e.Clunk(fid), unix.EBADF)
	}},
	{name: "remove_another_of_that_name", run: func(e *env) {
		e.create("f", "old")
		fid := e.walk("f")
		e.ok(e.Unlinkat(root, "f", 0))
		e.create("f", "new")
		if e.Remove(fid) == nil || e.content("f") != "new" {
			e.Error("removed a file that the fid did not mean")
		}
	}},
}
