// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func opens(t *T) {
	t.group("kinds", openKinds)
	t.group("create", openCreate)
	t.group("times", openTimes)
	t.group("flags", openFlags)
	t.group("access", openAccess)
	t.group("temporary", openTemporary)
}

// openKinds opens each kind of file in each way that does not wait.
func openKinds(t *T) {
	for _, k := range kinds {
		t.a(k, t.path(k.name), t.root, 0o666)
	}
	for _, c := range []struct {
		k     kind
		name  string
		flags int
		want  unix.Errno
	}{
		{directory, "r", unix.O_RDONLY, 0},
		{directory, "w", unix.O_WRONLY, unix.EISDIR},
		{directory, "rw", unix.O_RDWR, unix.EISDIR},
		{directory, "create", unix.O_RDONLY | unix.O_CREAT, unix.EISDIR},
		{directory, "create exclusively", unix.O_RDONLY | unix.O_CREAT | unix.O_EXCL, unix.EEXIST},
		{directory, "truncate", unix.O_RDONLY | unix.O_TRUNC, unix.EISDIR},
		{directory, "create a folder", unix.O_RDONLY | unix.O_CREAT | unix.O_DIRECTORY, unix.EINVAL},
		{directory, "not following", unix.O_RDONLY | unix.O_NOFOLLOW, 0},
		{regular, "as a folder", unix.O_RDONLY | unix.O_DIRECTORY, unix.ENOTDIR},
		{regular, "not following", unix.O_RDONLY | unix.O_NOFOLLOW, 0},
		{regular, "create", unix.O_RDWR | unix.O_CREAT, 0},
		{regular, "create exclusively", unix.O_RDWR | unix.O_CREAT | unix.O_EXCL, unix.EEXIST},
		{regular, "path", unix.O_PATH, 0},
		{regular, "without access time", unix.O_RDONLY | unix.O_NOATIME, 0},
		{regular, "no mode", unix.O_WRONLY | unix.O_RDWR, 0},
		{fifo, "r", unix.O_RDONLY | unix.O_NONBLOCK, 0},
		{fifo, "w without a reader", unix.O_WRONLY | unix.O_NONBLOCK, unix.ENXIO},
		{fifo, "rw", unix.O_RDWR, 0},
		{fifo, "truncate", unix.O_RDWR | unix.O_TRUNC, 0},
		{fifo, "as a folder", unix.O_RDONLY | unix.O_DIRECTORY, unix.ENOTDIR},
		{fifo, "path", unix.O_PATH, 0},
		{char, "rw", unix.O_RDWR, 0},
		{char, "truncate", unix.O_RDWR | unix.O_TRUNC, 0},
		{char, "create", unix.O_RDWR | unix.O_CREAT, 0},
		{char, "as a folder", unix.O_RDONLY | unix.O_DIRECTORY, unix.ENOTDIR},
		{socket, "r", unix.O_RDONLY, unix.ENXIO},
		{socket, "w", unix.O_WRONLY, unix.ENXIO},
		{socket, "create", unix.O_WRONLY | unix.O_CREAT, unix.ENXIO},
		{socket, "path", unix.O_PATH, 0},
		{symlink, "not following", unix.O_RDONLY | unix.O_NOFOLLOW, unix.ELOOP},
		{symlink, "create, not following", unix.O_RDWR | unix.O_CREAT | unix.O_NOFOLLOW, unix.ELOOP},
		{symlink, "create exclusively", unix.O_RDWR | unix.O_CREAT | unix.O_EXCL, unix.EEXIST},
		{symlink, "path, not following", unix.O_PATH | unix.O_NOFOLLOW, 0},
		{symlink, "as a folder, not following", unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW, unix.ENOTDIR},
		{symlink, "dangling", unix.O_RDONLY, unix.ENOENT},
	} {
		t.is(c.k.name+" "+c.name, t.root.opens(t.path(c.k.name), c.flags), c.want)
	}
	t.is("create with a slash behind", t.root.opens(t.path("x")+"/", unix.O_RDWR|unix.O_CREAT), unix.EISDIR)
	t.is("create in a file", t.root.opens(t.path("regular", "x"), unix.O_RDWR|unix.O_CREAT), unix.ENOTDIR)
	t.is("create in what is missing", t.root.opens(t.path("x", "x"), unix.O_RDWR|unix.O_CREAT), unix.ENOENT)
	t.is("a file by a symlink with a slash behind", func() unix.Errno {
		t.must("symlink", t.root.symlink("regular", t.path("s")))
		return t.root.opens(t.path("s")+"/", unix.O_RDONLY)
	}(), unix.ENOTDIR)
	t.must("symlink", t.root.symlink("directory", t.path("to-folder")))
	t.is("a folder by a symlink", t.root.opens(t.path("to-folder"), unix.O_RDONLY|unix.O_DIRECTORY), unix.Errno(0))
	t.is("a folder by a symlink, not following", t.root.opens(t.path("to-folder"), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW), unix.ENOTDIR)
}

