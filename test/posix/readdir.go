// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// readdirs: whatever happens to a folder while it is read, each name that stays is seen
// exactly once.
func readdirs(t *T) {
	for _, n := range []int{0, 1, 10, 1000} {
		t.group(fmt.Sprint(n), func(t *T) {
			names := []string{".", ".."}
			for i := range n {
				name := fmt.Sprintf("name-%d-%s", i, strings.Repeat("x", i%50))
				t.must("make", t.root.mknod(name, unix.S_IFREG|0o644, 0))
				names = append(names, name)
			}
			readdirOf(t, names)
		})
	}
	t.group("types", func(t *T) {
		for _, k := range kinds {
			t.a(k, k.name, t.root, 0o644)
		}
		fd := t.open(".", unix.O_RDONLY|unix.O_DIRECTORY)
		r := t.root.do(call{Op: "readdir", FD: fd, Len: 4096})
		t.is("names", len(r.Names), len(kinds)+2)
		t.root.close(fd)
		fd = t.open("regular", unix.O_RDONLY)
		t.is("of a file", t.root.do(call{Op: "readdir", FD: fd, Len: 4096}).Errno, unix.ENOTDIR)
		t.root.close(fd)
		fd = t.open(".", unix.O_RDONLY|unix.O_DIRECTORY)
		t.is("with little room", t.root.do(call{Op: "readdir", FD: fd, Len: 10}).Errno, unix.EINVAL)
		t.root.close(fd)
	})
}

func readdirOf(t *T, names []string) {
	slices.Sort(names)
	for _, size := range []int{65536, 4096, 320} {
		fd := t.open(".", unix.O_RDONLY|unix.O_DIRECTORY)
		all := func() result { return t.root.do(call{Op: "readdir", FD: fd, Len: int64(size)}) }
		sorted := func(r result) string {
			got := slices.Sorted(slices.Values(r.Names))
			if slices.Equal(got, names) {
				return text(r.Errno) + " all"
			}
			return fmt.Sprintf("%s %d, %d of them different", text(r.Errno), len(got), len(slices.Compact(got)))
		}
		what := fmt.Sprintf("buffer of %d", size)
		first := all()
		t.is(what, sorted(first), "OK all")
		t.is(what+", again without a seek", len(all().Names), 0)
		rewind := func() { t.root.do(call{Op: "lseek", FD: fd}) }
		rewind()
		t.is(what+", rewound", sorted(all()), "OK all")
		// Anywhere it stood before, it goes on as before.
		wrong := 0
		for i := 0; i < len(first.Names); i += 1 + len(first.Names)/7 {
			t.root.do(call{Op: "lseek", FD: fd, Off: first.Offs[i]})
			if !slices.Equal(all().Names, first.Names[i+1:]) {
				wrong++
			}
		}
		t.is(what+", after seeks", wrong, 0)
		// With more to come in the driver's buffer or the server's.
		rewind()
		t.root.do(call{Op: "readdir", FD: fd, Len: int64(-size)})
		rewind()
		t.is(what+", rewound in the middle", sorted(all()), "OK all")
		rewind()
		t.root.do(call{Op: "readdir", FD: fd, Len: int64(-size)})
		last := len(first.Names) - 1
		t.root.do(call{Op: "lseek", FD: fd, Off: first.Offs[max(last-1, 0)]})
		t.is(what+", seek in the middle", fmt.Sprint(all().Names), fmt.Sprint(first.Names[max(last-1, 0)+1:]))
		// Names that come and go while it is read.
		rewind()
		got := t.root.do(call{Op: "readdir", FD: fd, Len: int64(-size)}).Names
		for i := range 20 {
			t.must("make", t.root.mknod(fmt.Sprint("new-", i), unix.S_IFREG|0o644, 0))
		}
		var removed []string
		for i, name := range names {
			if i%3 == 0 && strings.HasPrefix(name, "name") {
				t.must("unlink", t.root.unlink(name))
				removed = append(removed, name)
			}
		}
		got = append(got, all().Names...)
		slices.Sort(got)
		t.is(what+", changed, none twice", len(got)-len(slices.Compact(slices.Clone(got))), 0)
		missed := 0
		for _, name := range names {
			if !slices.Contains(got, name) && !slices.Contains(removed, name) {
				missed++
			}
		}
		t.is(what+", changed, none missed", missed, 0)
		for i := range 20 {
			t.must("unlink", t.root.unlink(fmt.Sprint("new-", i)))
		}
		for _, name := range removed {
			t.must("make", t.root.mknod(name, unix.S_IFREG|0o644, 0))
		}
		t.root.close(fd)
	}
	// As rm -r does: read some, remove them, read on.
	fd := t.open(".", unix.O_RDONLY|unix.O_DIRECTORY)
	for {
		r := t.root.do(call{Op: "readdir", FD: fd, Len: -1024})
		if len(r.Names) == 0 {
			break
		}
		for _, name := range r.Names {
			if strings.HasPrefix(name, "name") {
				t.must("unlink", t.root.unlink(name))
			}
		}
	}
	t.root.close(fd)
	fd = t.open(".", unix.O_RDONLY|unix.O_DIRECTORY)
	t.is("removing what was read leaves", len(t.root.do(call{Op: "readdir", FD: fd, Len: 4096}).Names), 2)
	t.root.close(fd)
}
