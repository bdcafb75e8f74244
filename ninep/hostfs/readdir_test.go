// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// checkEntries fails unless the entries are what walks lead to.
func (r *rig) checkEntries(dir *file, entries []entry) {
	r.Helper()
	for _, e := range entries {
		if string(e.Name) == "." {
			if e.QID.Path != dir.n.path || e.Type != unix.DT_DIR {
				r.Errorf(". is %+v", e)
			}
			continue
		}
		f, q, err := r.walkFrom(dir, string(e.Name))
		r.must(err)
		a := r.attr(f)
		f.Close(nil)
		if e.QID.Path != q.Path || e.QID.Type != q.Type || uint32(e.Type) != a.Mode>>12 {
			r.Errorf("%q: entry %+v, walk leads to %+v, mode %o", e.Name, e, q, a.Mode)
		}
	}
}

func nameSet(entries []entry) map[string]int {
	set := map[string]int{}
	for _, e := range entries {
		set[string(e.Name)]++
	}
	return set
}

func TestReadDir(t *testing.T) {
	r := newRig(t)
	want := map[string]int{".": 1, "..": 1}
	r.mkdir("d/sub")
	r.must(os.Symlink("x", r.path("d", "link")))
	r.must(unix.Mkfifo(r.path("d", "fifo"), 0o600))
	r.must(unix.Mknod(r.path("d", "sock"), unix.S_IFSOCK|0o600, 0))
	want["sub"], want["link"], want["fifo"], want["sock"] = 1, 1, 1, 1
	for i := range 200 {
		name := fmt.Sprintf("%d-%s", i, strings.Repeat("\xff", i))
		r.put("d/"+name, "")
		want[name] = 1
	}
	for _, size := range []int{24 + 255, 300, 512, 1000, 4096, 64 << 10, 200 << 10} {
		d := r.open(unix.O_RDONLY, "d")
		entries := r.list(d, size)
		r.checkEntries(d, entries)
		got := nameSet(entries)
		if len(got) != len(want) {
			t.Errorf("size %d: %d names, want %d", size, len(got), len(want))
		}
		for name, n := range got {
			if n != 1 || want[name] != 1 {
				t.Errorf("size %d: %q %d times", size, name, n)
			}
		}
	}

	// ".." of the root of an attach is that root.
	for _, f := range []*file{r.attach(""), r.attach("d")} {
		_, err := f.Open(r.c, unix.O_RDONLY)
		r.must(err)
		r.checkEntries(f, r.list(f, 8192))
		f.Close(nil)
	}
}

// A listing can be taken up after any of its entries, in any order.
func TestReadDirFromEveryCookie(t *testing.T) {
	r := newRig(t)
	for i := range 100 {
		r.put(fmt.Sprint("f", i), "")
	}
	d := r.open(unix.O_RDONLY)
	all := r.list(d, 64<<10)
	rest := func(off uint64) []entry {
		buf := make([]byte, 64<<10)
		w := ninep.NewDirWriter(buf)
		r.must(d.ReadDir(r.c, off, w))
		var out []entry
		for data := w.Bytes(); len(data) > 0; {
			var e entry
			data, _ = ninep.ParseDirEntry(data, &e)
			out = append(out, e)
		}
		return out
	}
	order := []int{50, 3, 99, 0, 101, 50}
	for i := range all {
		order = append(order, i)
	}
	for _, i := range order {
		got := rest(all[i].Offset)
		if !slices.EqualFunc(got, all[i+1:], func(a, b entry) bool { return string(a.Name) == string(b.Name) }) {
			t.Fatalf("after entry %d: %d entries, want %d", i, len(got), len(all)-i-1)
		}
	}
	r.put("new", "")
	if n := len(rest(0)); n != len(all)+1 {
		t.Errorf("%d entries from the start, want %d", n, len(all)+1)
	}
}

func TestReadDirTooSmall(t *testing.T) {
	r := newRig(t)
	r.put(strings.Repeat("n", 255), "")
	d := r.open(unix.O_RDONLY)
	w := ninep.NewDirWriter(make([]byte, 20))
	r.must(d.ReadDir(r.c, 0, w))
	if len(w.Bytes()) != 0 {
		t.Error("wrote beyond the end")
	}
	if n := len(r.list(d, 24+255)); n != 3 {
		t.Errorf("%d entries after that", n)
	}
	_, err := r.open(unix.O_RDONLY, "..").Read(r.c, vec(make([]byte, 9), 9), 0)
	r.want(err, unix.EISDIR)
	r.put("f", "")
	r.want(r.open(unix.O_RDONLY, "f").ReadDir(r.c, 0, w), unix.ENOTDIR)
	r.want(r.walk().ReadDir(r.c, 0, w), unix.EBADF)
}

// Several threads read on one fid, each at its own place.
func TestReadDirConcurrently(t *testing.T) {
	r := newRig(t)
	for i := range 500 {
		r.put(fmt.Sprint("f", i), "")
	}
	d := r.open(unix.O_RDONLY)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			own := *r
			own.c = newCall()
			for range 10 {
				if got := nameSet(own.list(d, 700)); len(got) != 502 {
					t.Errorf("%d names", len(got))
				}
			}
		})
	}
	wg.Wait()
}

