// SPDX-License-Identifier: Apache-2.0

package ninetest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// speak replaces the session by one in another dialect, of the same backend.
func (e *env) speak(d ninep.Dialect) {
	e.Helper()
	e.dialect = d
	e.connect(ninep.Config{})
}

// make makes a file below root and returns a fid that has it open for both.
func (e *env) make(name string, data string) uint32 {
	e.Helper()
	fid := e.walk()
	_, err := e.Create(fid, name, 0o644, ninep.ORdWr, "")
	e.ok(err)
	e.ok(e.WriteAll(fid, 0, []byte(data)))
	return fid
}

// makeDir makes a directory below root.
func (e *env) makeDir(name string) {
	e.Helper()
	fid := e.walk()
	_, err := e.Create(fid, name, ninep.DMDir|0o755, ninep.ORead, "")
	e.ok(err)
	e.ok(e.Clunk(fid))
}

// stat returns what is to be known of fid.
func (e *env) stat(fid uint32) ninep.Stat {
	e.Helper()
	st, err := e.Stat(fid)
	e.ok(err)
	return st
}

// text returns what is in the file.
func (e *env) text(names ...string) string {
	e.Helper()
	fid := e.walk(names...)
	_, err := e.Open(fid, ninep.ORead)
	e.ok(err)
	data, err := e.ReadAll(fid)
	e.ok(err)
	e.ok(e.Clunk(fid))
	return string(data)
}

// list returns the entries of the directory by their names, "." and ".." left out.
func (e *env) list(count uint32, names ...string) map[string]ninep.Stat {
	e.Helper()
	fid := e.walk(names...)
	_, err := e.Open(fid, ninep.ORead)
	e.ok(err)
	all, err := e.ReadAllStats(fid, count)
	e.ok(err)
	e.ok(e.Clunk(fid))
	m := map[string]ninep.Stat{}
	for _, st := range all {
		name := string(st.Name)
		if _, twice := m[name]; twice {
			e.Errorf("%q is listed twice", name)
		}
		if name != "." && name != ".." {
			m[name] = st
		}
	}
	return m
}

