// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// special tries fifos and sockets between processes.
func special(t *T) {
	t.group("fifo", fifos)
	t.group("socket", sockets)
}

func fifos(t *T) {
	t.must("chmod", t.root.chmod(t.dir, 0o777))
	p := t.path("p")
	t.a(fifo, p, t.root, 0o666)
	t.alice.start(call{Op: "open", Path: p, Flags: unix.O_RDONLY})
	w, e := t.root.open(p, unix.O_WRONLY, 0)
	t.must("open", e)
	r := t.alice.wait()
	t.is("open waits for the other side", r.Errno, unix.Errno(0))
	reader := int(r.N)
	t.alice.start(call{Op: "read", FD: reader, Len: 100})
	t.is("write", t.root.write(w, "through the fifo"), unix.Errno(0))
	r = t.alice.wait()
	t.is("read", text(r.Errno)+" "+string(r.Data), "OK through the fifo")
	writer, e := t.bob.open(p, unix.O_WRONLY|unix.O_NONBLOCK, 0)
	t.is("another writer", e, unix.Errno(0))
	t.is("another write", t.bob.write(writer, "more"), unix.Errno(0))
	r = t.alice.do(call{Op: "read", FD: reader, Len: 100})
	t.is("another read", text(r.Errno)+" "+string(r.Data), "OK more")
	t.bob.close(writer)
	t.must("unlink", t.root.unlink(p))
	t.is("write when it is unlinked", t.root.write(w, "still"), unix.Errno(0))
	r = t.alice.do(call{Op: "read", FD: reader, Len: 100})
	t.is("read when it is unlinked", text(r.Errno)+" "+string(r.Data), "OK still")
	t.root.close(w)
	r = t.alice.do(call{Op: "read", FD: reader, Len: 100})
	t.is("the end", fmt.Sprint(text(r.Errno), len(r.Data)), "OK0")
	t.alice.close(reader)

	t.a(fifo, p, t.root, 0o666)
	fd := t.open(p, unix.O_RDONLY|unix.O_NONBLOCK)
	r = t.root.do(call{Op: "read", FD: fd, Len: 10})
	t.is("read without a writer", fmt.Sprint(text(r.Errno), len(r.Data)), "OK0")
	writer, e = t.alice.open(p, unix.O_WRONLY|unix.O_NONBLOCK, 0)
	t.must("open", e)
	r = t.root.do(call{Op: "read", FD: fd, Len: 10})
	t.is("read before a write", r.Errno, unix.EAGAIN)
	t.root.close(fd)
	t.is("write without a reader", t.alice.write(writer, "x"), unix.EPIPE)
	t.alice.close(writer)
	fd = t.open(p, unix.O_RDWR)
	r = t.root.do(call{Op: "lseek", FD: fd, Flags: unix.SEEK_SET})
	t.is("seek", r.Errno, unix.ESPIPE)
	r = t.root.do(call{Op: "ftruncate", FD: fd})
	t.is("ftruncate", r.Errno, unix.EINVAL)
	st := t.fstat(fd)
	t.is("fstat", fmt.Sprint(st.Mode&unix.S_IFMT == unix.S_IFIFO, " ", octal(st.Mode&0o7777), st.Size), "true 06660")
	t.is("fchmod", t.root.do(call{Op: "fchmod", FD: fd, Mode: 0o620}).Errno, unix.Errno(0))
	t.is("fchmod gives", t.mode(p), "0620")
	before := t.lstat(p)
	time.Sleep(tick)
	t.must("write", t.root.write(fd, "x"))
	after := t.lstat(p)
	t.is("times of a write", changed(&before, &after), "mc")
	t.root.close(fd)
	t.must("chmod", t.root.chmod(p, 0o666))

	t.must("link", t.root.link(p, t.path("q")))
	fd = t.open(p, unix.O_RDWR)
	writer, e = t.alice.open(t.path("q"), unix.O_WRONLY|unix.O_NONBLOCK, 0)
	t.is("another name is the same fifo", e, unix.Errno(0))
	if e == 0 {
		t.alice.close(writer)
	}
	t.root.close(fd)
}

func sockets(t *T) {
	t.must("chmod", t.root.chmod(t.dir, 0o777))
	s := t.path("s")
	for _, typ := range []struct {
		name  string
		flags int
	}{{"stream", unix.SOCK_STREAM}, {"datagram", unix.SOCK_DGRAM}} {
		r := t.alice.do(call{Op: "bind", Path: s, Flags: typ.flags})
		t.is(typ.name+" bind", r.Errno, unix.Errno(0))
		if r.Errno != 0 {
			return
		}
		listener := int(r.N)
		st := t.lstat(s)
		t.is(typ.name+" is", fmt.Sprintf("%v %s %d:%d", st.Mode&unix.S_IFMT == unix.S_IFSOCK, octal(st.Mode&0o7777), st.Uid, st.Gid), fmt.Sprintf("true 0777 %d:%d", aliceID, aliceID))
		t.is(typ.name+" bind again", t.bob.do(call{Op: "bind", Path: s, Flags: typ.flags}).Errno, unix.EADDRINUSE)
		connect := func(c *caller, path string) result { return c.do(call{Op: "connect", Path: path, Flags: typ.flags}) }
		r = connect(t.bob, s)
		t.is(typ.name+" connect", r.Errno, unix.Errno(0))
		if r.Errno == 0 {
			peer := listener
			if typ.flags == unix.SOCK_STREAM {
				peer = int(t.alice.do(call{Op: "accept", FD: listener}).N)
			}
			t.is(typ.name+" write", t.bob.write(int(r.N), "hello"), unix.Errno(0))
			got := t.alice.do(call{Op: "read", FD: peer, Len: 100})
			t.is(typ.name+" read", text(got.Errno)+" "+string(got.Data), "OK hello")
			t.bob.close(int(r.N))
			if peer != listener {
				t.alice.close(peer)
			}
		}
		t.must("chmod", t.root.chmod(s, 0o755))
		t.is(typ.name+" connect without w", connect(t.bob, s).Errno, unix.EACCES)
		t.must("chmod", t.root.chmod(s, 0o777))
		t.must("symlink", t.root.symlink("s", t.path("l")))
		r = connect(t.bob, t.path("l"))
		t.is(typ.name+" connect through a symlink", r.Errno, unix.Errno(0))
		t.bob.close(int(r.N))
		t.must("rename", t.root.rename(s, t.path("moved")))
		r = connect(t.bob, t.path("moved"))
		t.is(typ.name+" connect when it is renamed", r.Errno, unix.Errno(0))
		t.bob.close(int(r.N))
		t.must("link", t.root.link(t.path("moved"), t.path("linked")))
		r = connect(t.bob, t.path("linked"))
		t.is(typ.name+" connect by another name", r.Errno, unix.Errno(0))
		t.bob.close(int(r.N))
		t.alice.close(listener)
		t.is(typ.name+" connect when nobody listens", connect(t.bob, t.path("moved")).Errno, unix.ECONNREFUSED)
		for _, name := range []string{"l", "moved", "linked"} {
			t.must("unlink", t.root.unlink(t.path(name)))
		}
		t.is(typ.name+" connect to nothing", connect(t.bob, s).Errno, unix.ENOENT)
	}
	t.file(t.path("f"), "f", 0o666)
	t.is("connect to a file", t.bob.do(call{Op: "connect", Path: t.path("f"), Flags: unix.SOCK_STREAM}).Errno, unix.ECONNREFUSED)
}
