// SPDX-License-Identifier: Apache-2.0

package ninetest

import (
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// make1 makes something below root that is not opened, and returns its fid.
func (e *env) make1(name string, perm ninep.Perm, ext string) uint32 {
	e.Helper()
	fid := e.walk()
	q, err := e.Create(fid, name, perm, ninep.ORead, ext)
	e.ok(err)
	// The fid stands for what was made.
	equal(e, "path", e.stat(fid).QID.Path, q.Path)
	equal(e, "path by name", e.stat(e.walk(name)).QID.Path, q.Path)
	return fid
}

// unixTests are of what 9P2000.u has besides 9P2000.
var unixTests = []suiteTest{
	{name: "error", run: func(e *env) {
		reply, err := e.Raw([]byte{11, 0, 0, 0, 120, 9, 1, 77, 0, 0, 0}, 4096)
		e.ok(err)
		var r ninep.Rerror
		_, err = ninep.Dialect2000U.ParseMessage(reply, &r)
		e.ok(err)
		equal(e, "text", string(r.EName), "Bad file descriptor")
		equal(e, "errno", unix.Errno(r.Errno), unix.EBADF)
		// Where there is little room the text is cut, but not the number.
		reply, err = e.Raw([]byte{11, 0, 0, 0, 120, 9, 1, 77, 0, 0, 0}, 16)
		e.ok(err)
		_, err = ninep.Dialect2000U.ParseMessage(reply, &r)
		e.ok(err)
		equal(e, "text", string(r.EName), "Bad")
		equal(e, "errno", unix.Errno(r.Errno), unix.EBADF)
		reply, err = e.Raw([]byte{11, 0, 0, 0, 120, 9, 1, 77, 0, 0, 0}, 12)
		e.ok(err)
		equal(e, "bytes in too little room", len(reply), 0)
	}},
	{name: "symlink", run: func(e *env) {
		long := strings.Repeat("t", 4095)
		for name, target := range map[string]string{"l": "../x", "long": long} {
			fid := e.make1(name, ninep.DMSymlink|0o777, target)
			st := e.stat(fid)
			equal(e, "target", string(st.Extension), target)
			equal(e, "mode", st.Mode&^0o777, ninep.DMSymlink)
			equal(e, "type", st.QID.Type, ninep.QTSymlink)
			equal(e, "length", st.Length, uint64(len(target)))
			_, err := e.Open(fid, ninep.ORead)
			e.want(err, unix.ELOOP)
		}
		got := e.list(60000)
		equal(e, "target, listed", string(got["l"].Extension), "../x")
		equal(e, "long target, listed", string(got["long"].Extension), long)
		// Without room for the target there is the name at least.
		got = e.list(1000)
		equal(e, "entries in little room", len(got), 2)
		equal(e, "mode in little room", got["long"].Mode&^0o777, ninep.DMSymlink)
		for _, c := range []struct {
			target string
			want   unix.Errno
		}{{"", unix.ENOENT}, {long + "t", unix.ENAMETOOLONG}, {"a\x00", unix.EINVAL}} {
			_, err := e.Create(e.walk(), "x", ninep.DMSymlink|0o777, ninep.ORead, c.target)
			e.want(err, c.want)
		}
	}},
	{name: "link", lacks: func(l *Lacks) bool { return l.HardLinks }, run: func(e *env) {
		fid := e.make("f", "data")
		equal(e, "links", string(e.stat(fid).Extension), "HARDLINKCOUNT 1")
		for i, ext := range []string{fmt.Sprint(fid), fmt.Sprintf("%d\n", fid)} {
			name := fmt.Sprintf("g%d", i)
			l := e.make1(name, ninep.DMLink, ext)
			equal(e, "path", e.stat(l).QID.Path, e.stat(fid).QID.Path)
			equal(e, "name", string(e.stat(l).Name), name)
			equal(e, "links", string(e.stat(fid).Extension), fmt.Sprintf("HARDLINKCOUNT %d", i+2))
			equal(e, "content", e.text(name), "data")
		}
		for ext, want := range map[string]unix.Errno{
			"": unix.EINVAL, "x": unix.EINVAL, "-1": unix.EINVAL, " 1": unix.EINVAL, "1 ": unix.EINVAL, "0x1": unix.EINVAL,
			"4294967295": unix.EINVAL, "4294967297": unix.EINVAL, "99999999999999999999": unix.EINVAL, "77": unix.EBADF,
		} {
			_, err := e.Create(e.walk(), "x", ninep.DMLink, ninep.ORead, ext)
			e.want(err, want)
		}
		_, err := e.Create(e.walk(), "f", ninep.DMLink, ninep.ORead, fmt.Sprint(fid))
		e.want(err, unix.EEXIST)
		_, err = e.Create(e.walk(), "x", ninep.DMLink, ninep.ORead, fmt.Sprint(root))
		e.want(err, unix.EPERM)
	}},
	{name: "device", lacks: func(l *Lacks) bool { return l.DeviceNodes }, run: func(e *env) {
		for name, ext := range map[string]string{"null": "c 1 3", "sda": "b 8 0", "far": "c 4095 1048575"} {
			fid := e.make1(name, ninep.DMDevice|0o600, ext)
			st := e.stat(fid)
			equal(e, "extension", string(st.Extension), ext)
			equal(e, "mode", st.Mode, ninep.DMDevice|0o600)
			_, err := e.Open(fid, ninep.ORead)
			e.want(err, unix.ENXIO)
		}
		e.speak(ninep.Dialect2000L)
		a := e.attr(e.walk("sda"))
		equal(e, "mode", a.Mode, unix.S_IFBLK|0o600)
		equal(e, "rdev", a.RDev, ninep.EncodeDev(8, 0))
	}},
	{name: "device_extension", run: func(e *env) {
		for _, ext := range []string{
			"", "c", "c 1", "c 1 ", "c 1 3 ", " c 1 3", "c  1 3", "d 1 3", "cc 1 3", "c -1 3", "c +1 3", "c 1 0x3", "c 4096 0",
			"c 0 1048576", "c 4294967297 0", "c 1 3\n", "c\t1\t3",
		} {
			_, err := e.Create(e.walk(), "x", ninep.DMDevice|0o600, ninep.ORead, ext)
			e.want(err, unix.EINVAL)
		}
		equal(e, "entries", len(e.list(8000)), 0)
	}},
	{name: "fifo_and_socket", lacks: func(l *Lacks) bool { return l.FIFOs }, run: func(e *env) {
		for name, perm := range map[string]ninep.Perm{"p": ninep.DMNamedPipe, "s": ninep.DMSocket} {
			fid := e.make1(name, perm|0o640, "")
			equal(e, "mode", e.stat(fid).Mode, perm|0o640)
			equal(e, "extension", string(e.stat(fid).Extension), "")
			_, err := e.Open(fid, ninep.ORead)
			e.want(err, unix.ENXIO)
			// A new mode may leave out what the file is, but not say another thing.
			e.ok(e.Wstat(fid, func(st *ninep.Stat) { st.Mode = 0o600 }))
			e.ok(e.Wstat(fid, func(st *ninep.Stat) { st.Mode = perm | 0o604 }))
			e.want(e.Wstat(fid, func(st *ninep.Stat) { st.Mode = ninep.DMSymlink | 0o600 }), unix.EPERM)
			equal(e, "mode", e.stat(fid).Mode, perm|0o604)
			equal(e, "mode, listed", e.list(8000)[name].Mode, perm|0o604)
		}
	}},
	{name: "one_type", run: func(e *env) {
		for _, perm := range []ninep.Perm{ninep.DMDir | ninep.DMSymlink, ninep.DMLink | ninep.DMDevice, ninep.DMSocket | ninep.DMNamedPipe} {
			_, err := e.Create(e.walk(), "x", perm|0o600, ninep.ORead, "c 1 3")
			e.want(err, unix.EINVAL)
		}
		_, err := e.Create(e.walk(), "x", ninep.DMNamedPipe|0o600, ninep.ORClose, "")
		e.want(err, unix.EINVAL)
	}},
	{name: "modes", run: func(e *env) {
		e.makeDir("d")
		d := e.walk("d")
		for _, perm := range []ninep.Perm{0, 0o777, ninep.DMSetVTX | 0o777, ninep.DMSetGID | ninep.DMSetUID | 0o711} {
			e.ok(e.Wstat(d, func(st *ninep.Stat) { st.Mode = ninep.DMDir | perm }))
			equal(e, "mode", e.stat(d).Mode, ninep.DMDir|perm)
		}
		// The directory's permissions do not bound what is made in it.
		e.ok(e.Wstat(d, func(st *ninep.Stat) { st.Mode = ninep.DMDir | 0o700 }))
		fid := e.walk("d")
		_, err := e.Create(fid, "f", ninep.DMSetUID|0o4, ninep.OWrite, "")
		e.ok(err)
		equal(e, "mode", e.stat(fid).Mode, ninep.DMSetUID|0o4)
		fid = e.walk("d")
		_, err = e.Create(fid, "e", ninep.DMDir|0o777, ninep.ORead, "")
		e.ok(err)
		equal(e, "mode", e.stat(fid).Mode, ninep.DMDir|0o777)
	}},
	{name: "append", run: func(e *env) {
		e.ok(e.Clunk(e.make("f", "one")))
		fid := e.walk("f")
		_, err := e.Open(fid, ninep.OWrite|ninep.OAppend)
		e.ok(err)
		_, err = e.Write(fid, 0, []byte("two"))
		e.ok(err)
		equal(e, "content", e.text("f"), "onetwo")
	}},
	{name: "rename_replaces", run: func(e *env) {
		e.ok(e.Clunk(e.make("f", "new")))
		e.ok(e.Clunk(e.make("g", "old")))
		e.ok(e.Wstat(e.walk("f"), func(st *ninep.Stat) { st.Name = ninep.Name("g") }))
		equal(e, "content", e.text("g"), "new")
		equal(e, "entries", len(e.list(8000)), 1)
		e.makeDir("d")
		e.want(e.Wstat(e.walk("g"), func(st *ninep.Stat) { st.Name = ninep.Name("d") }), unix.EISDIR, unix.EEXIST)
	}},
	{name: "dots_are_listed", run: func(e *env) {
		e.makeDir("d")
		fid := e.walk("d")
		_, err := e.Open(fid, ninep.ORead)
		e.ok(err)
		list, err := e.ReadAllStats(fid, 8000)
		e.ok(err)
		got := map[string]uint64{}
		for _, st := range list {
			got[string(st.Name)] = st.QID.Path
			equal(e, "mode", st.Mode&ninep.DMDir, ninep.DMDir)
		}
		equal(e, "entries", len(got), 2)
		equal(e, ".", got["."], e.stat(fid).QID.Path)
		equal(e, "..", got[".."], e.stat(root).QID.Path)
	}},
	{name: "name_of_dotdot", run: func(e *env) {
		e.makeDir("d")
		sub := e.walk("d")
		_, err := e.Create(sub, "e", ninep.DMDir|0o755, ninep.ORead, "")
		e.ok(err)
		up, err := e.WalkTo(e.walk("d", "e"), "..")
		e.ok(err)
		equal(e, "name", string(e.stat(up).Name), "d")
		e.ok(e.Wstat(up, func(st *ninep.Stat) { st.Name = ninep.Name("x") }))
		equal(e, "there", e.exists("x", "e"), true)
	}},
	{name: "owners", lacks: func(l *Lacks) bool { return l.Owners }, run: func(e *env) {
		const user = 5
		_, err := e.Attach(user, 1234, "")
		e.ok(err)
		e.ok(e.Wstat(root, func(st *ninep.Stat) { st.NGID = 77 }))
		for i, perm := range []ninep.Perm{0o644, ninep.DMDir | 0o755, ninep.DMSymlink | 0o777, ninep.DMNamedPipe | 0o600} {
			fid, err := e.WalkTo(user)
			e.ok(err)
			_, err = e.Create(fid, fmt.Sprint("file", i), perm, ninep.ORead, "to")
			e.ok(err)
			// The group is the directory's.
			st := e.stat(fid)
			equal(e, "owner", [2]uint32{st.NUID, st.NGID}, [2]uint32{1234, 77})
			equal(e, "owner's names", string(st.UID)+":"+string(st.GID), "1234:77")
			equal(e, "last modifier", st.NMUID, ninep.NoUID)
		}
		fid := e.make("f", "")
		for _, c := range []struct {
			change   func(*ninep.Stat)
			uid, gid uint32
		}{
			{func(st *ninep.Stat) { st.NUID = 11 }, 11, 77},
			{func(st *ninep.Stat) { st.NGID = 12 }, 11, 12},
			{func(st *ninep.Stat) { st.NUID, st.NGID = 13, 14 }, 13, 14},
			{func(st *ninep.Stat) { st.UID, st.GID = ninep.Name("15"), ninep.Name("16") }, 15, 16},
			{func(st *ninep.Stat) { st.UID, st.NUID = ninep.Name("glenda"), 17 }, 17, 16},
		} {
			e.ok(e.Wstat(fid, c.change))
			st := e.stat(fid)
			equal(e, "owner", [2]uint32{st.NUID, st.NGID}, [2]uint32{c.uid, c.gid})
		}
		e.want(e.Wstat(fid, func(st *ninep.Stat) { st.UID = ninep.Name("glenda") }), unix.EINVAL)
	}},
	{name: "stat_sizes", run: func(e *env) {
		// The number of bytes stands twice before a stat.
		req, err := ninep.Dialect2000U.AppendMessage(nil, 1, &ninep.Tstat{FID: root})
		e.ok(err)
		reply, err := e.Raw(req, 4096)
		e.ok(err)
		equal(e, "n", int(binary.LittleEndian.Uint16(reply[7:])), len(reply)-9)
		equal(e, "size", int(binary.LittleEndian.Uint16(reply[9:])), len(reply)-11)
		// A client that miscounts is forgiven.
		fid := e.make("f", "0123")
		m := ninep.Twstat{FID: fid, Stat: ninep.NullStat()}
		m.Stat.Length = 2
		req, err = ninep.Dialect2000U.AppendMessage(nil, 1, &m)
		e.ok(err)
		binary.LittleEndian.PutUint16(req[11:], 0)
		binary.LittleEndian.PutUint16(req[13:], 0xffff)
		reply, err = e.Raw(req, 4096)
		e.ok(err)
		_, err = ninep.Dialect2000U.ParseMessage(reply, &ninep.Rwstat{})
		e.ok(err)
		equal(e, "length", e.stat(fid).Length, 2)
	}},
}