func openCreate(t *T) {
	t.must("chmod", t.root.chmod(t.dir, 0o777))
	for _, by := range []*caller{t.root, t.alice} {
		for _, mode := range modes {
			for _, flags := range []int{unix.O_RDONLY, unix.O_WRONLY, unix.O_RDWR, unix.O_RDWR | unix.O_EXCL, unix.O_WRONLY | unix.O_TRUNC, unix.O_WRONLY | unix.O_APPEND} {
				what := fmt.Sprintf("%s %s flags %#o", by.name, octal(mode), flags)
				path := t.path("f")
				fd, e := by.open(path, flags|unix.O_CREAT, mode)
				t.is(what, e, unix.Errno(0))
				if e != 0 {
					continue
				}
				st := t.lstat(path)
				t.is(what+" gives", octal(st.Mode), octal(unix.S_IFREG|mode))
				t.is(what+" owner", fmt.Sprintf("%d:%d", st.Uid, st.Gid), fmt.Sprintf("%d:%d", by.uid, by.gid))
				// The mode is for those who come later.
				want := unix.Errno(0)
				if flags&unix.O_ACCMODE == unix.O_RDONLY {
					want = unix.EBADF
				}
				t.is(what+" write", by.write(fd, "x"), want)
				by.close(fd)
				t.must("unlink", t.root.unlink(path))
			}
		}
	}
	t.is("an existing file keeps its mode", func() string {
		t.file(t.path("old"), "content", 0o604)
		t.must("open", t.root.opens(t.path("old"), unix.O_CREAT|unix.O_RDWR))
		return t.mode(t.path("old")) + " " + t.content(t.path("old"))
	}(), "0604 content")
	t.is("truncating needs to write", func() unix.Errno {
		t.must("chmod", t.root.chmod(t.path("old"), 0o444))
		return t.alice.opens(t.path("old"), unix.O_RDONLY|unix.O_TRUNC)
	}(), unix.EACCES)
	t.is("truncating that was refused does nothing", t.content(t.path("old")), "content")
	t.is("truncating for reading", t.root.opens(t.path("old"), unix.O_RDONLY|unix.O_TRUNC), unix.Errno(0))
	t.is("truncating gives", t.content(t.path("old")), "")
}

func openTimes(t *T) {
	f := t.path("f")
	t.moves("create", func() unix.Errno { return t.root.opens(f, unix.O_CREAT|unix.O_RDWR) }, 0, track{t.dir, "mc"})
	t.moves("open", func() unix.Errno { return t.root.opens(f, unix.O_RDWR) }, 0, track{f, ""}, track{t.dir, ""})
	t.moves("open to create what exists", func() unix.Errno { return t.root.opens(f, unix.O_RDWR|unix.O_CREAT) }, 0, track{f, ""}, track{t.dir, ""})
	fd := t.open(f, unix.O_RDWR)
	withinSecond()
	t.moves("write", func() unix.Errno { return t.root.write(fd, "content") }, 0, track{f, "mc"}, track{t.dir, ""})
	t.moves("overwrite", func() unix.Errno { return t.root.pwrite(fd, "CONTENT", 0) }, 0, track{f, "mc"})
	t.moves("write nothing", func() unix.Errno { return t.root.pwrite(fd, "", 0) }, 0, track{f, ""})
	t.moves("read", func() unix.Errno { _, e := t.root.pread(fd, 10, 0); return e }, 0, track{f, "a"}, track{t.dir, ""})
	t.moves("read nothing", func() unix.Errno { _, e := t.root.pread(fd, 0, 0); return e }, 0, track{f, ""})
	t.moves("fsync", func() unix.Errno { return t.root.do(call{Op: "fsync", FD: fd}).Errno }, 0, track{f, ""})
	t.root.close(fd)
	t.folder(t.path("d"), t.root, 0o755)
	fd = t.open(t.path("d"), unix.O_RDONLY)
	t.moves("readdir", func() unix.Errno { return t.root.do(call{Op: "readdir", FD: fd, Len: 4096}).Errno }, 0, track{t.path("d"), "a"}, track{t.dir, ""})
	t.root.close(fd)
}

