// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func mmaps(t *T) {
	const page = 4096
	f := t.path("f")
	content := strings.Repeat("0123456789abcdef", 3*page/16) + "tail"
	withinSecond()
	t.file(f, content, 0o644)
	peek := func(m result, off, length int) string {
		r := t.root.do(call{Op: "peek", FD: int(m.N), Off: int64(off), Len: int64(length)})
		return text(r.Errno) + " " + string(r.Data)
	}
	poke := func(m result, off int, data string) unix.Errno {
		return t.root.do(call{Op: "poke", FD: int(m.N), Off: int64(off), Data: []byte(data)}).Errno
	}
	unmap := func(m result) { t.root.do(call{Op: "munmap", FD: int(m.N)}) }
	mmap := func(fd, prot, flags int) result {
		return t.root.do(call{Op: "mmap", FD: fd, Len: 5 * page, Flags: prot, Flag2: flags})
	}
	const rw = unix.PROT_READ | unix.PROT_WRITE
	fd := t.open(f, unix.O_RDWR)
	defer t.root.close(fd)

	for name, flags := range map[string]int{"private": unix.MAP_PRIVATE, "shared": unix.MAP_SHARED} {
		t.group(name+", for reading", func(t *T) {
			fd := t.open("../f", unix.O_RDONLY)
			defer t.root.close(fd)
			m := mmap(fd, unix.PROT_READ, flags)
			t.is("mmap", m.Errno, unix.Errno(0))
			if m.Errno != 0 {
				return
			}
			t.is("content", peek(m, 5, 20), "OK "+content[5:25])
			t.is("the second page", peek(m, page+1, 20), "OK "+content[page+1:page+21])
			t.is("behind the end, in the page", peek(m, 3*page, 10), "OK tail\x00\x00\x00\x00\x00\x00")
			t.is("behind the last page", peek(m, 4*page, 1), "EFAULT ")
			unmap(m)
		})
	}
	t.group("private, for writing", func(t *T) {
		m := mmap(fd, rw, unix.MAP_PRIVATE)
		t.is("mmap", m.Errno, unix.Errno(0))
		if m.Errno == 0 {
			t.is("write", poke(m, 3, "private"), unix.Errno(0))
			t.is("is seen in it", peek(m, 0, 12), "OK 012privateab")
			unmap(m)
		}
		t.is("the file is the same", t.content("../f") == content, true)
	})
	t.group("shared, for writing", func(t *T) {
		m := mmap(fd, rw, unix.MAP_SHARED)
		t.is("mmap", m.Errno, unix.Errno(0))
		if m.Errno != 0 {
			return
		}
		before := t.fstat(fd)
		time.Sleep(tick)
		t.is("write", poke(m, 3, "shared"), unix.Errno(0))
		t.is("is seen by read", func() string { s, _ := t.root.pread(fd, 12, 0); return s }(), "012shared9ab")
		t.is("msync", t.root.do(call{Op: "msync", FD: int(m.N), Flags: unix.MS_SYNC}).Errno, unix.Errno(0))
		after := t.fstat(fd)
		t.is("times", strings.TrimPrefix(changed(&before, &after), "a"), "mc") // reading it may count
		t.is("a write is seen in it", func() string {
			t.must("pwrite", t.root.pwrite(fd, "WRITTEN", page))
			return peek(m, page, 10)
		}(), "OK WRITTEN789")
		t.is("truncated", func() string {
			t.must("ftruncate", t.root.do(call{Op: "ftruncate", FD: fd, Len: page}).Errno)
			return peek(m, page, 1)
		}(), "EFAULT ")
		t.is("extended", func() string {
			t.must("ftruncate", t.root.do(call{Op: "ftruncate", FD: fd, Len: 2 * page}).Errno)
			return peek(m, page, 3)
		}(), "OK \x00\x00\x00")
		unmap(m)
	})
	t.group("errors", func(t *T) {
		reader := t.open("../f", unix.O_RDONLY)
		t.is("shared for writing, of one for reading", mmap(reader, rw, unix.MAP_SHARED).Errno, unix.EACCES)
		t.is("private for writing, of one for reading", mmap(reader, rw, unix.MAP_PRIVATE).Errno, unix.Errno(0))
		t.root.close(reader)
		writer := t.open("../f", unix.O_WRONLY)
		t.is("of one for writing", mmap(writer, unix.PROT_READ, unix.MAP_SHARED).Errno, unix.EACCES)
		t.root.close(writer)
		dir := t.open(".", unix.O_RDONLY)
		t.is("of a folder", mmap(dir, unix.PROT_READ, unix.MAP_SHARED).Errno, unix.ENODEV)
		t.root.close(dir)
		r := t.root.do(call{Op: "mmap", FD: fd, Off: 100, Len: page, Flags: unix.PROT_READ, Flag2: unix.MAP_SHARED})
		t.is("an offset that is not a page's", r.Errno, unix.EINVAL)
	})
	t.group("two processes", func(t *T) {
		t.file("g", strings.Repeat("-", page), 0o666)
		gfd, e := t.alice.open("g", unix.O_RDONLY, 0)
		t.must("open", e)
		m := t.alice.do(call{Op: "mmap", FD: gfd, Len: page, Flags: unix.PROT_READ, Flag2: unix.MAP_SHARED})
		if !t.is("mmap", m.Errno, unix.Errno(0)) {
			return
		}
		r := t.alice.do(call{Op: "peek", FD: int(m.N), Len: 5})
		t.is("before", string(r.Data), "-----")
		w, e := t.bob.open("g", unix.O_RDWR, 0)
		t.must("open", e)
		mw := t.bob.do(call{Op: "mmap", FD: w, Len: page, Flags: rw, Flag2: unix.MAP_SHARED})
		t.is("mmap for writing", mw.Errno, unix.Errno(0))
		if mw.Errno == 0 {
			t.is("write", t.bob.do(call{Op: "poke", FD: int(mw.N), Data: []byte("other")}).Errno, unix.Errno(0))
			r = t.alice.do(call{Op: "peek", FD: int(m.N), Len: 5})
			t.is("is seen by the other", string(r.Data), "other")
			t.bob.do(call{Op: "munmap", FD: int(mw.N)})
			t.is("is in the file", fmt.Sprint(strings.HasPrefix(t.content("g"), "other-")), "true")
		}
		t.bob.close(w)
		t.alice.do(call{Op: "munmap", FD: int(m.N)})
		t.alice.close(gfd)
	})
}
