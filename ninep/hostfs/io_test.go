// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"bytes"
	"math"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

func TestOpenFlags(t *testing.T) {
	const common = unix.O_CLOEXEC | unix.O_NOCTTY
	for _, tc := range []struct {
		flags uint32
		want  int
	}{
		{0, common},
		{1, common | unix.O_WRONLY},
		{2, common | unix.O_RDWR},
		{3, common | unix.O_RDWR},
		{1 | 0o1000, common | unix.O_WRONLY | unix.O_TRUNC},
		{1 | 0o2000, common | unix.O_WRONLY | unix.O_APPEND},
		{2 | 0o2000, common | unix.O_RDWR},
		{0o10000, common | unix.O_DSYNC},
		{0o4010000, common | unix.O_SYNC},
		{0o200000, common | unix.O_DIRECTORY},
		{0o1000000, common | unix.O_NOATIME},
		// O_CREAT, O_EXCL, O_NOCTTY, O_NONBLOCK, O_ASYNC, O_DIRECT, O_LARGEFILE, O_NOFOLLOW,
		// O_CLOEXEC, O_PATH
		{0o100 | 0o200 | 0o400 | 0o4000 | 0o20000 | 0o40000 | 0o100000 | 0o400000 | 0o2000000 | 0o10000000, common},
	} {
		if got := hostFlags(tc.flags); got != tc.want {
			t.Errorf("%#o: %#o, want %#o", tc.flags, got, tc.want)
		}
	}
}

func TestOpen(t *testing.T) {
	r := newRig(t)
	r.put("f", "data")
	r.mkdir("d")
	r.must(unix.Mkfifo(r.path("p"), 0o644))
	r.must(unix.Mknod(r.path("s"), unix.S_IFSOCK|0o644, 0))
	for _, tc := range []struct {
		name  string
		flags uint32
		want  unix.Errno
	}{
		{"f", unix.O_RDONLY, 0},
		{"f", unix.O_RDWR | 0o40000, 0}, // O_DIRECT
		{"f", unix.O_RDONLY | 0o1000000, 0},
		{"f", unix.O_RDONLY | 0o200000, unix.ENOTDIR},
		{"d", unix.O_RDONLY, 0},
		{"d", unix.O_RDONLY | 0o200000, 0},
		{"d", unix.O_RDWR, unix.EISDIR},
		{"d", unix.O_RDONLY | 0o1000, unix.EISDIR},
		{"p", unix.O_RDONLY, unix.ENXIO},
		{"p", unix.O_RDWR, unix.ENXIO},
		{"s", unix.O_RDONLY, unix.ENXIO},
	} {
		f := r.walk(tc.name)
		q, err := f.Open(r.c, tc.flags)
		if tc.want != 0 {
			r.want(err, tc.want)
			continue
		}
		r.must(err)
		if q != r.attr(f).QID {
			t.Errorf("%s: QID %+v", tc.name, q)
		}
		_, err = f.Open(r.c, tc.flags)
		r.want(err, unix.EINVAL)
	}
	r.must(r.open(unix.O_RDWR|0o1000, "f").Sync(r.c, true))
	if r.attr(r.walk("f")).Size != 0 {
		t.Error("O_TRUNC did nothing")
	}

	ro := newRigAt(t, r.dir, Config{ReadOnly: true})
	for _, flags := range []uint32{unix.O_WRONLY, unix.O_RDWR, 0o1000} {
		_, err := ro.walk("f").Open(ro.c, flags)
		ro.want(err, unix.EROFS)
	}
	ro.open(unix.O_RDONLY, "f")
}

func TestDevicesAreNotOpened(t *testing.T) {
	needCaps(t, unix.CAP_MKNOD)
	r := newRig(t)
	_, err := r.root.Mknod(r.c, ninep.Name("null"), unix.S_IFCHR|0o666, 1, 3, 0)
	r.must(err)
	f := r.walk("null")
	_, err = f.Open(r.c, unix.O_RDWR)
	r.want(err, unix.ENXIO)
	_, err = r.walk().Create(r.c, ninep.Name("null"), unix.O_RDWR|unix.O_CREAT, 0o644, 0)
	r.want(err, unix.ENXIO)
	if a := r.attr(f); a.Mode != unix.S_IFCHR|0o666 || a.RDev != ninep.EncodeDev(1, 3) {
		t.Errorf("got %+v", a)
	}
}

func TestReadWrite(t *testing.T) {
	r := newRig(t)
	r.put("f", "")
	f := r.open(unix.O_RDWR, "f")
	data := strings.Repeat("0123456789", 1000)
	r.write(f, 5, data)
	if got := r.read(f, 0, 20000); got != "\x00\x00\x00\x00\x00"+data {
		t.Error("read something else")
	}
	if got := r.read(f, 10000, 100); got != data[9995:] {
		t.Errorf("read %q at the end", got)
	}
	for _, off := range []uint64{10005, 1 << 40, math.MaxInt64 - 100} {
		if got := r.read(f, off, 100); got != "" {
			t.Errorf("read %q beyond the end", got)
		}
	}
	// -1 would be the descriptor's own position.
	for _, off := range []uint64{math.MaxUint64, 1 << 63, math.MaxInt64} {
		_, err := f.Read(r.c, vec(make([]byte, 2), 2), off)
		r.want(err, unix.EINVAL)
		_, err = f.Write(r.c, vec(make([]byte, 2), 2), off)
		r.want(err, unix.EINVAL)
	}
	if n, err := f.Read(r.c, nil, 0); n != 0 || err != nil {
		t.Errorf("read nothing: %d, %v", n, err)
	}
	if n, err := f.Write(r.c, nil, 0); n != 0 || err != nil {
		t.Errorf("wrote nothing: %d, %v", n, err)
	}
	closed := r.walk("f")
	_, err := closed.Read(r.c, vec(make([]byte, 1), 1), 0)
	r.want(err, unix.EBADF)
	_, err = closed.Write(r.c, vec(make([]byte, 1), 1), 0)
	r.want(err, unix.EBADF)
	_, err = r.open(unix.O_RDONLY, "f").Write(r.c, vec(make([]byte, 1), 1), 0)
	r.want(err, unix.EBADF)
	_, err = r.open(unix.O_RDONLY).Read(r.c, vec(make([]byte, 1), 1), 0)
	r.want(err, unix.EISDIR)
}

