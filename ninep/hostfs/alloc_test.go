// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"fmt"
	"reflect"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

func TestNoAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("needs a build without the race detector, which makes pools forget")
	}
	r := newRig(t)
	r.put("file with a name of some length", string(make([]byte, 8192)))
	r.mkdir("d")
	for i := range 100 {
		r.put(fmt.Sprint("d/f", i), "")
	}
	f := r.open(unix.O_RDWR, "file with a name of some length")
	d := r.open(unix.O_RDONLY, "d")
	p := make([]byte, 4096)
	iov := vec(p, 4096)
	pieces := vec(p, 100)
	elem, qids := names("file with a name of some length"), make([]ninep.QID, 1)
	var attr ninep.Attr
	buf := make([]byte, 1000)
	for name, run := range map[string]func() error{
		"getattr": func() error { return f.GetAttr(r.c, ninep.AttrBasic, &attr) },
		"walk": func() error {
			g, _, err := r.root.Walk(r.c, elem, qids)
			if err == nil {
				g.Close(r.c.Thread)
			}
			return err
		},
		"open": func() error {
			g := f.clone(threadOf(r.c))
			defer g.Close(r.c.Thread)
			_, err := g.Open(r.c, unix.O_RDONLY)
			return err
		},
		"read":        func() error { _, err := f.Read(r.c, iov, 0); return err },
		"read pieces": func() error { _, err := f.Read(r.c, pieces, 6000); return err },
		"write":       func() error { _, err := f.Write(r.c, iov, 0); return err },
		"readdir": func() error {
			w := ninep.NewDirWriter(buf)
			return d.ReadDir(r.c, 0, w)
		},
		"error": func() error {
			if _, _, err := d.Walk(r.c, elem, qids); err != unix.ENOENT {
				return fmt.Errorf("got %w", err)
			}
			return nil
		},
	} {
		r.must(run())
		want := 0.0
		if name == "readdir" {
			want = 1 // the DirWriter, which is the session's otherwise
		}
		if n := testing.AllocsPerRun(200, func() { r.must(run()) }); n > want {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	// A node that comes and goes costs none either.
	if n := testing.AllocsPerRun(200, func() {
		g, _, err := d.Walk(r.c, names2, qids)
		r.must(err)
		g.Close(r.c.Thread)
	}); n > 0 {
		t.Errorf("walk to a new node: %v allocations", n)
	}
}

var names2 = names("f7")

// What a walked fid takes on the heap, with its node and their table.
func TestMemoryPerFile(t *testing.T) {
	if raceDetector {
		t.Skip("needs a build without the race detector, which makes objects larger")
	}
	if s := reflect.TypeFor[node]().Size(); s > 80 {
		t.Errorf("a node has %d bytes", s)
	}
	r := newRig(t)
	count := 10_000
	if lim := (unix.Rlimit{}); unix.Getrlimit(unix.RLIMIT_NOFILE, &lim) == nil && lim.Cur < uint64(count+100) {
		t.Skipf("needs %d descriptors", count)
	}
	for i := range count {
		r.must(unix.Mknod(r.path(fmt.Sprintf("file-%08d", i)), unix.S_IFREG|0o600, 0))
	}
	files := make([]*file, 0, count)
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	elem, qids := make([]ninep.Name, 1), make([]ninep.QID, 1)
	for i := range count {
		elem[0] = fmt.Appendf(elem[0][:0], "file-%08d", i)
		f, _, err := r.root.Walk(r.c, elem, qids)
		r.must(err)
		files = append(files, f.(*file))
	}
	per := (heap() - before) / int64(count)
	t.Logf("%d bytes a fid", per)
	if per > 200 {
		t.Errorf("%d bytes a fid", per)
	}
	for _, f := range files {
		f.Close(r.c.Thread)
	}
}
