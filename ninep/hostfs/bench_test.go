// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

func BenchmarkGetAttr(b *testing.B) {
	r := newRig(b)
	r.put("f", "")
	f := r.walk("f")
	var a ninep.Attr
	b.ReportAllocs()
	for b.Loop() {
		_ = f.GetAttr(r.c, ninep.AttrBasic, &a)
	}
}

func BenchmarkWalk(b *testing.B) {
	r := newRig(b)
	r.mkdir("d")
	r.put("d/f", "")
	r.walk("d") // as its directory is known to any client
	for _, bc := range []struct {
		name string
		path []string
		held bool
	}{
		{"clone", nil, false},
		{"known", []string{"f"}, true},
		{"new", []string{"f"}, false},
		{"depth=2", []string{"d", "f"}, true},
	} {
		b.Run(bc.name, func(b *testing.B) {
			from := r.walk("d")
			if len(bc.path) == 2 {
				from = r.root
			}
			if bc.held {
				held, _, err := r.walkFrom(r.root, "d", "f")
				r.must(err)
				defer held.Close(r.c.Thread)
			}
			elem, qids := names(bc.path...), make([]ninep.QID, 2)
			b.ReportAllocs()
			for b.Loop() {
				f, _, err := from.Walk(r.c, elem, qids)
				if err != nil {
					b.Fatal(err)
				}
				f.Close(r.c.Thread)
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	r := newRig(b)
	r.mkdir("d")
	r.put("f", "")
	for _, bc := range []struct {
		name  string
		flags uint32
	}{{"f", unix.O_RDWR}, {"d", unix.O_RDONLY}} {
		b.Run(bc.name, func(b *testing.B) {
			held := r.walk(bc.name)
			b.ReportAllocs()
			for b.Loop() {
				f := held.clone(threadOf(r.c))
				if _, err := f.Open(r.c, bc.flags); err != nil {
					b.Fatal(err)
				}
				f.Close(r.c.Thread)
			}
		})
	}
}

func BenchmarkReadWrite(b *testing.B) {
	r := newRig(b)
	p := make([]byte, 128<<10)
	for i := range p {
		p[i] = byte(i)
	}
	r.put("f", string(p))
	f := r.open(unix.O_RDWR, "f")
	for _, size := range []int{4 << 10, 128 << 10} {
		iov := vec(p[:size], size)
		b.Run(fmt.Sprintf("read/size=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				if n, err := f.Read(r.c, iov, 0); n != size || err != nil {
					b.Fatal(n, err)
				}
			}
		})
		b.Run(fmt.Sprintf("write/size=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				if n, err := f.Write(r.c, iov, 0); n != size || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}

func BenchmarkReadDir(b *testing.B) {
	r := newRig(b)
	for i := range 1000 {
		r.put(fmt.Sprintf("file%04d", i), "")
	}
	f := r.open(unix.O_RDONLY | unix.O_DIRECTORY)
	buf := make([]byte, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		w := ninep.NewDirWriter(buf)
		if err := f.ReadDir(r.c, 0, w); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCreateRemove(b *testing.B) {
	r := newRig(b)
	b.ReportAllocs()
	for b.Loop() {
		f := r.root.clone(threadOf(r.c))
		if _, err := f.Create(r.c, ninep.Name("f"), unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, 0o644, 0); err != nil {
			b.Fatal(err)
		}
		f.Close(r.c.Thread)
		if err := r.root.UnlinkAt(r.c, ninep.Name("f"), 0); err != nil {
			b.Fatal(err)
		}
	}
}
