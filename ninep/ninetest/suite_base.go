// SPDX-License-Identifier: Apache-2.0

package ninetest

import (
	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// baseTests are of what is otherwise in 9P2000 than in 9P2000.u.
var baseTests = []suiteTest{
	{name: "error", run: func(e *env) {
		reply, err := e.Raw([]byte{11, 0, 0, 0, 120, 9, 1, 77, 0, 0, 0}, 4096)
		e.ok(err)
		equal(e, "Rerror", string(reply), "\x1c\x00\x00\x00\x6b\x09\x01\x13\x00Bad file descriptor")
		reply, err = e.Raw([]byte{11, 0, 0, 0, 120, 9, 1, 77, 0, 0, 0}, 12)
		e.ok(err)
		equal(e, "Rerror in little room", string(reply), "\x0c\x00\x00\x00\x6b\x09\x01\x03\x00Bad")
	}},
	{name: "types", run: func(e *env) {
		for _, perm := range []ninep.Perm{
			ninep.DMSymlink, ninep.DMLink, ninep.DMDevice, ninep.DMNamedPipe, ninep.DMSocket, ninep.DMSetUID, ninep.DMSetGID,
			ninep.DMSetVTX, 0o1000,
		} {
			_, err := e.Create(e.walk(), "x", perm|0o600, ninep.ORead, "")
			e.want(err, unix.EINVAL)
			e.want(e.Wstat(root, func(st *ninep.Stat) { st.Mode = ninep.DMDir | perm | 0o755 }), unix.EINVAL)
		}
		_, err := e.Create(e.walk(), "x", 0o600, ninep.OWrite|ninep.OAppend, "")
		e.want(err, unix.EINVAL)
		equal(e, "entries", len(e.list(8000)), 0)
		_, err = e.Create(e.walk(), "x", ninep.DMTmp|0o600, ninep.ORead, "")
		e.ok(err)
	}},
	{name: "what_it_cannot_say", run: func(e *env) {
		e.speak(ninep.Dialect2000L)
		_, err := e.Symlink(root, "l", "nowhere", 0)
		e.ok(err)
		_, err = e.Mkdir(root, "d", 0o1777, 0)
		e.ok(err)
		e.speak(ninep.Dialect2000)
		// A symlink is a file that cannot be opened.
		l := e.NewFID()
		qids, err := e.Walk(root, l, "l")
		e.ok(err)
		st := e.stat(l)
		equal(e, "types", [2]ninep.QIDType{qids[0].Type, st.QID.Type}, [2]ninep.QIDType{})
		equal(e, "mode", st.Mode&^0o777, 0)
		equal(e, "extension", string(st.Extension), "")
		_, err = e.Open(l, ninep.ORead)
		e.want(err, unix.ELOOP)
		// Bits that do not show stay when the others change.
		d := e.walk("d")
		equal(e, "mode", e.stat(d).Mode, ninep.DMDir|0o777)
		e.ok(e.Wstat(d, func(st *ninep.Stat) { st.Mode = ninep.DMDir | 0o755 }))
		e.speak(ninep.Dialect2000L)
		equal(e, "mode", e.attr(e.walk("d")).Mode, unix.S_IFDIR|0o1755)
	}},
	{name: "permissions_of_the_directory", run: func(e *env) {
		e.makeDir("d")
		e.ok(e.Wstat(e.walk("d"), func(st *ninep.Stat) { st.Mode = ninep.DMDir | 0o750 }))
		for _, c := range []struct {
			name       string
			perm, want ninep.Perm
		}{
			{"f", 0o666, 0o640},
			{"x", 0o777, 0o751}, // the right to execute is the file's own
			{"d", ninep.DMDir | 0o777, ninep.DMDir | 0o750},
			{"e", ninep.DMDir | 0o705, ninep.DMDir | 0o700},
		} {
			fid := e.walk("d")
			_, err := e.Create(fid, c.name, c.perm, ninep.ORead, "")
			e.ok(err)
			equal(e, "mode of "+c.name, e.stat(fid).Mode, c.want)
		}
	}},
	{name: "rename_replaces_nothing", run: func(e *env) {
		e.ok(e.Clunk(e.make("f", "new")))
		e.ok(e.Clunk(e.make("g", "old")))
		e.want(e.Wstat(e.walk("f"), func(st *ninep.Stat) { st.Name = ninep.Name("g") }), unix.EEXIST)
		equal(e, "content", e.text("f")+e.text("g"), "newold")
	}},
	{name: "directories", run: func(e *env) {
		e.makeDir("d")
		equal(e, "length", e.stat(root).Length, 0)
		fid := e.walk("d")
		_, err := e.Open(fid, ninep.ORead)
		e.ok(err)
		list, err := e.ReadAllStats(fid, 8000)
		e.ok(err)
		equal(e, "entries", len(list), 0) // "." and ".." are none
	}},
	{name: "users", lacks: func(l *Lacks) bool { return l.Owners }, run: func(e *env) {
		for i, c := range []struct{ name, want string }{
			{"1234", "1234"}, {"root", "0"}, {"nobody", "65534"}, {"glenda", "65534"}, {"-5", "65534"}, {"99999999999", "65534"},
		} {
			user := uint32(10 + i)
			e.ok(e.Do(&ninep.Tattach{FID: user, AFID: ninep.NoFID, UName: ninep.Name(c.name)}, &ninep.Rattach{}))
			_, err := e.Create(user, "f-"+c.name, 0o644, ninep.OWrite, "")
			e.ok(err)
			equal(e, "owner for "+c.name, string(e.stat(user).UID), c.want)
		}
		fid := e.make("f", "")
		e.want(e.Wstat(fid, func(st *ninep.Stat) { st.UID = ninep.Name("5") }), unix.EPERM)
		e.ok(e.Wstat(fid, func(st *ninep.Stat) { st.GID = ninep.Name("6") }))
		equal(e, "group", string(e.stat(fid).GID), "6")
	}},
}