// In a large directory from which others remove, what stays is listed once.
func TestReadDirWhileRemoved(t *testing.T) {
	r := newRig(t)
	const files = 10_000
	for i := range files {
		r.must(unix.Mknod(r.path(fmt.Sprint("f", i)), unix.S_IFREG|0o600, 0))
	}
	d := r.open(unix.O_RDONLY)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 1; i < files; i += 2 {
			_ = os.Remove(r.path(fmt.Sprint("f", i)))
		}
	})
	for range 3 {
		got := nameSet(r.list(d, 8192))
		for i := 0; i < files; i += 2 {
			if n := got[fmt.Sprint("f", i)]; n != 1 {
				t.Fatalf("f%d is there %d times", i, n)
			}
		}
	}
	wg.Wait()
	if got := nameSet(r.list(d, 8192)); len(got) != files/2+2 {
		t.Errorf("%d names at the end", len(got))
	}
}

// Whatever is in the bytes after a name, it ends at its NUL.
func TestParseDirent(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for length := 1; length <= 1024; length++ {
		for range 20 {
			want := dirent{ino: rng.Uint64(), next: rng.Uint64(), typ: uint8(rng.Uint32()), name: make([]byte, length)}
			want.size = (direntHead + length + 1 + 7) &^ 7
			b := make([]byte, want.size+rng.IntN(3)*8)
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
			for i := range want.name {
				want.name[i] = []byte{1, 0x7f, 0x80, 0x81, 0xff, byte(1 + rng.IntN(255))}[rng.IntN(6)]
			}
			binary.NativeEndian.PutUint64(b[0:], want.ino)
			binary.NativeEndian.PutUint64(b[8:], want.next)
			binary.NativeEndian.PutUint16(b[16:], uint16(want.size))
			b[18] = want.typ
			copy(b[direntHead:], want.name)
			b[direntHead+length] = 0
			var got dirent
			if got.parse(b); !reflect.DeepEqual(got, want) {
				t.Fatalf("%+v, want %+v, in %q", got, want, b)
			}
		}
	}
}

// An entry that must be looked at is, and neither it nor one that is left out is plain.
func TestPlainEntries(t *testing.T) {
	r := newRig(t)
	r.fs.files = new(fileMeta)
	defer func() { r.fs.files = nil }()
	points := &mountPoints{names: map[string]struct{}{}}
	points.add("mnt")
	long := strings.Repeat("n", 300)
	names := []string{"f", "", "mnt", "abc", ".", "..", ".hid", string(metaDirName), string(metaRootName), long[:62], long[:255], long[:256], long}
	n := &node{nodeType: nodeType{mountRoot: true}}
	boxes := &node{nodeType: nodeType{traits: subvolumes}}
	for what, c := range map[string]struct {
		n    *node
		look dirLook
	}{
		"plain":               {n, lookAt(n, nil)},
		"with mounts":         {n, lookAt(n, points)},
		"of subvolumes":       {boxes, lookAt(boxes, points)},
		"that nobody can say": {n, dirLook{}},
	} {
		for typ := range 256 {
			for _, ino := range []uint64{0, 1, math.MaxUint32 - 1, math.MaxUint32, math.MaxUint32 + 1, 1 << 63} {
				for _, name := range names {
					ent := dirent{ino: ino, typ: uint8(typ), name: []byte(name)}
					needed := c.look.types == 0 || typ == unix.DT_UNKNOWN || typ > unix.DT_SOCK || ino == 0 || ino == math.MaxUint32 ||
						typ == unix.DT_DIR && c.n == boxes || name == ".." && c.n.mountRoot || name == "mnt" && c.look.points != nil
					if got := c.look.needed(c.n, &ent); got != needed {
						t.Fatalf("directory %s: a look is needed: %v, want %v: %+v", what, got, needed, ent)
					}
					out := name == "" || name == "." || name == ".." || r.fs.hidesName(ent.name) || len(name) > maxName
					plain := c.look.plain(&ent)
					if plain && (needed || out) || name == "f" && plain == needed {
						t.Fatalf("directory %s: plain is %v: %+v", what, plain, ent)
					}
				}
			}
		}
	}
}

// Without a mount table, or on a file system that is not trusted, each entry is
// looked at; one that has vanished is left out.
func TestReadDirLooksAtEntries(t *testing.T) {
	r := newRig(t)
	fd := r.fs.mounts.fd
	r.fs.mounts.fd = -1
	defer func() { r.fs.mounts.fd = fd }()
	r.mkdir("d")
	r.put("f", "")
	d := r.open(unix.O_RDONLY)
	entries := r.list(d, 4096)
	if len(entries) != 4 {
		t.Errorf("%d entries", len(entries))
	}
	r.checkEntries(d, entries)

	th := threadOf(r.c)
	ent := dirent{ino: 5, name: []byte("gone"), typ: unix.DT_REG}
	if _, ok, err := d.entryQID(th, dirLook{}, &ent); ok || err != nil {
		t.Errorf("vanished: %v, %v", ok, err)
	}
	ent = dirent{ino: 5, name: []byte("d"), typ: unix.DT_UNKNOWN}
	if q, ok, err := d.entryQID(th, lookAt(d.n, nil), &ent); !ok || err != nil || q.Path != r.walk("d").n.path || ent.typ != unix.DT_DIR {
		t.Errorf("unknown type: %+v, %v, %v", q, ok, err)
	}
}
