// SPDX-License-Identifier: Apache-2.0

package main

import (
	"golang.org/x/sys/unix"
)

// readonly tries a folder that a mount makes read-only.
func readonly(t *T) {
	prepareReadonly(t)
	for _, flags := range []uintptr{unix.MS_BIND, unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY} {
		if err := unix.Mount(t.home, t.home, "", flags, ""); err != nil {
			t.must("mount", err.(unix.Errno))
		}
	}
	defer t.unmount(t.home)
	t.enter()
	checkReadonly(t)
}

// prepareReadonly makes the files that checkReadonly wants.
func prepareReadonly(t *T) {
	for _, k := range kinds {
		t.a(k, k.name, t.root, 0o666)
	}
	t.must("truncate", t.root.truncate("regular", 10))
	t.must("setxattr", t.root.setxattr("regular", "user.k", "v", 0))
	t.folder("d", t.root, 0o755)
	t.file("d/f", "content", 0o644)
	t.folder("empty", t.root, 0o755)
	t.folder("mine", t.alice, 0o755)
	t.file("mine/f", "content", 0o644)
	t.give("mine/f", t.alice, 0o644)
	t.must("symlink", t.root.symlink("d/f", "to-f"))
}

// checkReadonly: all that would change something is refused, after what is wrong in
// itself.
func checkReadonly(t *T) {
	refused := func(what string, want unix.Errno, f func() unix.Errno) { t.refuses(what, want, f, ".", "d", "regular") }
	for _, k := range kinds {
		n := k.name
		refused("unlink or rmdir a "+n, unix.EROFS, func() unix.Errno { return k.remove(t.root, n) })
		refused("rename a "+n, unix.EROFS, func() unix.Errno { return t.root.rename(n, "new") })
		refused("chown a "+n, unix.EROFS, func() unix.Errno { return t.root.lchown(n, 1, 1) })
		refused("utimensat a "+n, unix.EROFS, func() unix.Errno { return t.root.utimens(n, unix.AT_SYMLINK_NOFOLLOW) })
		refused("make a "+n, unix.EROFS, func() unix.Errno { return k.create(t.root, "new", 0o644) })
		refused("make a "+n+" that is there", unix.EEXIST, func() unix.Errno { return k.create(t.root, n, 0o644) })
		if k != symlink {
			refused("chmod a "+n, unix.EROFS, func() unix.Errno { return t.root.chmod(n, 0o600) })
		}
		if k != directory {
			refused("link a "+n, unix.EROFS, func() unix.Errno { return t.root.link(n, "new") })
		}
	}
	for _, c := range []struct {
		name  string
		flags int
		want  unix.Errno
	}{
		{"r", unix.O_RDONLY, 0}, {"w", unix.O_WRONLY, unix.EROFS}, {"rw", unix.O_RDWR, unix.EROFS},
		{"truncate", unix.O_RDONLY | unix.O_TRUNC, unix.EROFS}, {"append", unix.O_WRONLY | unix.O_APPEND, unix.EROFS},
		{"create", unix.O_RDONLY | unix.O_CREAT, 0}, {"create exclusively", unix.O_RDWR | unix.O_CREAT | unix.O_EXCL, unix.EEXIST},
	} {
		refused("open "+c.name, c.want, func() unix.Errno { return t.root.opens("d/f", c.flags) })
		refused("open through a symlink "+c.name, map[bool]unix.Errno{false: c.want, true: unix.EEXIST}[c.flags&unix.O_EXCL != 0],
			func() unix.Errno { return t.root.opens("to-f", c.flags) })
	}
	refused("create", unix.EROFS, func() unix.Errno { return t.root.opens("new", unix.O_RDWR|unix.O_CREAT) })
	refused("create for reading", unix.EROFS, func() unix.Errno { return t.root.opens("new", unix.O_RDONLY|unix.O_CREAT) })
	refused("truncate", unix.EROFS, func() unix.Errno { return t.root.truncate("d/f", 0) })
	refused("setxattr", unix.EROFS, func() unix.Errno { return t.root.setxattr("regular", "user.new", "v", 0) })
	refused("removexattr", unix.EROFS, func() unix.Errno { return t.root.do(call{Op: "removexattr", Path: "regular", Path2: "user.k"}).Errno })
	refused("fchmod", unix.EROFS, func() unix.Errno {
		fd := t.open("regular", unix.O_RDONLY)
		defer t.root.close(fd)
		return t.root.do(call{Op: "fchmod", FD: fd, Mode: 0o600}).Errno
	})
	refused("rename over", unix.EROFS, func() unix.Errno { return t.root.rename("regular", "d/f") })
	refused("rmdir of what is not empty", unix.EROFS, func() unix.Errno { return t.root.rmdir("d") })
	refused("rmdir of what is empty", unix.EROFS, func() unix.Errno { return t.root.rmdir("empty") })
	refused("by the owner, unlink", unix.EROFS, func() unix.Errno { return t.alice.unlink("mine/f") })
	refused("by the owner, chmod", unix.EROFS, func() unix.Errno { return t.alice.chmod("mine/f", 0o600) })
	refused("by the owner, open", unix.EROFS, func() unix.Errno { return t.alice.opens("mine/f", unix.O_RDWR) })
	refused("by the owner, access", unix.EROFS, func() unix.Errno { return t.alice.do(call{Op: "access", Path: "mine/f", Flags: 2}).Errno })
	refused("access", unix.EROFS, func() unix.Errno { return t.root.do(call{Op: "access", Path: "d/f", Flags: 2}).Errno })
	refused("unlink of what is missing", unix.EROFS, func() unix.Errno { return t.root.unlink("missing") })
	refused("rmdir of what is missing", unix.EROFS, func() unix.Errno { return t.root.rmdir("missing") })
	refused("rename of what is missing", unix.EROFS, func() unix.Errno { return t.root.rename("missing", "new") })
	refused("chmod of what is missing", unix.ENOENT, func() unix.Errno { return t.root.chmod("missing", 0o600) })
	refused("truncate of what is missing", unix.ENOENT, func() unix.Errno { return t.root.truncate("missing", 0) })
	refused("truncate of a folder", unix.EISDIR, func() unix.Errno { return t.root.truncate("d", 0) })
	t.is("content", t.content("d/f"), "content")
	s, e := t.root.getxattr("regular", "user.k")
	t.is("getxattr", text(e)+" "+s, "OK v")
	t.is("a device", t.root.opens("char", unix.O_RDWR), unix.Errno(0))
	t.is("a fifo", t.root.opens("fifo", unix.O_RDWR), unix.Errno(0))
	t.is("access to a device", t.root.do(call{Op: "access", Path: "char", Flags: 2}).Errno, unix.Errno(0))
	fd := t.open(".", unix.O_RDONLY|unix.O_DIRECTORY)
	t.is("readdir", len(t.root.do(call{Op: "readdir", FD: fd, Len: 4096}).Names), 13)
	t.root.close(fd)
	fd = t.open("d/f", unix.O_RDONLY)
	t.is("lock", t.root.do(call{Op: "flock", FD: fd, Flags: unix.LOCK_EX | unix.LOCK_NB}).Errno, unix.Errno(0))
	t.is("fsync", t.root.do(call{Op: "fsync", FD: fd}).Errno, unix.Errno(0))
	t.root.close(fd)
}
