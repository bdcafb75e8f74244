// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// permissions tries every combination of permissions, for each class of user, and every
// way to use them.
func permissions(t *T) {
	for _, class := range []struct {
		name     string
		uid, gid int
		shift    int
	}{
		{"owner", aliceID, foreign, 6},
		{"owner in the group", aliceID, aliceID, 6},
		{"group", bobID, aliceID, 3},
		{"supplementary group", bobID, shared, 3},
		{"others", bobID, foreign, 0},
	} {
		t.group(class.name, func(t *T) {
			for bits := range uint32(8) {
				// The other classes have what this one lacks.
				mode := bits<<class.shift | 0o777&^(7<<class.shift)&^((bits<<6|bits<<3|bits)&^(7<<class.shift))
				t.group(octal(mode), func(t *T) { permission(t, class.uid, class.gid, mode, bits) })
			}
		})
	}
	t.group("root", func(t *T) {
		t.folder(t.path("d"), t.alice, 0)
		t.file(t.path("d", "f"), program(exits(7)), 0)
		t.is("read", t.root.opens(t.path("d", "f"), unix.O_RDONLY), unix.Errno(0))
		t.is("write", t.root.opens(t.path("d", "f"), unix.O_RDWR), unix.Errno(0))
		t.is("execute", t.root.do(call{Op: "execve", Path: t.path("d", "f")}).Errno, unix.EACCES)
		t.is("access x", t.root.do(call{Op: "access", Path: t.path("d", "f"), Flags: 1}).Errno, unix.EACCES)
		t.is("access x of a folder", t.root.do(call{Op: "access", Path: t.path("d"), Flags: 7}).Errno, unix.Errno(0))
		for _, mode := range []uint32{0o100, 0o010, 0o001} {
			t.must("chmod", t.root.chmod(t.path("d", "f"), mode))
			r := t.root.do(call{Op: "execve", Path: t.path("d", "f")})
			t.is("execute with "+octal(mode), fmt.Sprint(text(r.Errno), " ", r.N), "OK 7")
		}
		t.is("make", regular.create(t.root, t.path("d", "new"), 0), unix.Errno(0))
		t.is("list", t.root.opens(t.path("d"), unix.O_RDONLY|unix.O_DIRECTORY), unix.Errno(0))
		t.is("remove", t.root.unlink(t.path("d", "new")), unix.Errno(0))
	})
}

func permission(t *T, uid, gid int, mode, bits uint32) {
	allowed := func(need uint32) unix.Errno {
		if bits&need == need {
			return 0
		}
		return unix.EACCES
	}
	set := func(path string) {
		t.must("chown", t.root.chown(path, uid, gid))
		t.must("chmod", t.root.chmod(path, mode))
	}
	file, dir := t.path("f"), t.path("d")
	t.file(file, program(exits(7)), 0o644)
	t.must("setxattr", t.root.setxattr(file, "user.key", "v", 0))
	set(file)
	for _, how := range []struct {
		name  string
		flags int
		need  uint32
	}{
		{"r", unix.O_RDONLY, 4},
		{"w", unix.O_WRONLY, 2},
		{"rw", unix.O_RDWR, 6},
		{"append", unix.O_WRONLY | unix.O_APPEND, 2},
		{"truncating read", unix.O_RDONLY | unix.O_TRUNC, 6},
		{"create", unix.O_RDWR | unix.O_CREAT, 6},
		{"path", unix.O_PATH, 0},
	} {
		if bits&2 != 0 && how.flags&unix.O_TRUNC != 0 {
			continue // the program is wanted
		}
		t.is("open "+how.name, t.alice.opens(file, how.flags), allowed(how.need))
	}
	r := t.alice.do(call{Op: "execve", Path: file})
	want := fmt.Sprint(text(allowed(1)), " ", map[bool]int{true: 7, false: 0}[bits&1 != 0])
	t.is("execute", fmt.Sprint(text(r.Errno), " ", r.N), want)
	for access := range uint32(8) {
		t.is(fmt.Sprint("access ", access), t.alice.do(call{Op: "access", Path: file, Flags: int(access)}).Errno, allowed(access))
	}
	_, e := t.alice.getxattr(file, "user.key")
	t.is("getxattr", e, allowed(4))
	t.is("setxattr", t.alice.setxattr(file, "user.key", "w", 0), allowed(2))
	timesWant := allowed(2)
	if uid == aliceID {
		timesWant = 0
	}
	t.is("utimensat to the present", t.alice.utimens(file, 0), timesWant)
	t.is("truncate", t.alice.truncate(file, 2), allowed(2))
	t.is("truncating open", t.alice.opens(file, unix.O_WRONLY|unix.O_TRUNC), allowed(2))

	t.must("mkdir", t.root.mkdir(dir, 0o755))
	for _, name := range []string{"u", "r", "l"} {
		t.file(t.path("d", name), name, 0o666)
	}
	t.must("mkdir", t.root.mkdir(t.path("d", "s"), 0o777))
	t.must("chmod", t.root.chmod(t.dir, 0o777))
	t.file(t.path("mine"), "mine", 0o666)
	t.give(t.path("mine"), t.alice, 0o666)
	set(dir)
	t.is("list", t.alice.opens(dir, unix.O_RDONLY|unix.O_DIRECTORY), allowed(4))
	t.is("search", t.alice.opens(t.path("d", "r"), unix.O_RDONLY), allowed(1))
	t.is("chdir", t.alice.do(call{Op: "chdir", Path: dir}).Errno, allowed(1))
	t.alice.do(call{Op: "chdir", Path: t.home})
	for _, k := range []kind{regular, directory, fifo, socket, symlink} {
		t.is("make a "+k.name, k.create(t.alice, t.path("d", "new-"+k.name), 0o644), allowed(3))
	}
	t.is("link", t.alice.link(t.path("mine"), t.path("d", "linked")), allowed(3))
	t.is("unlink", t.alice.unlink(t.path("d", "u")), allowed(3))
	t.is("rmdir", t.alice.rmdir(t.path("d", "s")), allowed(3))
	t.is("rename in it", t.alice.rename(t.path("d", "r"), t.path("d", "renamed")), allowed(3))
	t.is("rename into it", t.alice.rename(t.path("mine"), t.path("d", "in")), allowed(3))
	t.is("rename out of it", t.alice.rename(t.path("d", "l"), t.path("out")), allowed(3))
}