// plainTests are of what 9P2000.u and 9P2000 have in common.
var plainTests = []suiteTest{
	{name: "version", run: func(e *env) {
		fid := e.make("f", "x")
		_, v, err := e.Version(8192, e.dialect.String()+".more")
		e.ok(err)
		equal(e, "version", v, e.dialect.String())
		_, err = e.Stat(fid)
		e.want(err, unix.EBADF)
		_, err = e.Attach(root, 0, "")
		e.ok(err)
		_, _, err = e.Version(4095, e.dialect.String())
		e.want(err, unix.EMSGSIZE)
		_, err = e.Attach(root, 0, "")
		e.want(err, unix.EPROTO)
	}},
	{name: "messages_of_9P2000.L", run: func(e *env) {
		for _, m := range []ninep.Message{
			&ninep.Tgetattr{}, &ninep.Tsetattr{}, &ninep.Tlopen{}, &ninep.Tlcreate{Name: ninep.Name("x")}, &ninep.Treaddir{Count: 100},
			&ninep.Tstatfs{}, &ninep.Tfsync{}, &ninep.Tlock{}, &ninep.Tgetlock{}, &ninep.Txattrwalk{}, &ninep.Txattrcreate{},
			&ninep.Tsymlink{}, &ninep.Tmknod{}, &ninep.Tmkdir{}, &ninep.Tlink{}, &ninep.Treadlink{}, &ninep.Trename{},
			&ninep.Trenameat{}, &ninep.Tunlinkat{},
		} {
			e.want(e.Do(m, &ninep.Rclunk{}), unix.EOPNOTSUPP)
		}
		equal(e, "entries", len(e.list(8000)), 0)
	}},
	{name: "auth", run: func(e *env) {
		e.want(e.Do(&ninep.Tauth{AFID: 5}, &ninep.Rclunk{}), unix.EOPNOTSUPP)
		e.want(e.Do(&ninep.Tattach{FID: 6, AFID: 5}, &ninep.Rattach{}), unix.EBADF)
	}},
	{name: "file", run: func(e *env) {
		began := time.Now().Unix()
		fid := e.walk()
		q, err := e.Create(fid, "f", 0o640, ninep.ORdWr, "")
		e.ok(err)
		equal(e, "type", q.Type, ninep.QTFile)
		e.ok(e.WriteAll(fid, 0, []byte("0123456789")))
		data, err := e.Read(fid, 3, 4)
		e.ok(err)
		equal(e, "data", string(data), "3456")
		e.ok(e.Clunk(fid))
		equal(e, "content", e.text("f"), "0123456789")

		st := e.stat(e.walk("f"))
		equal(e, "name", string(st.Name), "f")
		equal(e, "mode", st.Mode, 0o640)
		equal(e, "length", st.Length, 10)
		equal(e, "path", st.QID.Path, q.Path)
		equal(e, "uid", string(st.UID), string(e.stat(root).UID))
		equal(e, "type and dev", [2]uint32{uint32(st.Type), st.Dev}, [2]uint32{})
		for _, x := range []uint32{st.ATime, st.MTime} {
			if d := int64(x) - began; d < -2 || d > 60 {
				e.Errorf("a time is %d, %d s off", x, d)
			}
		}
		equal(e, "root's name", string(e.stat(root).Name), "/")
		equal(e, "root's mode", e.stat(root).Mode&ninep.DMDir, ninep.DMDir)
	}},
	{name: "create", run: func(e *env) {
		e.ok(e.Clunk(e.make("f", "data")))
		for _, mode := range []ninep.OpenMode{ninep.ORead, ninep.OWrite, ninep.ORdWr | ninep.OTrunc} {
			_, err := e.Create(e.walk(), "f", 0o644, mode, "")
			e.want(err, unix.EEXIST)
		}
		_, err := e.Create(e.walk(), "f", ninep.DMDir|0o755, ninep.ORead, "")
		e.want(err, unix.EEXIST)
		equal(e, "content", e.text("f"), "data")

		for _, name := range []string{"", "a/b", "/", "a\x00"} {
			_, err := e.Create(e.walk(), name, 0o644, ninep.ORead, "")
			e.want(err, unix.ENOENT)
		}
		for _, name := range []string{".", ".."} {
			_, err := e.Create(e.walk(), name, 0o644, ninep.ORead, "")
			e.want(err, unix.EEXIST)
		}
		_, err = e.Create(e.walk(), longName(256), 0o644, ninep.ORead, "")
		e.want(err, unix.ENAMETOOLONG)
		_, err = e.Create(e.walk("f"), "x", 0o644, ninep.ORead, "")
		e.want(err, unix.ENOTDIR)
		_, err = e.Create(77, "x", 0o644, ninep.ORead, "")
		e.want(err, unix.EBADF)
		for _, perm := range []ninep.Perm{ninep.DMAppend, ninep.DMExcl, ninep.DMAuth, ninep.DMMount} {
			_, err = e.Create(e.walk(), "x", perm|0o644, ninep.ORead, "")
			e.want(err, unix.EOPNOTSUPP)
		}
		_, err = e.Create(e.walk(), "x", 1<<15|0o644, ninep.ORead, "")
		e.want(err, unix.EINVAL)
		equal(e, "entries", len(e.list(8000)), 1)
		// The fid of a failed Tcreate stands where it stood.
		fid := e.walk()
		_, err = e.Create(fid, "f", 0o644, ninep.ORead, "")
		e.want(err, unix.EEXIST)
		_, err = e.Create(fid, "g", 0o644, ninep.ORead, "")
		e.ok(err)
	}},
	{name: "create_dir", run: func(e *env) {
		fid := e.walk()
		q, err := e.Create(fid, "d", ninep.DMDir|0o755, ninep.ORead, "")
		e.ok(err)
		equal(e, "type", q.Type, ninep.QTDir)
		// The fid is the open directory now.
		_, err = e.ReadAllStats(fid, 8000)
		e.ok(err)
		equal(e, "path", e.stat(fid).QID.Path, q.Path)
		_, err = e.Open(fid, ninep.ORead)
		e.want(err, unix.EINVAL)
		for _, mode := range []ninep.OpenMode{ninep.OWrite, ninep.ORdWr, ninep.OTrunc, ninep.ORClose} {
			_, err = e.Create(e.walk(), "e", ninep.DMDir|0o755, mode, "")
			e.want(err, unix.EISDIR)
		}
		equal(e, "entries", len(e.list(8000)), 1)
	}},
	{name: "open_modes", run: func(e *env) {
		e.ok(e.Clunk(e.make("f", "data")))
		e.makeDir("d")
		open := func(mode ninep.OpenMode) uint32 {
			e.Helper()
			fid := e.walk("f")
			_, err := e.Open(fid, mode)
			e.ok(err)
			return fid
		}
		for _, mode := range []ninep.OpenMode{ninep.ORead, ninep.OExec, ninep.ORead | ninep.OCExec} {
			fid := open(mode)
			_, err := e.Write(fid, 0, []byte("x"))
			e.want(err, unix.EBADF)
			data, err := e.Read(fid, 0, 10)
			e.ok(err)
			equal(e, "data", string(data), "data")
			_, err = e.Open(fid, ninep.ORead)
			e.want(err, unix.EINVAL)
		}
		fid := open(ninep.OWrite)
		_, err := e.Read(fid, 0, 100)
		e.want(err, unix.EBADF)
		_, err = e.Write(fid, 1, []byte("o"))
		e.ok(err)
		fid = open(ninep.ORdWr)
		data, err := e.Read(fid, 0, 10)
		e.ok(err)
		equal(e, "data", string(data), "dota")
		for _, mode := range []ninep.OpenMode{ninep.OWrite | ninep.OTrunc, ninep.ORead | ninep.OTrunc} {
			fid = open(mode)
			equal(e, "length", e.stat(fid).Length, 0)
			e.ok(e.Clunk(fid))
			fid = open(ninep.OWrite)
			e.ok(e.WriteAll(fid, 0, []byte("again")))
			e.ok(e.Clunk(fid))
		}
		for _, mode := range []ninep.OpenMode{0x04, 0x08} {
			_, err = e.Open(e.walk("f"), mode)
			e.want(err, unix.EINVAL)
		}
		for _, mode := range []ninep.OpenMode{ninep.OWrite, ninep.ORdWr, ninep.OTrunc, ninep.ORClose} {
			_, err = e.Open(e.walk("d"), mode)
			e.want(err, unix.EISDIR)
		}
		_, err = e.Open(e.walk("d"), ninep.OExec)
		e.ok(err)
		_, err = e.Open(77, ninep.ORead)
		e.want(err, unix.EBADF)
	}},
	{name: "remove_on_close", run: func(e *env) {
		e.ok(e.Clunk(e.make("f", "data")))
		fid := e.walk("f")
		_, err := e.Open(fid, ninep.ORead|ninep.ORClose)
		e.ok(err)
		equal(e, "there before", e.exists("f"), true)
		e.ok(e.Clunk(fid))
		equal(e, "there after", e.exists("f"), false)

		// As a file is created; under another name by then; removed before.
		for _, c := range []struct {
			what string
			do   func(fid uint32)
		}{
			{"nothing", func(uint32) {}},
			{"rename", func(fid uint32) { e.ok(e.Wstat(fid, func(st *ninep.Stat) { st.Name = ninep.Name("g") })) }},
			{"remove", func(uint32) { e.ok(e.Remove(e.walk("t"))) }},
		} {
			fid = e.walk()
			_, err = e.Create(fid, "t", 0o600, ninep.ORdWr|ninep.ORClose, "")
			e.ok(err)
			e.ok(e.WriteAll(fid, 0, []byte("x")))
			c.do(fid)
			e.ok(e.Clunk(fid))
			equal(e, "entries after "+c.what, len(e.list(8000)), 0)
		}
		fid = e.walk()
		_, err = e.Create(fid, "t", 0o600, ninep.ORdWr|ninep.ORClose, "")
		e.ok(err)
		e.ok(e.Remove(fid))

		// The end of the session is the end of its fids.
		_, err = e.Create(e.walk(), "t", 0o600, ninep.ORdWr|ninep.ORClose, "")
		e.ok(err)
		_, _, err = e.Version(8192, e.dialect.String())
		e.ok(err)
		_, err = e.Attach(root, 0, "")
		e.ok(err)
		equal(e, "there after the session", e.exists("t"), false)
	}},
	{name: "remove", run: func(e *env) {
		e.ok(e.Clunk(e.make("f", "")))
		e.makeDir("d")
		sub := e.walk("d")
		_, err := e.Create(sub, "x", 0o600, ninep.ORead, "")
		e.ok(err)
		d := e.walk("d")
		e.want(e.Remove(d), unix.ENOTEMPTY)
		e.want(e.Clunk(d), unix.EBADF)
		e.ok(e.Remove(e.walk("d", "x")))
		e.ok(e.Remove(e.walk("d")))
		e.ok(e.Remove(e.walk("f")))
		equal(e, "entries", len(e.list(8000)), 0)
	}},
	{name: "list", run: func(e *env) {
		want := map[string]uint64{}
		for i := range 60 {
			name := fmt.Sprintf("%0*d", 1+i*4, i)
			fid := e.make(name, name)
			want[name] = e.stat(fid).QID.Path
			e.ok(e.Clunk(fid))
		}
		for _, count := range []uint32{400, 1000, 5000, 60000} {
			got := e.list(count)
			equal(e, "entries", len(got), len(want))
			for name, path := range want {
				st := got[name]
				equal(e, "path of "+name, st.QID.Path, path)
				equal(e, "length of "+name, st.Length, uint64(len(name)))
				equal(e, "mode of "+name, st.Mode, 0o644)
			}
		}
	}},
	{name: "list_offsets", run: func(e *env) {
		for i := range 20 {
			e.ok(e.Clunk(e.make(fmt.Sprintf("file-%d", i), "")))
		}
		dir := e.walk()
		_, err := e.Open(dir, ninep.ORead)
		e.ok(err)
		first, n, err := e.ReadStats(dir, 0, 400)
		e.ok(err)
		if len(first) == 0 || n > 400 {
			e.Fatalf("%d entries, %d bytes", len(first), n)
		}
		for _, off := range []uint64{1, uint64(n) - 1, uint64(n) + 1, 1 << 40, 1<<64 - 1} {
			_, _, err := e.ReadStats(dir, off, 400)
			e.want(err, unix.EINVAL)
		}
		second, m, err := e.ReadStats(dir, uint64(n), 400)
		e.ok(err)
		// The last again, as if its reply had been lost; then on from there.
		again, _, err := e.ReadStats(dir, uint64(n), 400)
		e.ok(err)
		equal(e, "entries, again", len(again), len(second))
		equal(e, "first entry, again", string(again[0].Name), string(second[0].Name))
		third, _, err := e.ReadStats(dir, uint64(n+m), 400)
		e.ok(err)
		if len(third) == 0 || string(third[0].Name) == string(second[0].Name) {
			e.Errorf("%d entries, the first %q", len(third), third[0].Name)
		}
		// From the start, and with no room for an entry.
		restarted, _, err := e.ReadStats(dir, 0, 400)
		e.ok(err)
		equal(e, "first entry from the start", string(restarted[0].Name), string(first[0].Name))
		_, _, err = e.ReadStats(dir, 0, 40)
		e.want(err, unix.EINVAL)
		_, _, err = e.ReadStats(e.walk(), 0, 400)
		e.want(err, unix.EINVAL) // not open
	}},
	{name: "list_while_removing", run: func(e *env) {
		for i := range 100 {
			e.ok(e.Clunk(e.make(fmt.Sprintf("file-%d", i), "")))
		}
		dir := e.walk()
		_, err := e.Open(dir, ninep.ORead)
		e.ok(err)
		seen := map[string]bool{}
		for off := uint64(0); ; {
			list, n, err := e.ReadStats(dir, off, 600)
			e.ok(err)
			if n == 0 {
				break
			}
			for _, st := range list {
				name := string(st.Name)
				if seen[name] {
					e.Errorf("%q was listed twice", name)
				}
				seen[name] = true
				if name != "." && name != ".." {
					e.ok(e.Remove(e.walk(name)))
				}
			}
			off += uint64(n)
		}
		equal(e, "entries left", len(e.list(8000)), 0)
	}},
	{name: "wstat", run: func(e *env) {
		fid := e.make("f", "0123456789")
		change := func(f func(*ninep.Stat)) {
			e.Helper()
			e.ok(e.Wstat(fid, f))
		}
		change(func(*ninep.Stat) {}) // fsync
		change(func(st *ninep.Stat) { st.Length = 4 })
		equal(e, "length", e.stat(fid).Length, 4)
		change(func(st *ninep.Stat) { st.Mode = 0o604 })
		equal(e, "mode", e.stat(fid).Mode, 0o604)
		change(func(st *ninep.Stat) { st.ATime, st.MTime = 1e9, 0 })
		equal(e, "times", [2]uint32{e.stat(fid).ATime, e.stat(fid).MTime}, [2]uint32{1e9, 0})
		change(func(st *ninep.Stat) { st.MTime = 1<<32 - 2 })
		equal(e, "times", [2]uint32{e.stat(fid).ATime, e.stat(fid).MTime}, [2]uint32{1e9, 1<<32 - 2})
		change(func(st *ninep.Stat) { st.Length, st.Mode, st.MTime = 8, 0o644, 12345 })
		st := e.stat(fid)
		equal(e, "all", [3]uint64{st.Length, uint64(st.Mode), uint64(st.MTime)}, [3]uint64{8, 0o644, 12345})
		change(func(now *ninep.Stat) { *now = st }) // sent back
		equal(e, "sent back", e.stat(fid).Length, 8)
		change(func(st *ninep.Stat) { st.MUID = ninep.Name("nobody") })
		equal(e, "content", e.text("f"), "0123\x00\x00\x00\x00")
	}},
	{name: "wstat_refused", run: func(e *env) {
		fid := e.make("f", "0123456789")
		e.makeDir("d")
		d := e.walk("d")
		before, beforeD := e.stat(fid), e.stat(d)
		for what, c := range map[string]struct {
			fid    uint32
			change func(*ninep.Stat)
			want   unix.Errno
		}{
			"type":      {fid, func(st *ninep.Stat) { st.Type = 1 }, unix.EPERM},
			"dev":       {fid, func(st *ninep.Stat) { st.Dev = 1 }, unix.EPERM},
			"qid type":  {fid, func(st *ninep.Stat) { st.QID.Type = ninep.QTDir }, unix.EPERM},
			"qid path":  {fid, func(st *ninep.Stat) { st.QID.Path = 1 << 40 }, unix.EPERM},
			"to dir":    {fid, func(st *ninep.Stat) { st.Mode = ninep.DMDir | 0o755 }, unix.EPERM},
			"from dir":  {d, func(st *ninep.Stat) { st.Mode = 0o755 }, unix.EPERM},
			"append":    {fid, func(st *ninep.Stat) { st.Mode = ninep.DMAppend | 0o644 }, unix.EOPNOTSUPP},
			"length":    {fid, func(st *ninep.Stat) { st.Length = 1 << 63 }, unix.EINVAL},
			"dir":       {d, func(st *ninep.Stat) { st.Length = 1 }, unix.EISDIR},
			"group":     {fid, func(st *ninep.Stat) { st.GID = ninep.Name("wheel") }, unix.EINVAL},
			"slash":     {fid, func(st *ninep.Stat) { st.Name = ninep.Name("d/f") }, unix.ENOENT},
			"up":        {fid, func(st *ninep.Stat) { st.Name = ninep.Name("../f") }, unix.ENOENT},
			"nul":       {fid, func(st *ninep.Stat) { st.Name = ninep.Name("f\x00") }, unix.ENOENT},
			"dot":       {fid, func(st *ninep.Stat) { st.Name = ninep.Name(".") }, unix.EISDIR},
			"dotdot":    {fid, func(st *ninep.Stat) { st.Name = ninep.Name("..") }, unix.EISDIR},
			"long":      {fid, func(st *ninep.Stat) { st.Name = ninep.Name(longName(256)) }, unix.ENAMETOOLONG},
			"root":      {root, func(st *ninep.Stat) { st.Name = ninep.Name("x") }, unix.EBUSY},
			"no fid":    {77, func(st *ninep.Stat) { st.Name = ninep.Name("x") }, unix.EBADF},
			"with mode": {fid, func(st *ninep.Stat) { st.Length, st.Mode = 1, ninep.DMDir }, unix.EPERM},
			"with name": {fid, func(st *ninep.Stat) { st.Mode, st.MTime, st.Name = 0o600, 1, ninep.Name("a/b") }, unix.ENOENT},
			"to what is there": {fid, func(st *ninep.Stat) {
				st.Mode, st.Name = 0o600, ninep.Name("d")
			}, unix.EEXIST},
		} {
			err := e.Wstat(c.fid, c.change)
			if err != c.want {
				e.Errorf("%s: %v, want %v", what, err, c.want)
			}
		}
		// Nothing of it was done.
		for _, c := range []struct {
			fid    uint32
			before ninep.Stat
		}{{fid, before}, {d, beforeD}} {
			now := e.stat(c.fid)
			equal(e, "name", string(now.Name), string(c.before.Name))
			equal(e, "mode", now.Mode, c.before.Mode)
			equal(e, "length", now.Length, c.before.Length)
			equal(e, "mtime", now.MTime, c.before.MTime)
		}
		e.ok(e.Wstat(d, func(st *ninep.Stat) { st.Length = 0 }))
	}},
	{name: "rename", run: func(e *env) {
		e.makeDir("d")
		sub := e.walk("d")
		_, err := e.Create(sub, "f", 0o644, ninep.OWrite, "")
		e.ok(err)
		fid, other := e.walk("d", "f"), e.walk("d", "f")
		e.ok(e.Wstat(fid, func(st *ninep.Stat) { st.Name, st.MUID = ninep.Name("g"), ninep.Name("nobody") }))
		equal(e, "old", e.exists("d", "f"), false)
		equal(e, "new", e.exists("d", "g"), true)
		equal(e, "name", string(e.stat(fid).Name), "g")
		// Through a fid that was walked to by the old name, and all at once.
		e.ok(e.Wstat(other, func(st *ninep.Stat) { st.Name, st.Mode, st.Length = ninep.Name("h"), 0o600, 3 }))
		st := e.stat(e.walk("d", "h"))
		equal(e, "all", [2]uint64{uint64(st.Mode), st.Length}, [2]uint64{0o600, 3})
		equal(e, "name by another fid", string(e.stat(fid).Name), "h")
		e.ok(e.Wstat(fid, func(st *ninep.Stat) { st.Name = ninep.Name("h") }))
		// A directory, also one that was reached from below.
		e.ok(e.Wstat(e.walk("d"), func(st *ninep.Stat) { st.Name = ninep.Name("e") }))
		back := e.NewFID()
		_, err = e.Walk(e.walk("e"), back)
		e.ok(err)
		equal(e, "name", string(e.stat(back).Name), "e")
		equal(e, "entries", len(e.list(8000, "e")), 1)
	}},
	{name: "unlinked", lacks: func(l *Lacks) bool { return l.OpenUnlink }, run: func(e *env) {
		fid := e.make("f", "data")
		e.ok(e.Remove(e.walk("f")))
		equal(e, "length", e.stat(fid).Length, 4)
		e.ok(e.Wstat(fid, func(st *ninep.Stat) { st.Length, st.Mode = 2, 0o600 }))
		data, err := e.Read(fid, 0, 10)
		e.ok(err)
		equal(e, "data", string(data), "da")
		e.want(e.Wstat(fid, func(st *ninep.Stat) { st.Name = ninep.Name("g") }), unix.ENOENT)
	}},
	{name: "readonly", run: func(e *env) {
		e.ok(e.Clunk(e.make("f", "data")))
		e.connect(ninep.Config{ReadOnly: true})
		_, err := e.Create(e.walk(), "g", 0o644, ninep.ORead, "")
		e.want(err, unix.EROFS)
		for _, mode := range []ninep.OpenMode{ninep.OWrite, ninep.ORdWr, ninep.OTrunc, ninep.ORClose} {
			_, err = e.Open(e.walk("f"), mode)
			e.want(err, unix.EROFS)
		}
		f := e.walk("f")
		e.want(e.Wstat(f, func(st *ninep.Stat) { st.Mode = 0o600 }), unix.EROFS)
		e.want(e.Wstat(f, func(st *ninep.Stat) { st.Name = ninep.Name("g") }), unix.EROFS)
		e.ok(e.Wstat(f, func(*ninep.Stat) {}))
		e.want(e.Remove(f), unix.EROFS)
		equal(e, "content", e.text("f"), "data")
		equal(e, "entries", len(e.list(8000)), 1)
	}},
	{name: "parallel", run: func(e *env) {
		// Several make, rename, list and remove files of one directory, on fids of
		// their own and on shared ones.
		shared := e.walk()
		_, err := e.Open(shared, ninep.ORead)
		e.ok(err)
		var wg sync.WaitGroup
		for g := range 6 {
			wg.Go(func() {
				for i := range 25 {
					if err := e.churn(fmt.Sprintf("%d-%d", g, i), shared); err != nil {
						e.Errorf("goroutine %d, round %d: %v", g, i, err)
						return
					}
				}
			})
		}
		wg.Wait()
		equal(e, "entries", len(e.list(8000)), 0)
	}},
}

