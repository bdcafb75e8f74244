// SPDX-License-Identifier: Apache-2.0

package ninetest

import (
	"bytes"
	"math"
	"strings"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// pattern is n bytes that tell where they belong.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}

var ioTests = []suiteTest{
	{name: "create", run: func(e *env) {
		fid := e.walk()
		q, err := e.Lcreate(fid, "f", unix.O_RDWR|unix.O_EXCL, 0o640, 0)
		e.ok(err)
		equal(e, "type", q.Type, ninep.QTFile)
		a := e.attr(fid)
		equal(e, "qid path", a.QID.Path, q.Path)
		equal(e, "mode", a.Mode, unix.S_IFREG|0o640)
		equal(e, "nlink", a.NLink, 1)
		equal(e, "path of the name", e.attr(e.walk("f")).QID.Path, q.Path)
	}},
	{name: "create_existing", run: func(e *env) {
		e.create("f", "data")
		_, err := e.Lcreate(e.walk(), "f", unix.O_RDWR|unix.O_EXCL, 0o644, 0)
		e.want(err, unix.EEXIST)
		fid := e.walk()
		_, err = e.Lcreate(fid, "f", unix.O_RDWR, 0o600, 0)
		e.ok(err)
		equal(e, "content", e.content("f"), "data")
		equal(e, "mode", e.attr(fid).Mode, unix.S_IFREG|0o644)
		e.mkdir("d")
		_, err = e.Lcreate(e.walk(), "d", unix.O_RDWR, 0o600, 0)
		e.want(err, unix.EISDIR, unix.EEXIST)
	}},
	{name: "create_illegal", run: func(e *env) {
		fid := e.walk()
		for name, want := range illegalNewNames {
			_, err := e.Lcreate(fid, name, unix.O_RDWR, 0o644, 0)
			e.want(err, want)
		}
		f := e.create("f", "")
		_, err := e.Lcreate(f, "x", unix.O_RDWR, 0o644, 0)
		e.want(err, unix.EINVAL) // open
		_, err = e.Lcreate(e.walk("f"), "x", unix.O_RDWR, 0o644, 0)
		e.want(err, unix.ENOTDIR)
		// fid is still the directory.
		_, err = e.Lcreate(fid, "g", unix.O_RDWR, 0o644, 0)
		e.ok(err)
	}},
	{name: "create_through_symlink", run: func(e *env) {
		_, err := e.Symlink(root, "l", "target", 0)
		e.ok(err)
		_, err = e.Lcreate(e.walk(), "l", unix.O_RDWR, 0o644, 0)
		if err == nil {
			e.Error("opened a symlink")
		}
		if e.exists("target") {
			e.Error("followed a symlink")
		}
	}},
	{name: "create_owner", lacks: func(l *Lacks) bool { return l.Owners }, run: func(e *env) {
		_, err := e.Attach(1, 1234, "")
		e.ok(err)
		fid, err := e.WalkTo(1)
		e.ok(err)
		e.ok(e.Setattr(root, ninep.SetAttr{Valid: ninep.SetMode, Mode: 0o777}))
		_, err = e.Lcreate(fid, "f", unix.O_RDWR, 0o644, 5678)
		e.ok(err)
		a := e.attr(fid)
		equal(e, "uid", a.UID, 1234)
		equal(e, "gid", a.GID, 5678)
		equal(e, "mode", a.Mode, unix.S_IFREG|0o644)
	}},
	{name: "set_id_mode_at_creation", run: func(e *env) {
		fid := e.walk()
		_, err := e.Lcreate(fid, "f", unix.O_RDWR, 0o6755, 0)
		e.ok(err)
		equal(e, "mode", e.attr(fid).Mode, unix.S_IFREG|0o6755)
	}},
	{name: "open", run: func(e *env) {
		e.create("f", "data")
		fid := e.walk("f")
		_, err := e.Read(fid, 0, 10)
		e.want(err, unix.EINVAL) // not open yet
		_, err = e.Write(fid, 0, []byte("x"))
		e.want(err, unix.EINVAL)
		q, iounit, err := e.Lopen(fid, unix.O_RDONLY)
		e.ok(err)
		equal(e, "qid", q, e.attr(fid).QID)
		if iounit > e.Msize-24 {
			e.Errorf("iounit %d is more than msize %d allows", iounit, e.Msize)
		}
		_, _, err = e.Lopen(fid, unix.O_RDONLY)
		e.want(err, unix.EINVAL)
	}},
	{name: "open_access_mode", run: func(e *env) {
		e.create("f", "data")
		r, w := e.open(unix.O_RDONLY, "f"), e.open(unix.O_WRONLY, "f")
		_, err := e.Write(r, 0, []byte("x"))
		e.want(err, unix.EBADF)
		_, err = e.Read(w, 0, 10)
		e.want(err, unix.EBADF)
		_, err = e.Write(w, 0, []byte("D"))
		e.ok(err)
		equal(e, "content", e.content("f"), "Data")
	}},
	{name: "open_truncates", run: func(e *env) {
		e.create("f", "data")
		e.open(unix.O_WRONLY|unix.O_TRUNC, "f")
		equal(e, "content", e.content("f"), "")
	}},
	{name: "open_appends", run: func(e *env) {
		e.create("f", "data")
		fid := e.open(unix.O_WRONLY|unix.O_APPEND, "f")
		_, err := e.Write(fid, 0, []byte("+"))
		e.ok(err)
		equal(e, "content", e.content("f"), "data+")
	}},
	{name: "open_of_wrong_type", run: func(e *env) {
		e.mkdir("d")
		d := e.walk("d")
		_, _, err := e.Lopen(d, unix.O_RDWR)
		e.want(err, unix.EISDIR)
		_, _, err = e.Lopen(d, unix.O_RDONLY)
		e.ok(err)
		_, err = e.Read(d, 0, 100)
		e.want(err, unix.EISDIR)
		_, err = e.Write(d, 0, []byte("x"))
		e.want(err, unix.EINVAL)
		e.create("f", "")
		_, _, err = e.Lopen(e.walk("f"), unix.O_RDONLY|unix.O_DIRECTORY)
		e.want(err, unix.ENOTDIR)
		_, err = e.Symlink(root, "l", "f", 0)
		e.ok(err)
		_, _, err = e.Lopen(e.walk("l"), unix.O_RDONLY)
		e.want(err, unix.ELOOP, unix.ENXIO)
	}},
	{name: "special_files_are_not_opened", lacks: func(l *Lacks) bool { return l.FIFOs }, run: func(e *env) {
		for name, mode := range map[string]uint32{"fifo": unix.S_IFIFO, "sock": unix.S_IFSOCK} {
			_, err := e.Mknod(root, name, mode|0o644, 0, 0, 0)
			e.ok(err)
			_, _, err = e.Lopen(e.walk(name), unix.O_RDWR)
			e.want(err, unix.ENXIO)
			_, err = e.Lcreate(e.walk(), name, unix.O_RDWR, 0o644, 0)
			e.want(err, unix.ENXIO)
		}
	}},
	{name: "write_and_read", run: func(e *env) {
		fid := e.create("f", "")
		n, err := e.Write(fid, 0, pattern(2048))
		e.ok(err)
		equal(e, "count", n, 2048)
		data, err := e.Read(fid, 0, 4096)
		e.ok(err)
		if !bytes.Equal(data, pattern(2048)) {
			e.Error("other bytes read than written")
		}
		data, err = e.Read(fid, 1000, 10)
		e.ok(err)
		if !bytes.Equal(data, pattern(2048)[1000:1010]) {
			e.Error("other bytes read at an offset")
		}
		for _, off := range []uint64{2048, 2049, 1 << 40, math.MaxInt64 - 4096} {
			data, err = e.Read(fid, off, 10)
			e.ok(err)
			equal(e, "bytes behind the end", len(data), 0)
		}
		data, err = e.Read(fid, 0, 0)
		e.ok(err)
		equal(e, "bytes", len(data), 0)
		n, err = e.Write(fid, 0, nil)
		e.ok(err)
		equal(e, "count", n, 0)
		equal(e, "size", e.attr(fid).Size, 2048)
	}},
	{name: "large", run: func(e *env) {
		fid := e.create("f", "")
		data := pattern(300<<10 + 7)
		e.ok(e.WriteAll(fid, 3, data))
		equal(e, "content", e.content("f"), "\x00\x00\x00"+string(data))
	}},
	{name: "hole", run: func(e *env) {
		fid := e.create("f", "ab")
		_, err := e.Write(fid, 10000, []byte("z"))
		e.ok(err)
		equal(e, "content", e.content("f"), "ab"+strings.Repeat("\x00", 9998)+"z")
	}},
	{name: "count_is_clipped", run: func(e *env) {
		fid := e.create("f", "")
		e.ok(e.WriteAll(fid, 0, pattern(100<<10)))
		// More than msize.
		data, err := e.Read(fid, 0, math.MaxUint32)
		e.ok(err)
		if n := len(data); n == 0 || n > int(e.Msize)-11 {
			e.Errorf("Rread of %d bytes with msize %d", n, e.Msize)
		}
		// More than the room.
		var r ninep.Rread
		e.ok(e.DoSpace(&ninep.Tread{FID: fid, Count: 5000}, &r, 111))
		equal(e, "bytes", len(r.Data), 100)
		e.ok(e.DoSpace(&ninep.Tread{FID: fid, Count: 5000}, &r, 11))
		equal(e, "bytes", len(r.Data), 0)
	}},
	{name: "offset_too_large", run: func(e *env) {
		fid := e.create("f", "x")
		for _, off := range []uint64{math.MaxUint64, 1 << 63, math.MaxInt64 - 1} {
			_, err := e.Read(fid, off, 10)
			e.want(err, unix.EINVAL)
			_, err = e.Write(fid, off, []byte("0123456789"))
			e.want(err, unix.EINVAL, unix.EFBIG)
		}
		equal(e, "content", e.content("f"), "x")
	}},
	{name: "fsync", run: func(e *env) {
		fid := e.create("f", "x")
		e.ok(e.Fsync(fid, false))
		e.ok(e.Fsync(fid, true))
		e.ok(e.Fsync(e.open(unix.O_RDONLY), false))
		e.want(e.Fsync(e.walk("f"), false), unix.EINVAL)
	}},
	{name: "write_takes_set_id_off", lacks: func(l *Lacks) bool { return l.Owners }, run: func(e *env) {
		e.create("f", "x")
		e.ok(e.Setattr(e.walk("f"), ninep.SetAttr{Valid: ninep.SetMode, Mode: 0o6777}))
		equal(e, "mode", e.attr(e.walk("f")).Mode, unix.S_IFREG|0o6777)
		_, err := e.Attach(1, 1234, "")
		e.ok(err)
		fid, err := e.WalkTo(1, "f")
		e.ok(err)
		_, _, err = e.Lopen(fid, unix.O_WRONLY)
		e.ok(err)
		_, err = e.Write(fid, 0, []byte("y"))
		e.ok(err)
		equal(e, "mode", e.attr(fid).Mode, unix.S_IFREG|0o777)
	}},
}