// More iovecs than a system call takes.
func TestManyIovecs(t *testing.T) {
	r := newRig(t)
	r.put("f", "")
	f := r.open(unix.O_RDWR, "f")
	out := make([]byte, 3*maxIovecs+5)
	for i := range out {
		out[i] = byte(i * 7)
	}
	src := vec(out, 1)
	if n, err := f.Write(r.c, src, 3); n != len(out) || err != nil {
		t.Fatal(n, err)
	}
	in := make([]byte, len(out)+10)
	dst := vec(in, 2)
	if n, err := f.Read(r.c, dst, 3); n != len(out) || err != nil {
		t.Fatal(n, err)
	}
	if !bytes.Equal(in[:len(out)], out) {
		t.Error("read something else")
	}
	for i, v := range dst {
		if v.Base != &in[2*i] || v.Len != uint64(min(2, len(in)-2*i)) {
			t.Fatal("the iovecs were changed")
		}
	}
}

func TestAdvance(t *testing.T) {
	th := new(thread)
	p := make([]byte, 30)
	for n := range 30 {
		left := th.advance(vec(p, 7), n)
		sum, _ := total(left, 0)
		if sum != 30-n || left[0].Base != &p[n] {
			t.Errorf("after %d: %d left", n, sum)
		}
		if n < 29 { // again, within its own memory
			if left = th.advance(left, 1); left[0].Base != &p[n+1] {
				t.Errorf("after %d and 1: wrong place", n)
			}
		}
	}
}

// What the memory of the guest lacks is an error even after a part.
func TestFaults(t *testing.T) {
	r := newRig(t)
	r.put("f", strings.Repeat("x", 8192))
	f := r.open(unix.O_RDWR, "f")
	mem, err := unix.Mmap(-1, 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	r.must(err)
	defer func() { r.must(unix.Munmap(mem)) }()
	r.must(unix.Mprotect(mem[4096:], unix.PROT_NONE))
	_, err = f.Read(r.c, vec(mem, 4096), 0)
	r.want(err, unix.EFAULT)
	_, err = f.Write(r.c, vec(mem, 4096), 0)
	r.want(err, unix.EFAULT)
}

func TestAppend(t *testing.T) {
	r := newRig(t)
	r.put("log", "host\n")
	f := r.open(unix.O_WRONLY|0o2000, "log")
	r.put("log", "host\nhost again\n") // unseen by the guest
	r.write(f, 5, "guest\n")
	if got := r.read(r.open(unix.O_RDONLY, "log"), 0, 100); got != "host\nhost again\nguest\n" {
		t.Errorf("log is %q", got)
	}
	// A client's cache writes its pages back at their places, perhaps twice.
	g := r.open(unix.O_RDWR|0o2000, "log")
	r.write(g, 0, "HOST")
	r.write(g, 0, "HOST")
	if got := r.read(g, 0, 100); got != "HOST\nhost again\nguest\n" {
		t.Errorf("log is %q", got)
	}
}

func TestSync(t *testing.T) {
	r := newRig(t)
	r.mkdir("d")
	r.put("f", "x")
	tr := &transport{}
	r.c.Transport = tr
	for _, path := range [][]string{nil, {"d"}, {"f"}} {
		r.must(r.walk(path...).Sync(r.c, false))
		r.must(r.walk(path...).Sync(r.c, true))
		r.must(r.open(unix.O_RDONLY, path...).Sync(r.c, false))
	}
	if tr.blocked != 9 {
		t.Errorf("told %d times that it blocks", tr.blocked)
	}
}

type transport struct{ blocked int }

func (t *transport) WillBlock(*ninep.Call)     { t.blocked++ }
func (t *transport) Resume(*ninep.Call)        {}
func (t *transport) Complete(*ninep.Call, int) {}

// Cached data is read without telling that it may take long; other data is not.
func TestReadTellsWhenItBlocks(t *testing.T) {
	r := newRig(t)
	r.put("f", strings.Repeat("x", 1<<20))
	f := r.open(unix.O_RDONLY, "f")
	tr := &transport{}
	r.c.Transport = tr
	r.read(f, 0, 100)
	if f.open.noWaitRefused.Load() {
		t.Skip("needs a file system with RWF_NOWAIT")
	}
	tr.blocked = 0
	r.read(f, 0, 1<<20)
	if tr.blocked != 0 {
		t.Errorf("told %d times", tr.blocked)
	}
	host, err := os.OpenFile(r.path("f"), os.O_RDWR, 0)
	r.must(err)
	defer host.Close()
	r.must(host.Sync())
	// RWF_NOWAIT starts to read ahead. A disk may be done with that before the page cache
	// is looked at again, and then nothing blocks: rare, so it is not seen ten times on end.
	for range 10 {
		r.must(unix.Fadvise(int(host.Fd()), 0, 0, unix.FADV_DONTNEED))
		if got := r.read(f, 1<<19, 1<<19); len(got) != 1<<19 {
			t.Errorf("read %d bytes", len(got))
		}
		if tr.blocked > 0 {
			return
		}
	}
	t.Error("not told")
}