func openFlags(t *T) {
	f := t.path("f")
	t.file(f, "0123456789", 0o644)
	fd := t.open(f, unix.O_WRONLY|unix.O_APPEND)
	t.is("append", t.root.write(fd, "A"), unix.Errno(0))
	t.root.do(call{Op: "lseek", FD: fd, Off: 0, Flags: unix.SEEK_SET})
	t.is("append after a seek", t.root.write(fd, "B"), unix.Errno(0))
	t.is("append gives", t.content(f), "0123456789AB")
	t.is("pwrite appends, on Linux", t.root.pwrite(fd, "C", 0), unix.Errno(0))
	t.is("pwrite gives", t.content(f), "0123456789ABC")
	r := t.root.do(call{Op: "lseek", FD: fd, Off: 0, Flags: unix.SEEK_CUR})
	t.is("the offset is behind the append", r.N, 12)
	t.is("append of two", func() string {
		other := t.open(f, unix.O_WRONLY|unix.O_APPEND)
		t.root.write(other, "D")
		t.root.write(fd, "E")
		t.root.write(other, "F")
		t.root.close(other)
		return t.content(f)
	}(), "0123456789ABCDEF")
	t.root.close(fd)
	for _, c := range []struct {
		name          string
		before, after int
		want          string
	}{{"taken off", unix.O_APPEND, 0, "xbc"}, {"put on", 0, unix.O_APPEND, "abcx"}} {
		for _, access := range []int{unix.O_WRONLY, unix.O_RDWR} {
			name := "append " + c.name + map[int]string{unix.O_WRONLY: ", for writing", unix.O_RDWR: ", for both"}[access]
			t.file(t.path(name), "abc", 0o644)
			fd := t.open(t.path(name), access|c.before)
			t.root.do(call{Op: "fcntl", FD: fd, Flags: unix.F_SETFL, Flag2: c.after})
			t.is(name, t.root.pwrite(fd, "x", 0), unix.Errno(0))
			t.is(name+" gives", t.content(t.path(name)), c.want)
			t.root.close(fd)
		}
	}
	fd = t.open(f, unix.O_RDWR|unix.O_APPEND)
	t.is("read and append", func() string {
		s, _ := t.root.pread(fd, 3, 0)
		t.root.write(fd, "H")
		return s + " " + t.content(f)
	}(), "012 0123456789ABCDEFH")
	t.root.close(fd)
	for name, flags := range map[string]int{"O_SYNC": unix.O_SYNC, "O_DSYNC": unix.O_DSYNC} {
		fd := t.open(f, unix.O_RDWR|flags|unix.O_TRUNC)
		t.is(name+" write", t.root.write(fd, name), unix.Errno(0))
		r := t.root.do(call{Op: "fcntl", FD: fd, Flags: unix.F_GETFL})
		t.is(name+" is told", r.N&int64(flags) == int64(flags), true)
		t.is(name+" content", t.content(f), name)
		t.root.close(fd)
	}
	fd, e := t.root.open(f, unix.O_RDWR|unix.O_DIRECT, 0)
	t.is("O_DIRECT", e, unix.Errno(0))
	if e == 0 {
		t.root.close(fd)
	}
	fd = t.open(f, unix.O_RDONLY)
	t.is("write to one for reading", t.root.write(fd, "x"), unix.EBADF)
	t.root.close(fd)
	fd = t.open(f, unix.O_WRONLY)
	_, e = t.root.pread(fd, 1, 0)
	t.is("read of one for writing", e, unix.EBADF)
	t.root.close(fd)
	fd = t.open(f, unix.O_PATH)
	_, e = t.root.pread(fd, 1, 0)
	t.is("read of O_PATH", e, unix.EBADF)
	st, e := t.root.fstat(fd)
	t.is("fstat of O_PATH", fmt.Sprint(text(e), st.Ino == t.lstat(f).Ino), "OKtrue")
	t.root.close(fd)
	fd = t.open(t.dir, unix.O_RDONLY)
	_, e = t.root.pread(fd, 1, 0)
	t.is("read of a folder", e, unix.EISDIR)
	t.root.close(fd)
	t.is("O_NOATIME of another's", t.alice.opens(f, unix.O_RDONLY|unix.O_NOATIME), unix.EPERM)
	fd = t.open(f, unix.O_RDWR|unix.O_TRUNC)
	other := t.open(f, unix.O_RDWR)
	t.is("two descriptors", func() string {
		t.root.write(fd, "one")
		s, _ := t.root.pread(other, 10, 0)
		t.root.pwrite(other, "TWO", 1)
		u, _ := t.root.pread(fd, 10, 0)
		return s + " " + u
	}(), "one oTWO")
	t.root.close(fd)
	t.root.close(other)
}

