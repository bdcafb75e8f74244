// SPDX-License-Identifier: Apache-2.0

package ninetest

import (
	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

var sessionTests = []suiteTest{
	{name: "version", run: func(e *env) {
		for _, msize := range []uint32{4096, 8192, 131096, 512000} {
			got, v, err := e.Version(msize, "9P2000.L")
			e.ok(err)
			equal(e, "msize", got, msize)
			equal(e, "version", v, "9P2000.L")
		}
	}},
	{name: "version_clips_msize", run: func(e *env) {
		got, _, err := e.Version(1<<31, "9P2000.L")
		e.ok(err)
		equal(e, "msize", got, ninep.DefaultMaxMsize)
	}},
	{name: "version_unknown", run: func(e *env) {
		for _, v := range []string{"9P1999", "9P", "9p2000.L", "", "unknown", "9P2000L", ".9P2000", "9P2000\x00"} {
			_, got, err := e.Version(8192, v)
			e.ok(err)
			equal(e, "answer to "+v, got, "unknown")
			_, err = e.Attach(1, 0, "")
			e.want(err, unix.EPROTO)
		}
	}},
	{name: "version_of_an_extension", run: func(e *env) {
		for _, c := range []struct{ asked, want string }{
			{"9P2000", "9P2000"}, {"9P2000.u", "9P2000.u"}, {"9P2000.L.Google.7", "9P2000.L"}, {"9P2000.u.x", "9P2000.u"},
			{"9P2000.l", "9P2000"}, {"9P2000.L ", "9P2000"}, {"9P2000.unknown", "9P2000"}, {"9P2000..", "9P2000"},
		} {
			_, got, err := e.Version(8192, c.asked)
			e.ok(err)
			equal(e, "answer to "+c.asked, got, c.want)
			_, err = e.Attach(root, 0, "")
			e.ok(err)
		}
	}},
	{name: "version_under_any_tag", run: func(e *env) {
		msg, err := ninep.AppendMessage(nil, 5, &ninep.Tversion{Msize: 8192, Version: ninep.Name("9P2000.L")})
		e.ok(err)
		reply, err := e.Raw(msg, 4096)
		e.ok(err)
		var r ninep.Rversion
		tag, err := ninep.ParseMessage(reply, &r)
		e.ok(err)
		equal(e, "tag", tag, 5)
		equal(e, "version", string(r.Version), "9P2000.L")
	}},
	{name: "version_small_msize", run: func(e *env) {
		for _, msize := range []uint32{0, 1, 4095} {
			_, _, err := e.Version(msize, "9P2000.L")
			e.want(err, unix.EMSGSIZE)
		}
	}},
	{name: "version_clunks", run: func(e *env) {
		fid := e.create("f", "x")
		_, _, err := e.Version(8192, "9P2000.L")
		e.ok(err)
		for _, fid := range []uint32{root, fid} {
			_, err := e.Getattr(fid, ninep.AttrBasic)
			e.want(err, unix.EBADF)
		}
		_, err = e.Attach(root, 0, "")
		e.ok(err)
	}},
	{name: "attach", run: func(e *env) {
		q, err := e.Attach(1, ninep.NoFID, "")
		e.ok(err)
		equal(e, "type", q.Type, ninep.QTDir)
		if q.Version == 0 {
			e.Error("QID version 0 turns the client's caches off")
		}
		equal(e, "qid", e.attr(1).QID.Path, q.Path)
		equal(e, "same root", e.attr(root).QID.Path, q.Path)
	}},
	{name: "attach_fid_in_use", run: func(e *env) {
		_, err := e.Attach(root, 0, "")
		e.want(err, unix.EINVAL)
		e.attr(root)
		_, err = e.Attach(ninep.NoFID, 0, "")
		e.want(err, unix.EINVAL)
	}},
	{name: "attach_afid", run: func(e *env) {
		for _, afid := range []uint32{0, 1, 77} {
			err := e.Do(&ninep.Tattach{FID: 1, AFID: afid}, &ninep.Rattach{})
			e.want(err, unix.EBADF)
		}
		e.want(e.Clunk(1), unix.EBADF)
	}},
	{name: "attach_subdirectory", run: func(e *env) {
		e.mkdir("a")
		a := e.walk("a")
		_, err := e.Mkdir(a, "b", 0o755, 0)
		e.ok(err)
		want := e.attr(e.walk("a", "b")).QID
		for i, aname := range []string{"a/b", "/a/b", "a/b/", "//a///b//", "./a/./b"} {
			fid := uint32(10 + i)
			q, err := e.Attach(fid, 0, aname)
			e.ok(err)
			equal(e, "qid of "+aname, q, want)
			// It is the top: nothing leads above it.
			qids, err := e.Walk(fid, e.NewFID(), "..", "..")
			e.ok(err)
			equal(e, "qid above "+aname, qids[1], want)
			e.want(e.Remove(fid), unix.EBUSY)
		}
		for _, aname := range []string{"", "/", "//", "."} {
			q, err := e.Attach(20, 0, aname)
			e.ok(err)
			equal(e, "qid of root", q.Path, e.attr(root).QID.Path)
			e.ok(e.Clunk(20))
		}
		e.create("f", "")
		_, err = e.Symlink(root, "l", "a", 0)
		e.ok(err)
		for aname, errno := range map[string]unix.Errno{
			"nothing": unix.ENOENT, "a/nothing": unix.ENOENT, "..": unix.ENOENT, "a/../a": unix.ENOENT, "f": unix.ENOTDIR,
			"f/": unix.ENOTDIR, "f/x": unix.ENOTDIR, "l": unix.ENOTDIR, "l/b": unix.ENOTDIR, longName(256): unix.ENAMETOOLONG,
		} {
			_, err := e.Attach(20, 0, aname)
			if err != errno {
				e.Errorf("%q: %v, want %v", aname, err, errno)
			}
			e.want(e.Clunk(20), unix.EBADF)
		}
	}},
	{name: "attach_users", lacks: func(l *Lacks) bool { return l.Owners }, run: func(e *env) {
		// Many at once, each for another user.
		for uid := range uint32(20) {
			_, err := e.Attach(100+uid, 1000+uid, "")
			e.ok(err)
		}
		for uid := range uint32(20) {
			dir, err := e.WalkTo(100 + uid)
			e.ok(err)
			e.ok(e.Clunk(100 + uid))
			_, err = e.Lcreate(dir, "file-"+string(rune('a'+uid)), unix.O_RDWR, 0o644, 5)
			e.ok(err)
			equal(e, "owner", e.attr(dir).UID, 1000+uid)
		}
		// No user: the daemon's own.
		_, err := e.Attach(200, ninep.NoUID, "")
		e.ok(err)
		_, err = e.Lcreate(200, "own", unix.O_RDWR, 0o644, ninep.NoUID)
		e.ok(err)
		equal(e, "owner", e.attr(200).UID, uint32(unix.Geteuid()))
	}},
	{name: "attach_illegal_aname", run: func(e *env) {
		_, err := e.Attach(1, 0, "a\x00b")
		e.want(err, unix.ENOENT)
		_, err = e.Attach(1, 0, longName(4096))
		e.want(err, unix.ENAMETOOLONG)
		e.want(e.Clunk(1), unix.EBADF)
	}},
	{name: "auth", run: func(e *env) {
		e.want(e.Do(&ninep.Tauth{AFID: 5}, &ninep.Rclunk{}), unix.EOPNOTSUPP)
	}},
	{name: "unknown_type", run: func(e *env) {
		// Topen and its like are no messages of 9P2000.L.
		for _, typ := range []byte{0, 1, 6, 7, 9, 106, 112, 114, 124, 126, 200, 255} {
			reply, err := e.Raw([]byte{7, 0, 0, 0, typ, 9, 0}, 4096)
			e.ok(err)
			_, err = ninep.ParseMessage(reply, &ninep.Rclunk{})
			e.want(err, unix.EOPNOTSUPP)
		}
	}},
	{name: "clunk", run: func(e *env) {
		fid := e.walk()
		e.ok(e.Clunk(fid))
		e.want(e.Clunk(fid), unix.EBADF)
		_, err := e.Getattr(fid, ninep.AttrBasic)
		e.want(err, unix.EBADF)
	}},
	{name: "unknown_fid", run: func(e *env) {
		const none = 77
		_, err := e.Walk(none, 78)
		e.want(err, unix.EBADF)
		_, err = e.Getattr(none, 0)
		e.want(err, unix.EBADF)
		e.want(e.Setattr(none, ninep.SetAttr{}), unix.EBADF)
		_, _, err = e.Lopen(none, 0)
		e.want(err, unix.EBADF)
		_, err = e.Lcreate(none, "x", 0, 0, 0)
		e.want(err, unix.EBADF)
		_, err = e.Read(none, 0, 1)
		e.want(err, unix.EBADF)
		_, err = e.Write(none, 0, []byte("x"))
		e.want(err, unix.EBADF)
		_, err = e.Readdir(none, 0, 100)
		e.want(err, unix.EBADF)
		_, err = e.Statfs(none)
		e.want(err, unix.EBADF)
		_, err = e.Readlink(none)
		e.want(err, unix.EBADF)
		e.want(e.Fsync(none, false), unix.EBADF)
		e.want(e.Remove(none), unix.EBADF)
		e.want(e.Link(root, none, "x"), unix.EBADF)
		e.want(e.Link(none, root, "x"), unix.EBADF)
		e.want(e.Rename(none, root, "x"), unix.EBADF)
		e.want(e.Rename(root, none, "x"), unix.EBADF)
		e.want(e.Renameat(root, "x", none, "x"), unix.EBADF)
		e.want(e.Unlinkat(none, "x", 0), unix.EBADF)
		_, err = e.GetXattr(none, "user.x")
		e.want(err, unix.EBADF)
		_, err = e.Lock(none, ninep.Lock{})
		e.want(err, unix.EBADF)
		_, err = e.Getlock(none, ninep.Lock{})
		e.want(err, unix.EBADF)
	}},
	{name: "statfs", run: func(e *env) {
		st, err := e.Statfs(root)
		e.ok(err)
		if st.BSize == 0 || st.NameLen == 0 || st.BFree > st.Blocks || st.BAvail > st.BFree {
			e.Errorf("%+v", st)
		}
		fid := e.create("f", "x")
		_, err = e.Statfs(fid)
		e.ok(err)
		_, err = e.Symlink(root, "l", "nowhere", 0)
		e.ok(err)
		_, err = e.Statfs(e.walk("l"))
		e.ok(err)
	}},
}

var walkTests = []suiteTest{
	{name: "deepest", run: func(e *env) {
		// One message takes 16 names.
		var names []string
		dir := uint32(root)
		for range 16 {
			_, err := e.Mkdir(dir, "d", 0o755, 0)
			e.ok(err)
			names = append(names, "d")
			dir, err = e.WalkTo(dir, "d")
			e.ok(err)
		}
		newfid := e.NewFID()
		qids, err := e.Walk(root, newfid, names...)
		e.ok(err)
		equal(e, "nwqid", len(qids), 16)
		equal(e, "last qid", qids[15], e.attr(newfid).QID)
		seen := map[uint64]bool{}
		for _, q := range qids {
			if q.Type != ninep.QTDir || seen[q.Path] {
				e.Errorf("qid %v is no directory or was seen before", q)
			}
			seen[q.Path] = true
		}
		_, err = e.Walk(root, e.NewFID(), append(names, "d")...)
		e.want(err, unix.EINVAL)
	}},
	{name: "none", run: func(e *env) {
		fid := e.walk()
		equal(e, "qid", e.attr(fid).QID, e.attr(root).QID)
		e.ok(e.Clunk(fid))
		e.attr(root)
	}},
	{name: "clone_of_open", run: func(e *env) {
		fid := e.create("f", "data")
		clone, err := e.WalkTo(fid)
		e.ok(err)
		_, _, err = e.Lopen(clone, unix.O_RDONLY)
		e.ok(err)
		data, err := e.ReadAll(clone)
		e.ok(err)
		equal(e, "content", string(data), "data")
	}},
	{name: "illegal_names", run: func(e *env) {
		e.mkdir("d")
		for _, name := range []string{" /", "/", "a/b", "d/", "/d", "", "a\x00b", "\x00", "."} {
			_, err := e.Walk(root, e.NewFID(), name)
			e.want(err, unix.ENOENT)
			_, err = e.Walk(root, e.NewFID(), "d", name)
			e.want(err, unix.ENOENT)
		}
		_, err := e.Walk(root, e.NewFID(), longName(256))
		e.want(err, unix.ENAMETOOLONG)
		_, err = e.Walk(root, e.NewFID(), longName(255))
		e.want(err, unix.ENOENT)
	}},
	{name: "dotdot_from_root", run: func(e *env) {
		newfid := e.NewFID()
		qids, err := e.Walk(root, newfid, "..")
		e.ok(err)
		equal(e, "qid", qids[0], e.attr(root).QID)
		qids, err = e.Walk(root, e.NewFID(), "..", "..", "..")
		e.ok(err)
		equal(e, "nwqid", len(qids), 3)
		equal(e, "qid", qids[2], e.attr(root).QID)
	}},
	{name: "dotdot", run: func(e *env) {
		e.mkdir("a")
		a := e.walk("a")
		_, err := e.Mkdir(a, "b", 0o755, 0)
		e.ok(err)
		equal(e, "a/b/..", e.attr(e.walk("a", "b", "..")).QID, e.attr(a).QID)
		equal(e, "a/b/../..", e.attr(e.walk("a", "b", "..", "..")).QID, e.attr(root).QID)
		equal(e, "a/b/../../../a", e.attr(e.walk("a", "b", "..", "..", "..", "a")).QID, e.attr(a).QID)
	}},
	{name: "non_existent", run: func(e *env) {
		newfid := e.NewFID()
		_, err := e.Walk(root, newfid, "nothing")
		e.want(err, unix.ENOENT)
		e.want(e.Clunk(newfid), unix.EBADF)
	}},
	{name: "2nd_non_existent", run: func(e *env) {
		e.mkdir("d")
		newfid := e.NewFID()
		qids, err := e.Walk(root, newfid, "d", "nothing")
		e.ok(err)
		equal(e, "nwqid", len(qids), 1)
		if qids[0] == e.attr(root).QID {
			e.Error("the first element has root's QID")
		}
		_, err = e.Getattr(newfid, ninep.AttrBasic)
		e.want(err, unix.EBADF)
	}},
	{name: "through_file", run: func(e *env) {
		e.create("f", "")
		f := e.walk("f")
		_, err := e.Walk(f, e.NewFID(), "x")
		e.want(err, unix.ENOTDIR)
		_, err = e.Walk(f, e.NewFID(), "..")
		e.want(err, unix.ENOTDIR)
		qids, err := e.Walk(root, e.NewFID(), "f", "x")
		e.ok(err)
		equal(e, "nwqid", len(qids), 1)
	}},
	{name: "symlink_is_not_followed", run: func(e *env) {
		e.mkdir("d")
		for name, target := range map[string]string{"rel": "d", "abs": "/", "up": "../../.."} {
			_, err := e.Symlink(root, name, target, 0)
			e.ok(err)
			newfid := e.NewFID()
			qids, err := e.Walk(root, newfid, name)
			e.ok(err)
			equal(e, "type", qids[0].Type, ninep.QTSymlink)
			_, err = e.Walk(newfid, e.NewFID(), "etc")
			e.want(err, unix.ENOTDIR, unix.ELOOP)
			qids, err = e.Walk(root, e.NewFID(), name, "etc")
			e.ok(err)
			equal(e, "nwqid", len(qids), 1)
		}
	}},
	{name: "newfid_in_use", run: func(e *env) {
		e.mkdir("d")
		d := e.walk("d")
		_, err := e.Walk(root, d)
		e.want(err, unix.EINVAL)
		_, err = e.Walk(root, d, "d")
		e.want(err, unix.EINVAL)
		_, err = e.Walk(root, ninep.NoFID, "d")
		e.want(err, unix.EINVAL)
		e.attr(d)
	}},
	{name: "in_place", run: func(e *env) {
		e.mkdir("d")
		fid := e.walk()
		want := e.attr(e.walk("d")).QID
		_, err := e.Walk(fid, fid, "nothing")
		e.want(err, unix.ENOENT)
		equal(e, "qid", e.attr(fid).QID, e.attr(root).QID)
		qids, err := e.Walk(fid, fid, "d", "nothing")
		e.ok(err)
		equal(e, "nwqid", len(qids), 1)
		equal(e, "qid", e.attr(fid).QID, e.attr(root).QID)
		_, err = e.Walk(fid, fid, "d")
		e.ok(err)
		equal(e, "qid", e.attr(fid).QID, want)
		_, err = e.Walk(fid, fid)
		e.ok(err)
		equal(e, "qid", e.attr(fid).QID, want)
		_, _, err = e.Lopen(fid, unix.O_RDONLY)
		e.ok(err)
		_, err = e.Walk(fid, fid, "..")
		e.want(err, unix.EINVAL)
	}},
}

// longName is a name of n bytes.
func longName(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a' + byte(i%26)
	}
	return string(b)
}
