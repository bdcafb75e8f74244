// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// busy tries what is in use as a mount point, and programs that run.
func busy(t *T) {
	t.group("mount point", func(t *T) {
		t.folder("m", t.root, 0o755)
		t.folder("d", t.root, 0o755)
		t.file("f", "f", 0o644)
		if err := unix.Mount("tmpfs", t.home+"/m", "tmpfs", 0, "mode=755"); err != nil {
			t.must("mount", err.(unix.Errno))
		}
		defer t.unmount(t.home + "/m")
		t.refuses("rmdir", unix.EBUSY, func() unix.Errno { return t.root.rmdir("m") }, ".")
		t.refuses("rename", unix.EBUSY, func() unix.Errno { return t.root.rename("m", "n") }, ".")
		t.refuses("rename over", unix.EBUSY, func() unix.Errno { return t.root.rename("d", "m") }, ".")
		t.refuses("link across", unix.EXDEV, func() unix.Errno { return t.root.link("f", "m/f") }, ".", "f")
		t.refuses("rename across", unix.EXDEV, func() unix.Errno { return t.root.rename("f", "m/f") }, ".", "f")
		t.refuses("rename a folder across", unix.EXDEV, func() unix.Errno { return t.root.rename("d", "m/d") }, ".", "d")
		t.is("symlink across", t.root.symlink("../f", "m/s"), unix.Errno(0))
		t.is("its content", t.content("m/s"), "f")
		t.is("rename of a folder that has it", func() string {
			t.folder("up", t.root, 0o755)
			return text(t.root.rename("up", "above"))
		}(), "OK")
		t.is("device", t.lstat("m").Dev != t.lstat(".").Dev, true)
	})
	t.group("bind mount", func(t *T) {
		t.folder("from", t.root, 0o755)
		t.folder("to", t.root, 0o755)
		t.file("from/f", "f", 0o644)
		if err := unix.Mount(t.home+"/from", t.home+"/to", "", unix.MS_BIND, ""); err != nil {
			t.must("mount", err.(unix.Errno))
		}
		defer t.unmount(t.home + "/to")
		t.is("the same file", t.lstat("to/f").Ino == t.lstat("from/f").Ino, true)
		t.is("link across", t.root.link("from/f", "to/g"), unix.EXDEV)
		t.is("rename across", t.root.rename("from/f", "to/g"), unix.EXDEV)
		t.is("rename in it", t.root.rename("to/f", "to/g"), unix.Errno(0))
		t.is("is seen in the other", t.content("from/g"), "f")
	})
	t.group("running program", func(t *T) {
		t.file("p", program(waits()), 0o755)
		writer := t.open("p", unix.O_WRONLY)
		t.is("execute when it is written", t.root.do(call{Op: "execve", Path: "p"}).Errno, unix.ETXTBSY)
		t.root.close(writer)
		r := t.root.do(call{Op: "spawn", Path: "p"})
		t.is("start", r.Errno, unix.Errno(0))
		if r.Errno != 0 {
			return
		}
		t.refuses("open for writing", unix.ETXTBSY, func() unix.Errno { return t.root.opens("p", unix.O_WRONLY) }, "p")
		t.refuses("open for both", unix.ETXTBSY, func() unix.Errno { return t.root.opens("p", unix.O_RDWR) }, "p")
		t.refuses("truncating open", unix.ETXTBSY, func() unix.Errno { return t.root.opens("p", unix.O_WRONLY|unix.O_TRUNC) }, "p")
		t.refuses("truncate", unix.ETXTBSY, func() unix.Errno { return t.root.truncate("p", 0) }, "p")
		t.is("open for reading", t.root.opens("p", unix.O_RDONLY), unix.Errno(0))
		t.is("chmod", t.root.chmod("p", 0o700), unix.Errno(0))
		t.is("rename", t.root.rename("p", "q"), unix.Errno(0))
		t.is("unlink", t.root.unlink("q"), unix.Errno(0))
		r = t.root.do(call{Op: "reap", FD: int(r.N)})
		t.is("ends well", fmt.Sprint(text(r.Errno), r.N), "OK0")
	})
}

func (t *T) unmount(path string) {
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
		t.is("unmount", err.(unix.Errno), unix.Errno(0))
	}
}