// openAccess: an open file stays usable, whatever becomes of its mode and owner.
func openAccess(t *T) {
	f := t.path("f")
	t.file(f, "0123456789", 0o644)
	t.give(f, t.alice, 0o600)
	fd, e := t.alice.open(f, unix.O_RDWR, 0)
	t.must("open", e)
	t.must("chmod", t.root.chmod(f, 0))
	t.must("chown", t.root.chown(f, 0, 0))
	s, e := t.alice.pread(fd, 3, 0)
	t.is("read", text(e)+" "+s, "OK 012")
	t.is("write", t.alice.pwrite(fd, "abc", 0), unix.Errno(0))
	t.is("fsync", t.alice.do(call{Op: "fsync", FD: fd}).Errno, unix.Errno(0))
	t.is("fstat", t.alice.do(call{Op: "fstat", FD: fd}).Errno, unix.Errno(0))
	t.is("fchmod", t.alice.do(call{Op: "fchmod", FD: fd, Mode: 0o777}).Errno, unix.EPERM)
	t.is("futimens", t.alice.do(call{Op: "utimensat", FD: fd, Flags: unix.AT_EMPTY_PATH}).Errno, unix.EACCES)
	t.is("open again", t.alice.opens(f, unix.O_RDONLY), unix.EACCES)
	t.is("content", t.content(f), "abc3456789")
	t.alice.close(fd)
	t.folder(t.path("d"), t.alice, 0o700)
	fd, e = t.alice.open(t.path("d"), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	t.must("open", e)
	t.must("chown", t.root.chown(t.path("d"), 0, 0))
	t.is("readdir", t.alice.do(call{Op: "readdir", FD: fd, Len: 4096}).Errno, unix.Errno(0))
	t.is("make in it", t.alice.do(call{Op: "mkdirat", FD: fd, Path: "x", Mode: 0o755}).Errno, unix.EACCES)
	t.alice.close(fd)
}

// openTemporary: files without a name.
func openTemporary(t *T) {
	fd, e := t.root.open(t.dir, unix.O_TMPFILE|unix.O_RDWR, 0o640)
	t.is("O_TMPFILE", e, unix.Errno(0))
	if e != 0 {
		return
	}
	t.is("write", t.root.write(fd, "content"), unix.Errno(0))
	st := t.fstat(fd)
	t.is("fstat", fmt.Sprint(st.Nlink, " ", octal(st.Mode), " ", st.Size), fmt.Sprint(0, " ", octal(unix.S_IFREG|0o640), " ", 7))
	proc := fmt.Sprintf("/proc/self/fd/%d", fd)
	t.is("gets a name", t.root.do(call{Op: "linkat", FD: unix.AT_FDCWD, Path: proc, FD2: unix.AT_FDCWD, Path2: t.path("f"), Flags: unix.AT_SYMLINK_FOLLOW}).Errno, unix.Errno(0))
	t.is("content", t.content(t.path("f")), "content")
	t.root.close(fd)
}
