// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"

	"golang.org/x/sys/unix"
)

func truncates(t *T) {
	t.group("sizes", func(t *T) {
		f := t.path("f")
		t.file(f, "0123456789", 0o644)
		want := "0123456789"
		for _, size := range []int64{10, 5, 0, 3, 4095, 4096, 4097, 8192, 100, 12345, 1} {
			t.is(text(size), t.root.truncate(f, size), unix.Errno(0))
			if int64(len(want)) > size {
				want = want[:size]
			}
			want += strings.Repeat("\x00", int(size)-len(want))
			t.is(text(size)+" size", t.lstat(f).Size, size)
			t.is(text(size)+" content", t.content(f) == want, true)
		}
		t.is("to a large size", t.root.truncate(f, 1<<40), unix.Errno(0))
		st := t.lstat(f)
		t.is("a large size", st.Size, 1<<40)
		t.is("takes no space", st.Blocks < 100, true)
		t.is("and back", t.root.truncate(f, 0), unix.Errno(0))
	})
	t.group("times", func(t *T) {
		f := t.path("f")
		t.file(f, "0123456789", 0o644)
		t.moves("smaller", func() unix.Errno { return t.root.truncate(f, 5) }, 0, track{f, "mc"}, track{t.dir, ""})
		t.moves("larger", func() unix.Errno { return t.root.truncate(f, 15) }, 0, track{f, "mc"})
		t.moves("the same", func() unix.Errno { return t.root.truncate(f, 15) }, 0, track{f, "mc"})
		fd := t.open(f, unix.O_RDWR)
		ftruncate := func(size int64) unix.Errno { return t.root.do(call{Op: "ftruncate", FD: fd, Len: size}).Errno }
		t.moves("by descriptor, smaller", func() unix.Errno { return ftruncate(5) }, 0, track{f, "mc"})
		t.moves("by descriptor, larger", func() unix.Errno { return ftruncate(15) }, 0, track{f, "mc"})
		t.moves("by descriptor, the same", func() unix.Errno { return ftruncate(15) }, 0, track{f, "mc"})
		t.root.close(fd)
		t.moves("by open", func() unix.Errno { return t.root.opens(f, unix.O_WRONLY|unix.O_TRUNC) }, 0, track{f, "mc"})
		t.moves("by open, empty already", func() unix.Errno { return t.root.opens(f, unix.O_WRONLY|unix.O_TRUNC) }, 0, track{f, "mc"})
	})
	t.group("errors", func(t *T) {
		for _, k := range kinds {
			if k == regular {
				continue
			}
			t.a(k, t.path(k.name), t.root, 0o666)
			want := unix.EINVAL
			switch k {
			case directory:
				want = unix.EISDIR
			case symlink: // it dangles
				t.is("of a symlink", t.root.truncate(t.path(k.name), 0), unix.ENOENT)
				continue
			}
			t.refuses("of a "+k.name, want, func() unix.Errno { return t.root.truncate(t.path(k.name), 0) }, t.path(k.name))
		}
		f := t.path("f")
		t.file(f, "content", 0o644)
		t.refuses("negative", unix.EINVAL, func() unix.Errno { return t.root.truncate(f, -1) }, f)
		t.refuses("the smallest number", unix.EINVAL, func() unix.Errno { return t.root.truncate(f, -1<<63) }, f)
		t.refuses("too large", unix.EFBIG, func() unix.Errno { return t.root.truncate(f, 1<<63-1) }, f)
		t.refuses("of another's", unix.EACCES, func() unix.Errno { return t.alice.truncate(f, 1) }, f)
		ftruncate := func(what string, flags int, size int64, want unix.Errno) {
			fd := t.open(f, flags)
			t.refuses(what, want, func() unix.Errno { return t.root.do(call{Op: "ftruncate", FD: fd, Len: size}).Errno }, f)
			t.root.close(fd)
		}
		ftruncate("by a descriptor for reading", unix.O_RDONLY, 1, unix.EINVAL)
		ftruncate("by O_PATH", unix.O_PATH, 1, unix.EBADF)
		ftruncate("by descriptor, negative", unix.O_RDWR, -1, unix.EINVAL)
		ftruncate("by descriptor, too large", unix.O_RDWR, 1<<63-1, unix.EFBIG)
		t.is("not open", t.root.do(call{Op: "ftruncate", FD: 999, Len: 0}).Errno, unix.EBADF)
		t.is("content", t.content(f), "content")
	})
	t.group("descriptor", func(t *T) {
		f := t.path("f")
		t.file(f, "content", 0o644)
		fd := t.open(f, unix.O_WRONLY)
		t.must("chmod", t.root.chmod(f, 0))
		t.is("needs no permission any more", t.root.do(call{Op: "ftruncate", FD: fd, Len: 3}).Errno, unix.Errno(0))
		t.is("gives", t.content(f), "con")
		t.root.close(fd)
		t.give(f, t.alice, 0o600)
		fd, e := t.alice.open(f, unix.O_WRONLY, 0)
		t.must("open", e)
		t.must("chmod", t.alice.chmod(f, 0))
		t.is("nor does a user", t.alice.do(call{Op: "ftruncate", FD: fd, Len: 1}).Errno, unix.Errno(0))
		t.is("nor for writing", t.alice.write(fd, "XY"), unix.Errno(0))
		t.alice.close(fd)
		t.is("gives then", t.content(f), "XY")
	})
}
