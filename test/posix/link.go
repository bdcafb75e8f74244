// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func links(t *T) {
	for _, k := range nonFolders {
		t.group(k.name, func(t *T) {
			a, b := t.path("a"), t.path("b")
			t.a(k, a, t.alice, 0o644)
			t.folder(t.path("d"), t.root, 0o755)
			t.moves("link", func() unix.Errno { return t.root.link(a, t.path("d", "b")) }, 0,
				track{a, "c"}, track{t.path("d"), "mc"}, track{t.dir, ""})
			t.moves("link beside", func() unix.Errno { return t.root.link(a, b) }, 0, track{a, "c"}, track{t.dir, "mc"})
			sa, sb := t.lstat(a), t.lstat(b)
			t.is("links", sa.Nlink, 3)
			t.is("links of the other", sb.Nlink, 3)
			t.is("the same inode", sa.Ino == sb.Ino && sa.Dev == sb.Dev, true)
			t.is("the same type", kindOf(t, b).name, k.name)
			t.must("lchown", t.root.lchown(a, bobID, shared))
			t.is("an owner for all", t.owner(b), fmt.Sprintf("%d:%d", bobID, shared))
			if k != symlink {
				t.must("chmod", t.root.chmod(b, 0o4511))
				t.is("a mode for all", t.mode(a), "4511")
			}
			t.moves("unlink one", func() unix.Errno { return t.root.unlink(a) }, 0, track{b, "c"}, track{t.dir, "mc"}, track{a, "gone"})
			t.is("links then", t.lstat(b).Nlink, 2)
			t.refuses("onto itself", unix.EEXIST, func() unix.Errno { return t.root.link(b, b) }, b, t.dir)
			t.is("links after it", t.lstat(b).Nlink, 2)
		})
		for _, existing := range kinds {
			t.group(k.name+" onto a "+existing.name, func(t *T) {
				t.a(k, t.path("a"), t.root, 0o644)
				t.a(existing, t.path("b"), t.root, 0o644)
				t.refuses("is refused", unix.EEXIST, func() unix.Errno { return t.root.link(t.path("a"), t.path("b")) }, t.path("a"), t.path("b"), t.dir)
				t.is("links", t.lstat(t.path("a")).Nlink, 1)
				t.is("type", kindOf(t, t.path("b")).name, existing.name)
			})
		}
	}
	t.group("errors", func(t *T) {
		t.folder(t.path("d"), t.alice, 0o755)
		t.file(t.path("f"), "f", 0o644)
		t.must("chmod", t.root.chmod(t.dir, 0o777))
		t.refuses("a folder by root", unix.EPERM, func() unix.Errno { return t.root.link(t.path("d"), t.path("e")) }, t.dir, t.path("d"))
		t.refuses("a folder by its owner", unix.EPERM, func() unix.Errno { return t.alice.link(t.path("d"), t.path("e")) }, t.dir, t.path("d"))
		t.refuses("a folder onto a file", unix.EEXIST, func() unix.Errno { return t.root.link(t.path("d"), t.path("f")) }, t.dir)
		t.refuses("what is missing onto what is missing", unix.ENOENT, func() unix.Errno { return t.root.link(t.path("x"), t.path("y")) }, t.dir)
		t.refuses("what is missing onto a file", unix.ENOENT, func() unix.Errno { return t.root.link(t.path("x"), t.path("f")) }, t.dir)
		t.refuses("a file into a missing folder", unix.ENOENT, func() unix.Errno { return t.root.link(t.path("f"), t.path("x", "y")) }, t.dir)
		t.refuses("a file with a slash behind it", unix.ENOENT, func() unix.Errno { return t.root.link(t.path("f"), t.path("y")+"/") }, t.dir)
		t.refuses("onto a folder's .", unix.EEXIST, func() unix.Errno { return t.root.link(t.path("f"), t.path("d")+"/.") }, t.dir)
		t.refuses("onto a folder's ..", unix.EEXIST, func() unix.Errno { return t.root.link(t.path("f"), t.path("d")+"/..") }, t.dir)
		t.refuses("onto another file system", unix.EXDEV, func() unix.Errno { return t.root.link(t.path("f"), "/dev/shm/posix-link") }, t.dir)
		t.is("flags that are not there", t.root.do(call{Op: "linkat", FD: unix.AT_FDCWD, Path: t.path("f"), FD2: unix.AT_FDCWD, Path2: t.path("y"), Flags: 1 << 20}).Errno, unix.EINVAL)
	})
	t.group("of symlinks", func(t *T) {
		t.file(t.path("f"), "f", 0o644)
		t.must("symlink", t.root.symlink("f", t.path("s")))
		linkat := func(from, to string, flags int) unix.Errno {
			return t.root.do(call{Op: "linkat", FD: unix.AT_FDCWD, Path: from, FD2: unix.AT_FDCWD, Path2: to, Flags: flags}).Errno
		}
		t.is("itself", linkat(t.path("s"), t.path("s2"), 0), unix.Errno(0))
		t.is("itself, type", kindOf(t, t.path("s2")).name, "symlink")
		t.is("followed", linkat(t.path("s"), t.path("f2"), unix.AT_SYMLINK_FOLLOW), unix.Errno(0))
		t.is("followed, type", kindOf(t, t.path("f2")).name, "regular")
		t.is("followed, links", t.lstat(t.path("f")).Nlink, 2)
	})
	t.group("by descriptor", func(t *T) {
		t.file(t.path("f"), "f", 0o644)
		fd := t.open(t.path("f"), unix.O_RDWR)
		defer t.root.close(fd)
		proc := fmt.Sprintf("/proc/self/fd/%d", fd)
		linkat := func(to string) unix.Errno {
			return t.root.do(call{Op: "linkat", FD: unix.AT_FDCWD, Path: proc, FD2: unix.AT_FDCWD, Path2: t.path(to), Flags: unix.AT_SYMLINK_FOLLOW}).Errno
		}
		t.is("of an open file", linkat("g"), unix.Errno(0))
		t.is("empty path", t.root.do(call{Op: "linkat", FD: fd, FD2: unix.AT_FDCWD, Path2: t.path("h"), Flags: unix.AT_EMPTY_PATH}).Errno, unix.Errno(0))
		t.is("links", t.fstat(fd).Nlink, 3)
		for _, name := range []string{"f", "g", "h"} {
			t.must("unlink", t.root.unlink(t.path(name)))
		}
		t.is("links of the unlinked", t.fstat(fd).Nlink, 0)
		t.refuses("of an unlinked file", unix.ENOENT, func() unix.Errno { return linkat("i") }, t.dir)
	})
	t.group("users", func(t *T) {
		t.must("chmod", t.root.chmod(t.dir, 0o777))
		t.file(t.path("f"), "f", 0o600)
		t.give(t.path("f"), t.alice, 0o600)
		t.is("the owner's", t.alice.link(t.path("f"), t.path("g")), unix.Errno(0))
		t.is("keeps its owner", t.owner(t.path("g")), fmt.Sprintf("%d:%d", aliceID, aliceID))
		// Without protected_hardlinks, anybody may link what is in reach.
		want := unix.Errno(0)
		if protected("hardlinks") {
			want = unix.EPERM
		}
		t.is("another's", t.bob.link(t.path("f"), t.path("h")), want)
	})
	t.group("many", func(t *T) {
		t.file(t.path("0"), "many", 0o644)
		for i := range 100 {
			t.must("link", t.root.link(t.path("0"), t.path(fmt.Sprint(i+1))))
		}
		t.is("links", t.lstat(t.path("50")).Nlink, 101)
		for i := range 100 {
			t.must("unlink", t.root.unlink(t.path(fmt.Sprint(i))))
		}
		t.is("links at last", t.lstat(t.path("100")).Nlink, 1)
		t.is("content", t.content(t.path("100")), "many")
	})
}
