// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// openFiles: an open file is the same file when its names change, or it has none.
func openFiles(t *T) {
	for _, how := range []struct {
		name  string
		lose  func(t *T)
		nlink int
	}{
		{"unlinked", func(t *T) { t.must("unlink", t.root.unlink(t.path("f"))) }, 0},
		{"renamed", func(t *T) { t.must("rename", t.root.rename(t.path("f"), t.path("g"))) }, 1},
		{"renamed over", func(t *T) {
			t.file(t.path("other"), "other", 0o644)
			t.must("rename", t.root.rename(t.path("other"), t.path("f")))
		}, 0},
		{"moved", func(t *T) {
			t.folder(t.path("d"), t.root, 0o755)
			t.must("rename", t.root.rename(t.path("f"), t.path("d", "f")))
		}, 1},
		{"unlinked and made again", func(t *T) {
			t.must("unlink", t.root.unlink(t.path("f")))
			t.file(t.path("f"), "another", 0o600)
		}, 0},
		{"one of two names unlinked", func(t *T) {
			t.must("link", t.root.link(t.path("f"), t.path("g")))
			t.must("unlink", t.root.unlink(t.path("f")))
		}, 1},
	} {
		t.group(how.name, func(t *T) { openFile(t, how.lose, how.nlink) })
		t.group(how.name+", folder", func(t *T) {
			if how.name == "one of two names unlinked" {
				return
			}
			openFolder(t, how.name)
		})
	}
}

func openFile(t *T, lose func(*T), nlink int) {
	t.file(t.path("f"), "0123456789", 0o644)
	t.must("setxattr", t.root.setxattr(t.path("f"), "user.old", "value", 0))
	fd := t.open(t.path("f"), unix.O_RDWR)
	defer t.root.close(fd)
	reader := t.open(t.path("f"), unix.O_RDONLY)
	defer t.root.close(reader)
	ino := t.fstat(fd).Ino
	lose(t)
	st := t.fstat(fd)
	t.is("fstat", fmt.Sprint(st.Ino == ino, " ", st.Nlink, " ", st.Size, " ", octal(st.Mode)), fmt.Sprint(true, " ", nlink, " ", 10, " ", octal(unix.S_IFREG|0o644)))
	has := func(what, want string) {
		s, e := t.root.pread(fd, 100, 0)
		t.is(what, text(e)+" "+s, "OK "+want)
		s, e = t.root.pread(reader, 100, 0)
		t.is(what+", by the other descriptor", text(e)+" "+s, "OK "+want)
	}
	has("read", "0123456789")
	t.is("write", t.root.pwrite(fd, "abc", 3), unix.Errno(0))
	has("written", "012abc6789")
	t.is("ftruncate", t.root.do(call{Op: "ftruncate", FD: fd, Len: 5}).Errno, unix.Errno(0))
	has("truncated", "012ab")
	t.is("extend", t.root.do(call{Op: "ftruncate", FD: fd, Len: 7}).Errno, unix.Errno(0))
	has("extended", "012ab\x00\x00")
	t.is("size", t.fstat(reader).Size, 7)
	t.is("fchmod", t.root.do(call{Op: "fchmod", FD: fd, Mode: 0o4751}).Errno, unix.Errno(0))
	t.is("fchmod gives", octal(t.fstat(fd).Mode), octal(unix.S_IFREG|0o4751))
	t.is("fchmod by the other", octal(t.fstat(reader).Mode), octal(unix.S_IFREG|0o4751))
	t.is("fchown", t.root.do(call{Op: "fchown", FD: fd, UID: aliceID, GID: shared}).Errno, unix.Errno(0))
	st = t.fstat(fd)
	t.is("fchown gives", fmt.Sprintf("%d:%d %s", st.Uid, st.Gid, octal(st.Mode&0o7777)), fmt.Sprintf("%d:%d 0751", aliceID, shared))
	a, m := unix.Timespec{Sec: 1000}, unix.Timespec{Sec: 2000}
	t.is("futimens", t.root.do(call{Op: "utimensat", FD: fd, Times: []unix.Timespec{a, m}, Flags: unix.AT_EMPTY_PATH}).Errno, unix.Errno(0))
	st = t.fstat(fd)
	t.is("futimens gives", fmt.Sprint(st.Atim, st.Mtim), fmt.Sprint(a, m))
	r := t.root.do(call{Op: "fgetxattr", FD: fd, Path2: "user.old", Len: 100})
	t.is("fgetxattr", text(r.Errno)+" "+string(r.Data), "OK value")
	t.is("fsetxattr", t.root.do(call{Op: "fsetxattr", FD: fd, Path2: "user.new", Data: []byte("new value")}).Errno, unix.Errno(0))
	r = t.root.do(call{Op: "fgetxattr", FD: reader, Path2: "user.new", Len: 100})
	t.is("fsetxattr gives", text(r.Errno)+" "+string(r.Data), "OK new value")
	t.is("fsync", t.root.do(call{Op: "fsync", FD: fd}).Errno, unix.Errno(0))
	t.is("fdatasync", t.root.do(call{Op: "fdatasync", FD: fd}).Errno, unix.Errno(0))
	t.is("fstatfs", t.root.do(call{Op: "fstatfs", FD: fd}).Errno, unix.Errno(0))
	lock := unix.Flock_t{Type: unix.F_WRLCK, Start: 1, Len: 2}
	t.is("lock", t.root.do(call{Op: "fcntl-lock", FD: fd, Flags: unix.F_SETLK, Lock: lock}).Errno, unix.Errno(0))
	lock.Type = unix.F_UNLCK
	t.is("unlock", t.root.do(call{Op: "fcntl-lock", FD: fd, Flags: unix.F_SETLK, Lock: lock}).Errno, unix.Errno(0))
	t.is("flock", t.root.do(call{Op: "flock", FD: fd, Flags: unix.LOCK_EX | unix.LOCK_NB}).Errno, unix.Errno(0))
	// The same file once more, by /proc.
	again, e := t.root.open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDWR, 0)
	t.is("open by /proc", e, unix.Errno(0))
	if e == 0 {
		s, e := t.root.pread(again, 100, 0)
		t.is("open by /proc, read", text(e)+" "+s, "OK 012ab\x00\x00")
		t.is("open by /proc, write", t.root.pwrite(again, "Z", 0), unix.Errno(0))
		has("open by /proc, written", "Z12ab\x00\x00")
		t.root.close(again)
	}
	m2 := t.root.do(call{Op: "mmap", FD: fd, Len: 4096, Flags: unix.PROT_READ, Flag2: unix.MAP_PRIVATE})
	t.is("mmap", m2.Errno, unix.Errno(0))
	if m2.Errno == 0 {
		r := t.root.do(call{Op: "peek", FD: int(m2.N), Len: 5})
		t.is("mmap has", text(r.Errno)+" "+string(r.Data), "OK Z12ab")
		t.root.do(call{Op: "munmap", FD: int(m2.N)})
	}
	large := make([]byte, 300000)
	for i := range large {
		large[i] = byte(i % 251)
	}
	t.is("large write", t.root.pwrite(fd, string(large), 0), unix.Errno(0))
	s, e := t.root.pread(fd, len(large)+1, 0)
	t.is("large read", fmt.Sprint(text(e), s == string(large)), "OKtrue")
}

