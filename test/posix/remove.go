// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// removes tries unlink and rmdir.
func removes(t *T) {
	for _, k := range kinds {
		t.group(k.name, func(t *T) {
			t.a(k, t.path("f"), t.alice, 0o644)
			wrong := func() unix.Errno { return t.root.rmdir(t.path("f")) }
			want := unix.ENOTDIR
			if k == directory {
				wrong, want = func() unix.Errno { return t.root.unlink(t.path("f")) }, unix.EISDIR
			}
			t.refuses("by the wrong call", want, wrong, t.path("f"), t.dir)
			t.moves("by the right one", func() unix.Errno { return k.remove(t.root, t.path("f")) }, 0, track{t.path("f"), "gone"}, track{t.dir, "mc"})
			t.refuses("again", unix.ENOENT, func() unix.Errno { return k.remove(t.root, t.path("f")) }, t.dir)
			t.is("a new one of that name", k.create(t.root, t.path("f"), 0o600), unix.Errno(0))
			t.is("its owner", t.owner(t.path("f")), "0:0")
		})
	}
	t.group("rmdir", func(t *T) {
		for _, k := range kinds {
			t.folder(t.path("with-"+k.name), t.root, 0o755)
			t.a(k, t.path("with-"+k.name, "x"), t.root, 0o644)
			t.refuses("with a "+k.name+" in it", unix.ENOTEMPTY, func() unix.Errno { return t.root.rmdir(t.path("with-" + k.name)) }, t.path("with-"+k.name), t.dir)
			t.must("remove", k.remove(t.root, t.path("with-"+k.name, "x")))
			t.is("after a "+k.name+" was removed", t.root.rmdir(t.path("with-"+k.name)), unix.Errno(0))
		}
		t.folder(t.path("d"), t.root, 0o755)
		t.folder(t.path("d", "e"), t.root, 0o755)
		for _, c := range []struct {
			path string
			want unix.Errno
		}{{"d/e/.", unix.EINVAL}, {"d/e/..", unix.ENOTEMPTY}, {"d/.", unix.EINVAL}, {"d/..", unix.ENOTEMPTY}, {"x/.", unix.ENOENT}} {
			t.refuses(c.path, c.want, func() unix.Errno { return t.root.rmdir(t.dir + "/" + c.path) }, t.path("d"), t.path("d", "e"))
		}
		t.refuses("/", unix.EBUSY, func() unix.Errno { return t.root.rmdir("/") })
		t.is("with a slash behind", t.root.rmdir(t.path("d", "e")+"/"), unix.Errno(0))
		t.refuses("by another", unix.EACCES, func() unix.Errno { return t.alice.rmdir(t.path("d")) }, t.path("d"), t.dir)
	})
	t.group("unlink", func(t *T) {
		t.folder(t.path("d"), t.root, 0o755)
		for path, want := range map[string]unix.Errno{"d/.": unix.EISDIR, "d/..": unix.EISDIR, "d/": unix.EISDIR} {
			t.refuses(path, want, func() unix.Errno { return t.root.unlink(t.dir + "/" + path) }, t.path("d"), t.dir)
		}
		t.give(t.path("d"), t.alice, 0o755)
		t.refuses("a folder by its owner", unix.EISDIR, func() unix.Errno {
			t.must("chmod", t.root.chmod(t.dir, 0o777))
			return t.alice.unlink(t.path("d"))
		}, t.path("d"))
		t.is("unlinkat, unknown flags", t.root.do(call{Op: "unlinkat", FD: unix.AT_FDCWD, Path: t.path("d"), Flags: 1 << 20}).Errno, unix.EINVAL)
		t.file(t.path("f"), "f", 0)
		t.is("needs no permission on the file", t.alice.unlink(t.path("f")), unix.Errno(0))
	})
	t.group("folder in use", func(t *T) {
		t.folder(t.path("d"), t.root, 0o755)
		fd := t.open(t.path("d"), unix.O_RDONLY|unix.O_DIRECTORY)
		defer t.root.close(fd)
		t.must("rmdir", t.root.rmdir(t.path("d")))
		st, e := t.root.fstat(fd)
		t.is("fstat", fmt.Sprint(text(e), " ", st.Mode&unix.S_IFMT == unix.S_IFDIR, " ", st.Nlink), "OK true 0")
		r := t.root.do(call{Op: "readdir", FD: fd, Len: 4096})
		t.is("readdir", fmt.Sprint(text(r.Errno), len(r.Names)), "ENOENT0")
		for _, k := range kinds {
			path := fmt.Sprintf("/proc/self/fd/%d/x", fd)
			t.is("make a "+k.name, k.create(t.root, path, 0o644), unix.ENOENT)
		}
		t.is("fchmod", t.root.do(call{Op: "fchmod", FD: fd, Mode: 0o700}).Errno, unix.Errno(0))
		t.is("fchmod gives", octal(t.fstat(fd).Mode&0o7777), "0700")
	})
}
