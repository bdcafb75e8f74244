// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// listFrom makes one request of size bytes.
func (r *rig) listFrom(f *file, off uint64, size int) []entry {
	r.Helper()
	w := ninep.NewDirWriter(make([]byte, size))
	r.must(f.ReadDir(r.c, off, w))
	var out []entry
	for data := w.Bytes(); len(data) > 0; {
		var e entry
		data, _ = ninep.ParseDirEntry(data, &e)
		out = append(out, e)
	}
	return out
}

// While a directory is listed, entries come and go between the requests: what is there
// all the time is listed once, nothing twice.
func TestCookiesSurviveChanges(t *testing.T) {
	onFileSystems(t, func(t *testing.T, dir string) {
		r := newRigAt(t, dir, Config{})
		r.mkdir("d")
		const files = 3000
		name := func(kind string, i int) string { return fmt.Sprintf("%s-%d-of-some-length", kind, i) }
		for i := range files {
			r.put("d/"+name("stays", i), "")
			r.put("d/"+name("goes", i), "")
		}
		d := r.open(unix.O_RDONLY, "d")
		seen := map[string]int{}
		var last []uint64
		large := false
		for off, request := uint64(0), 0; ; request++ {
			entries := r.listFrom(d, off, 4000)
			if len(entries) == 0 {
				break
			}
			for _, e := range entries {
				seen[string(e.Name)]++
				large = large || e.Offset > 1<<32
			}
			off = entries[len(entries)-1].Offset
			last = append(last, off)
			// The entry that the cookie is of goes, some before and some after it do, and
			// new ones come.
			_ = os.Remove(r.path("d", name("goes", request)))
			_ = os.Remove(r.path("d", name("goes", files-1-request)))
			if e := string(entries[len(entries)-1].Name); e[0] == 'g' {
				_ = os.Remove(r.path("d", e))
			}
			if request < files {
				r.put("d/"+name("new", request), "")
			}
			// Another place is read in between, as another process would.
			if request%3 == 0 {
				r.listFrom(d, last[request/2], 500)
			}
		}
		for i := range files {
			if n := seen[name("stays", i)]; n != 1 {
				t.Errorf("an entry that stayed is listed %d times", n)
			}
		}
		for n, times := range seen {
			if times != 1 {
				t.Errorf("%s is listed %d times", n, times)
			}
		}
		t.Logf("%d requests, cookies of more than 32 bits: %v", len(last), large)
	})
}

// A cookie means the same to another fid, and to one of a later run, while the directory
// does not change.
func TestCookiesAreTheHosts(t *testing.T) {
	onFileSystems(t, func(t *testing.T, dir string) {
		r := newRigAt(t, dir, Config{})
		for i := range 1000 {
			r.put(fmt.Sprint("f", i), "")
		}
		all := r.list(r.open(unix.O_RDONLY), 64<<10)
		again := newRigAt(t, dir, Config{})
		for _, i := range []int{0, 1, 500, 999, 1001} {
			for _, s := range []*rig{r, again} {
				rest := s.listFrom(s.open(unix.O_RDONLY), all[i].Offset, 64<<10)
				if !slices.EqualFunc(rest, all[i+1:], func(a, b entry) bool { return string(a.Name) == string(b.Name) && a.Offset == b.Offset }) {
					t.Errorf("after entry %d: %d entries, want %d", i, len(rest), len(all)-i-1)
				}
			}
		}
		host, err := os.ReadDir(dir)
		r.must(err)
		if len(host)+2 != len(all) {
			t.Errorf("%d entries, the host has %d", len(all), len(host)+2)
		}
	})
}

// "." and ".." are what walks lead to, also after the directory was moved; one that was
// removed has no entries, but an error that ends the listing in Linux.
func TestDots(t *testing.T) {
	onFileSystems(t, func(t *testing.T, dir string) {
		r := newRigAt(t, dir, Config{})
		r.mkdir("a/d")
		r.mkdir("b")
		root, a, b, d := r.open(unix.O_RDONLY), r.open(unix.O_RDONLY, "a"), r.open(unix.O_RDONLY, "b"), r.open(unix.O_RDONLY, "a", "d")
		up := func() uint64 {
			t.Helper()
			entries := r.list(d, 4096)
			r.checkEntries(d, entries)
			for _, e := range entries {
				if string(e.Name) == ".." {
					return e.QID.Path
				}
			}
			t.Fatal("no ..")
			return 0
		}
		r.checkEntries(root, r.list(root, 4096))
		if up() != a.n.path {
			t.Error("a/d/.. is not a")
		}
		r.must(a.RenameAt(r.c, ninep.Name("d"), b, ninep.Name("e")))
		if up() != b.n.path {
			t.Error("after a rename, b/e/.. is not b")
		}
		r.must(os.Rename(r.path("b", "e"), r.path("f")))
		if up() != root.n.path {
			t.Error("after a rename on the host, f/.. is not the root")
		}
		r.must(os.Remove(r.path("f")))
		w := ninep.NewDirWriter(make([]byte, 4096))
		for _, off := range []uint64{0, 1} {
			if err := d.ReadDir(r.c, off, w); err != unix.ENOENT && err != nil || len(w.Bytes()) > 0 {
				t.Errorf("removed: %v, %d bytes", err, len(w.Bytes()))
			}
		}
	})
}

// Where each entry is looked at, one that vanishes in between is left out.
func TestReadDirWhileLookedAtEntriesVanish(t *testing.T) {
	r := newRig(t)
	fd := r.fs.mounts.fd
	r.fs.mounts.fd = -1 // as without a mount table, or on overlayfs
	defer func() { r.fs.mounts.fd = fd }()
	const files = 2000
	for i := range files {
		r.must(unix.Mknod(r.path(fmt.Sprint("f", i)), unix.S_IFREG|0o600, 0))
	}
	d := r.open(unix.O_RDONLY)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for round := 0; ; round++ {
			for i := 1; i < files; i += 2 {
				select {
				case <-stop:
					return
				default:
				}
				if round%2 == 0 {
					_ = os.Remove(r.path(fmt.Sprint("f", i)))
				} else {
					_ = unix.Mknod(r.path(fmt.Sprint("f", i)), unix.S_IFREG|0o600, 0)
				}
			}
		}
	}()
	for range 5 {
		got := nameSet(r.list(d, 8192))
		for i := 0; i < files; i += 2 {
			if n := got[fmt.Sprint("f", i)]; n != 1 {
				t.Fatalf("f%d is there %d times", i, n)
			}
		}
	}
	close(stop)
	<-stopped
}

// Names that 9P clients cannot use do not keep them from the others.
func TestReadDirLongNames(t *testing.T) {
	r := newRig(t)
	th := threadOf(r.c)
	for length, want := range map[int]bool{255: true, 256: false, 1024: false} {
		ent := dirent{ino: 5, name: make([]byte, length), typ: unix.DT_REG}
		if _, ok, err := r.root.entryQID(th, lookAt(r.root.n, nil), &ent); ok != want || err != nil {
			t.Errorf("a name of %d bytes: %v, %v", length, ok, err)
		}
	}
}