// openFolder: an open folder is the same when its name changes.
func openFolder(t *T, how string) {
	t.folder(t.path("f"), t.root, 0o755)
	fd := t.open(t.path("f"), unix.O_RDONLY|unix.O_DIRECTORY)
	defer t.root.close(fd)
	ino := t.fstat(fd).Ino
	now := ""
	switch how {
	case "renamed":
		now = t.path("g")
		t.must("rename", t.root.rename(t.path("f"), now))
	case "moved":
		t.folder(t.path("d"), t.root, 0o755)
		now = t.path("d", "f")
		t.must("rename", t.root.rename(t.path("f"), now))
	case "renamed over":
		t.folder(t.path("other"), t.root, 0o755)
		t.must("rename", t.root.rename(t.path("other"), t.path("f")))
	default:
		t.must("rmdir", t.root.rmdir(t.path("f")))
	}
	if how == "unlinked and made again" {
		t.folder(t.path("f"), t.root, 0o700)
	}
	st := t.fstat(fd)
	t.is("fstat", st.Ino == ino, true)
	want := unix.ENOENT
	if now != "" {
		want = 0
	}
	r := t.root.do(call{Op: "openat", FD: fd, Path: "x", Flags: unix.O_CREAT | unix.O_RDWR, Mode: 0o644})
	t.is("make by it", r.Errno, want)
	if r.Errno == 0 {
		t.root.close(int(r.N))
		t.is("is there", t.exists(now+"/x"), true)
	}
	r = t.root.do(call{Op: "readdir", FD: fd, Len: 4096})
	names := 0
	if now != "" {
		names = 3
	}
	t.is("readdir", fmt.Sprint(text(r.Errno), len(r.Names)), fmt.Sprint(text(want), names))
	t.is("fchmod", t.root.do(call{Op: "fchmod", FD: fd, Mode: 0o710}).Errno, unix.Errno(0))
	t.is("fchmod gives", octal(t.fstat(fd).Mode&0o7777), "0710")
	t.is("fchown", t.root.do(call{Op: "fchown", FD: fd, UID: 7, GID: 8}).Errno, unix.Errno(0))
	st = t.fstat(fd)
	t.is("fchown gives", fmt.Sprint(st.Uid, st.Gid), fmt.Sprint(7, 8))
	t.is("fsetxattr", t.root.do(call{Op: "fsetxattr", FD: fd, Path2: "user.new", Data: []byte("v")}).Errno, unix.Errno(0))
	t.is("fsync", t.root.do(call{Op: "fsync", FD: fd}).Errno, unix.Errno(0))
	if now != "" {
		t.is("unlink by it", t.root.do(call{Op: "unlinkat", FD: fd, Path: "x"}).Errno, unix.Errno(0))
		t.is("is gone", t.exists(now+"/x"), false)
	}
}
