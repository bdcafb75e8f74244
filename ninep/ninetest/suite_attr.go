// SPDX-License-Identifier: Apache-2.0

package ninetest

import (
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

var attrTests = []suiteTest{
	{name: "getattr", run: func(e *env) {
		fid := e.create("f", "12345")
		for _, mask := range []ninep.AttrMask{0, ninep.AttrSize, ninep.AttrBasic, 0x3fff, ^ninep.AttrMask(0)} {
			a, err := e.Getattr(fid, mask)
			e.ok(err)
			if mask&ninep.AttrBasic&^a.Valid != 0 {
				e.Errorf("asked for %#x, valid are %#x", mask, a.Valid)
			}
		}
		a := e.attr(fid)
		equal(e, "size", a.Size, 5)
		equal(e, "mode", a.Mode, unix.S_IFREG|0o644)
		equal(e, "nlink", a.NLink, 1)
		if a.QID.Version == 0 {
			e.Error("QID version 0 turns the client's caches off")
		}
		if a.BlkSize == 0 {
			e.Error("block size 0")
		}
		if d := time.Since(time.Unix(a.MTime.Sec, int64(a.MTime.Nsec))); d < -time.Minute || d > time.Hour {
			e.Errorf("a new file's mtime is %v ago", d)
		}
		e.mkdir("d")
		a = e.attr(e.walk("d"))
		equal(e, "mode", a.Mode, unix.S_IFDIR|0o755)
		equal(e, "type", a.QID.Type, ninep.QTDir)
	}},
	{name: "different_qids", run: func(e *env) {
		seen := map[uint64]bool{e.attr(root).QID.Path: true}
		for _, name := range []string{"a", "b", "c"} {
			q := e.attr(e.create(name, "")).QID
			if seen[q.Path] {
				e.Errorf("QID path %#x twice", q.Path)
			}
			seen[q.Path] = true
		}
	}},
	{name: "version_moves", run: func(e *env) {
		fid := e.create("f", "x")
		before := e.attr(fid).QID
		// Versions may come from times, which may be as coarse as a tick.
		time.Sleep(20 * time.Millisecond)
		_, err := e.Write(fid, 0, []byte("yy"))
		e.ok(err)
		after := e.attr(fid).QID
		equal(e, "path", after.Path, before.Path)
		if after.Version == before.Version {
			e.Error("the QID version is the same after a change")
		}
	}},
	{name: "mode", run: func(e *env) {
		fid := e.create("f", "")
		for _, mode := range []uint32{0, 0o7777, 0o644, 0o4711, 0o2710, 0o1777} {
			e.ok(e.Setattr(fid, ninep.SetAttr{Valid: ninep.SetMode, Mode: mode | unix.S_IFREG}))
			equal(e, "mode", e.attr(fid).Mode, unix.S_IFREG|mode)
			// And by a fid that is not open.
			unopened := e.walk("f")
			e.ok(e.Setattr(unopened, ninep.SetAttr{Valid: ninep.SetMode, Mode: mode ^ 1}))
			equal(e, "mode", e.attr(fid).Mode, unix.S_IFREG|mode^1)
		}
	}},
	{name: "owner", lacks: func(l *Lacks) bool { return l.Owners }, run: func(e *env) {
		e.create("f", "")
		fid := e.walk("f")
		e.ok(e.Setattr(fid, ninep.SetAttr{Valid: ninep.SetUID | ninep.SetGID, UID: 11, GID: 22}))
		a := e.attr(fid)
		equal(e, "uid", a.UID, 11)
		equal(e, "gid", a.GID, 22)
		e.ok(e.Setattr(fid, ninep.SetAttr{Valid: ninep.SetGID, GID: 33}))
		a = e.attr(fid)
		equal(e, "uid", a.UID, 11)
		equal(e, "gid", a.GID, 33)
		e.ok(e.Setattr(fid, ninep.SetAttr{Valid: ninep.SetUID | ninep.SetGID, UID: ninep.NoFID, GID: ninep.NoFID}))
		equal(e, "uid", e.attr(fid).UID, 11)
	}},
	{name: "chown_takes_set_id_off", lacks: func(l *Lacks) bool { return l.Owners }, run: func(e *env) {
		fid := e.create("f", "")
		e.ok(e.Setattr(fid, ninep.SetAttr{Valid: ninep.SetMode, Mode: 0o6775}))
		e.ok(e.Setattr(fid, ninep.SetAttr{Valid: ninep.SetUID, UID: 11}))
		equal(e, "mode", e.attr(fid).Mode, unix.S_IFREG|0o775)
		// But a mode that comes with the owner is meant.
		e.ok(e.Setattr(fid, ninep.SetAttr{Valid: ninep.SetUID | ninep.SetMode, UID: 12, Mode: 0o4755}))
		equal(e, "mode", e.attr(fid).Mode, unix.S_IFREG|0o4755)
	}},
	{name: "owner_of_symlink", lacks: func(l *Lacks) bool { return l.Owners }, run: func(e *env) {
		e.create("f", "")
		_, err := e.Symlink(root, "l", "f", 0)
		e.ok(err)
		l := e.walk("l")
		e.ok(e.Setattr(l, ninep.SetAttr{Valid: ninep.SetUID, UID: 11}))
		equal(e, "uid of the link", e.attr(l).UID, 11)
		equal(e, "uid of the file", e.attr(e.walk("f")).UID, 0)
	}},
	{name: "size", run: func(e *env) {
		fid := e.create("f", "0123456789")
		e.ok(e.Setattr(fid, ninep.SetAttr{Valid: ninep.SetSize, Size: 4}))
		equal(e, "content", e.content("f"), "0123")
		e.ok(e.Setattr(e.walk("f"), ninep.SetAttr{Valid: ninep.SetSize, Size: 6}))
		equal(e, "content", e.content("f"), "0123\x00\x00")
		for _, size := range []uint64{1 << 63, ^uint64(0)} {
			e.want(e.Setattr(fid, ninep.SetAttr{Valid: ninep.SetSize, Size: size}), unix.EINVAL)
		}
		e.mkdir("d")
		e.want(e.Setattr(e.walk("d"), ninep.SetAttr{Valid: ninep.SetSize}), unix.EISDIR, unix.EINVAL)
	}},
	{name: "times", run: func(e *env) {
		fid := e.create("f", "x")
		at, mt := ninep.Time{Sec: 1234567890, Nsec: 123456789}, ninep.Time{Sec: 987654321, Nsec: 999999999}
		const both = ninep.SetATime | ninep.SetATimeSet | ninep.SetMTime | ninep.SetMTimeSet
		e.ok(e.Setattr(fid, ninep.SetAttr{Valid: both, ATime: at, MTime: mt}))
		a := e.attr(fid)
		equal(e, "atime", a.ATime, at)
		equal(e, "mtime", a.MTime, mt)
		// One of them; and not "now" without being told.
		e.ok(e.Setattr(fid, ninep.SetAttr{Valid: ninep.SetMTime | ninep.SetMTimeSet, MTime: at}))
		a = e.attr(fid)
		equal(e, "atime", a.ATime, at)
		equal(e, "mtime", a.MTime, at)
		e.ok(e.Setattr(fid, ninep.SetAttr{Valid: ninep.SetMTime, MTime: mt}))
		a = e.attr(fid)
		equal(e, "atime", a.ATime, at)
		if time.Since(time.Unix(a.MTime.Sec, 0)) > time.Hour {
			e.Errorf("mtime set to now is %v", a.MTime)
		}
		for _, bad := range []uint32{1e9, 0x3fffffff, 0x3ffffffe, 0xffffffff} {
			err := e.Setattr(fid, ninep.SetAttr{Valid: ninep.SetATime | ninep.SetATimeSet, ATime: ninep.Time{Nsec: bad}})
			e.want(err, unix.EINVAL)
		}
		equal(e, "atime", e.attr(fid).ATime, at)
	}},
	{name: "size_and_mtime", run: func(e *env) {
		// Truncating sets mtime itself: the one that was asked for must win.
		fid := e.create("f", "0123456789")
		mt := ninep.Time{Sec: 987654321}
		e.ok(e.Setattr(fid, ninep.SetAttr{Valid: ninep.SetSize | ninep.SetMTime | ninep.SetMTimeSet, Size: 3, MTime: mt}))
		a := e.attr(fid)
		equal(e, "size", a.Size, 3)
		equal(e, "mtime", a.MTime, mt)
	}},
	{name: "times_of_symlink", run: func(e *env) {
		_, err := e.Symlink(root, "l", "nowhere", 0)
		e.ok(err)
		mt := ninep.Time{Sec: 987654321}
		l := e.walk("l")
		e.ok(e.Setattr(l, ninep.SetAttr{Valid: ninep.SetMTime | ninep.SetMTimeSet, MTime: mt}))
		equal(e, "mtime", e.attr(l).MTime, mt)
	}},
	{name: "nothing", run: func(e *env) {
		fid := e.create("f", "x")
		before := e.attr(fid)
		e.ok(e.Setattr(fid, ninep.SetAttr{Mode: 1, UID: 1, Size: 99}))
		e.ok(e.Setattr(fid, ninep.SetAttr{Valid: 1 << 31}))
		after := e.attr(fid)
		equal(e, "size", after.Size, before.Size)
		equal(e, "mode", after.Mode, before.Mode)
		equal(e, "mtime", after.MTime, before.MTime)
	}},
}

// xattrName and others are names of attributes that tests use.
const (
	xattrName  = "user.ninetest"
	xattrOther = "user.other"
)

func lacksXattrs(l *Lacks) bool { return l.Xattrs }

var xattrTests = []suiteTest{
	{name: "set_get_list_remove", lacks: lacksXattrs, run: func(e *env) {
		fid := e.create("f", "")
		_, err := e.GetXattr(fid, xattrName)
		e.want(err, unix.ENODATA)
		e.ok(e.SetXattr(fid, xattrName, []byte("value\x00\xff"), 0))
		e.ok(e.SetXattr(fid, xattrOther, []byte("2"), 0))
		v, err := e.GetXattr(fid, xattrName)
		e.ok(err)
		equal(e, "value", string(v), "value\x00\xff")
		list, err := e.GetXattr(fid, "")
		e.ok(err)
		for _, name := range []string{xattrName, xattrOther} {
			if !strings.Contains("\x00"+string(list), "\x00"+name+"\x00") {
				e.Errorf("%s is not in the list %q", name, list)
			}
		}
		e.ok(e.RemoveXattr(fid, xattrName))
		_, err = e.GetXattr(fid, xattrName)
		e.want(err, unix.ENODATA)
		e.want(e.RemoveXattr(fid, xattrName), unix.ENODATA)
		list, err = e.GetXattr(fid, "")
		e.ok(err)
		if strings.Contains(string(list), xattrName) {
			e.Errorf("the list %q has a name that was removed", list)
		}
	}},
	{name: "flags", lacks: lacksXattrs, run: func(e *env) {
		fid := e.create("f", "")
		e.want(e.SetXattr(fid, xattrName, []byte("x"), unix.XATTR_REPLACE), unix.ENODATA)
		e.ok(e.SetXattr(fid, xattrName, []byte("x"), unix.XATTR_CREATE))
		e.want(e.SetXattr(fid, xattrName, []byte("y"), unix.XATTR_CREATE), unix.EEXIST)
		e.ok(e.SetXattr(fid, xattrName, []byte("z"), unix.XATTR_REPLACE))
		v, err := e.GetXattr(fid, xattrName)
		e.ok(err)
		equal(e, "value", string(v), "z")
		e.want(e.SetXattr(fid, xattrName, []byte("x"), 4), unix.EINVAL)
	}},
	{name: "empty_value", lacks: lacksXattrs, run: func(e *env) {
		fid := e.create("f", "")
		e.ok(e.SetXattr(fid, xattrName, nil, 0))
		v, err := e.GetXattr(fid, xattrName)
		e.ok(err)
		equal(e, "length", len(v), 0)
		e.want(e.SetXattr(fid, xattrName, nil, unix.XATTR_CREATE), unix.EEXIST)
	}},
	{name: "large_value", lacks: lacksXattrs, run: func(e *env) {
		fid := e.create("f", "")
		value := pattern(1500)
		e.ok(e.SetXattr(fid, xattrName, value, 0))
		v, err := e.GetXattr(fid, xattrName)
		e.ok(err)
		equal(e, "value", string(v), string(value))
		e.want(e.Do(&ninep.Txattrcreate{FID: e.walk("f"), Name: ninep.Name(xattrName), Size: 65537}, &ninep.Rxattrcreate{}), unix.E2BIG)
		e.want(e.Do(&ninep.Txattrcreate{FID: e.walk("f"), Name: ninep.Name(xattrName), Size: ^uint64(0)}, &ninep.Rxattrcreate{}), unix.E2BIG)
	}},
	{name: "read_in_parts", lacks: lacksXattrs, run: func(e *env) {
		fid := e.create("f", "")
		e.ok(e.SetXattr(fid, xattrName, []byte("0123456789"), 0))
		x := e.NewFID()
		var r ninep.Rxattrwalk
		e.ok(e.Do(&ninep.Txattrwalk{FID: fid, NewFID: x, Name: ninep.Name(xattrName)}, &r))
		equal(e, "size", r.Size, 10)
		// What the fid holds does not change any more.
		e.ok(e.SetXattr(fid, xattrName, []byte("x"), 0))
		v, err := e.Read(x, 3, 4)
		e.ok(err)
		equal(e, "part", string(v), "3456")
		v, err = e.Read(x, 8, 100)
		e.ok(err)
		equal(e, "part", string(v), "89")
		for _, off := range []uint64{10, 11, 1 << 40} {
			v, err = e.Read(x, off, 10)
			e.ok(err)
			equal(e, "bytes behind the end", len(v), 0)
		}
		e.ok(e.Clunk(x))
	}},
	{name: "write_in_parts", lacks: lacksXattrs, run: func(e *env) {
		e.create("f", "")
		x := e.walk("f")
		e.ok(e.Do(&ninep.Txattrcreate{FID: x, Name: ninep.Name(xattrName), Size: 10}, &ninep.Rxattrcreate{}))
		n, err := e.Write(x, 0, []byte("01234"))
		e.ok(err)
		equal(e, "count", n, 5)
		_, err = e.Write(x, 11, []byte("x"))
		e.want(err, unix.ENOSPC)
		n, err = e.Write(x, 5, []byte("56789more"))
		e.ok(err)
		equal(e, "count", n, 5)
		e.ok(e.Clunk(x))
		v, err := e.GetXattr(e.walk("f"), xattrName)
		e.ok(err)
		equal(e, "value", string(v), "0123456789")
	}},
	{name: "incomplete", lacks: lacksXattrs, run: func(e *env) {
		e.create("f", "")
		x := e.walk("f")
		e.ok(e.Do(&ninep.Txattrcreate{FID: x, Name: ninep.Name(xattrName), Size: 10}, &ninep.Rxattrcreate{}))
		_, err := e.Write(x, 0, []byte("01234"))
		e.ok(err)
		e.want(e.Clunk(x), unix.EINVAL)
		e.want(e.Clunk(x), unix.EBADF)
		_, err = e.GetXattr(e.walk("f"), xattrName)
		e.want(err, unix.ENODATA)
	}},
	{name: "fid_is_nothing_else", lacks: lacksXattrs, run: func(e *env) {
		fid := e.create("f", "")
		e.ok(e.SetXattr(fid, xattrName, []byte("v"), 0))
		r, w := e.NewFID(), e.walk("f")
		e.ok(e.Do(&ninep.Txattrwalk{FID: fid, NewFID: r, Name: ninep.Name(xattrName)}, &ninep.Rxattrwalk{}))
		e.ok(e.Do(&ninep.Txattrcreate{FID: w, Name: ninep.Name(xattrOther), Size: 1}, &ninep.Rxattrcreate{}))
		for _, x := range []uint32{r, w} {
			_, err := e.Getattr(x, ninep.AttrBasic)
			e.want(err, unix.EINVAL)
			_, err = e.WalkTo(x)
			e.want(err, unix.EINVAL)
			_, _, err = e.Lopen(x, 0)
			e.want(err, unix.EINVAL)
			_, err = e.Lock(x, ninep.Lock{})
			e.want(err, unix.EINVAL)
			e.want(e.Fsync(x, false), unix.EINVAL)
			e.want(e.Link(root, x, "n"), unix.EINVAL)
			_, err = e.Readdir(x, 0, 100)
			e.want(err, unix.EINVAL)
		}
		_, err := e.Write(r, 0, []byte("x"))
		e.want(err, unix.EINVAL)
		_, err = e.Read(w, 0, 1)
		e.want(err, unix.EINVAL)
		e.want(e.Do(&ninep.Txattrwalk{FID: fid, NewFID: root, Name: ninep.Name(xattrName)}, &ninep.Rxattrwalk{}), unix.EINVAL)
		e.want(e.Do(&ninep.Txattrcreate{FID: fid, Name: ninep.Name(xattrName)}, &ninep.Rxattrcreate{}), unix.EINVAL)
		e.ok(e.Clunk(r))
	}},
	{name: "of_directory", lacks: lacksXattrs, run: func(e *env) {
		e.mkdir("d")
		d := e.walk("d")
		e.ok(e.SetXattr(d, xattrName, []byte("v"), 0))
		v, err := e.GetXattr(d, xattrName)
		e.ok(err)
		equal(e, "value", string(v), "v")
	}},
	{name: "illegal_names", run: func(e *env) {
		fid := e.create("f", "")
		for name, want := range map[string]unix.Errno{"user.a\x00b": unix.EINVAL, longName(256): unix.ERANGE} {
			_, err := e.GetXattr(fid, name)
			e.want(err, want)
			e.want(e.SetXattr(fid, name, []byte("x"), 0), want)
		}
		e.want(e.SetXattr(fid, "", []byte("x"), 0), unix.ERANGE)
	}},
}