// churn is the life of a file of the name, which no other has.
func (e *env) churn(name string, shared uint32) error {
	fid, err := e.WalkTo(root)
	if err != nil {
		return err
	}
	if _, err := e.Create(fid, name, 0o644, ninep.ORdWr|ninep.ORClose, ""); err != nil {
		return err
	}
	if err := e.WriteAll(fid, 0, []byte(name)); err != nil {
		return err
	}
	// Others read on meanwhile, so an offset other than 0 may be refused.
	if _, _, err := e.ReadStats(shared, 0, 4000); err != nil {
		return err
	}
	if _, _, err := e.ReadStats(shared, 100, 4000); err != nil && err != unix.EINVAL {
		return err
	}
	other, err := e.WalkTo(root, name)
	if err != nil {
		return err
	}
	if err := e.Wstat(other, func(st *ninep.Stat) { st.Name, st.Mode = ninep.Name(name+"-new"), 0o600 }); err != nil {
		return err
	}
	st, err := e.Stat(fid)
	if err != nil {
		return err
	}
	if string(st.Name) != name+"-new" || st.Mode != 0o600 || st.Length != uint64(len(name)) {
		return fmt.Errorf("%+v", st)
	}
	return errors.Join(e.Clunk(other), e.Clunk(fid)) // which removes it
}
