// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/test/leaks"
)

func TestWalk(t *testing.T) {
	r := newRig(t)
	r.mkdir("a/b")
	r.put("a/b/f", "data")

	f, q, err := r.walkFrom(r.root, "a", "b", "f")
	r.must(err)
	if q != r.attr(f).QID || q.Version == 0 || q.Type != ninep.QTFile {
		t.Errorf("QID is %+v, getattr says %+v", q, r.attr(f).QID)
	}
	f.Close(nil)

	// The number of elements that could be walked is told with the error.
	qids := make([]ninep.QID, 4)
	if _, n, err := r.root.Walk(r.c, names("a", "b", "gone", "f"), qids); n != 2 || err != unix.ENOENT {
		t.Errorf("walked %d, error %v", n, err)
	}
	if _, n, err := r.root.Walk(r.c, names("a", "b", "f", "x"), qids); n != 3 || err != unix.ENOTDIR {
		t.Errorf("walked %d, error %v", n, err)
	}
	if _, _, err := r.root.Walk(r.c, names(strings.Repeat("n", 256)), qids); err != unix.ENAMETOOLONG {
		t.Errorf("error %v", err)
	}
}

func TestWalkNames(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"\xff\xfe\x80", strings.Repeat("n", 255), "...", "..a", " ", "\n", "-", "a\\b"} {
		r.put(name, name)
		f := r.open(unix.O_RDONLY, name)
		if got := r.read(f, 0, 300); got != name {
			t.Errorf("%q holds %q", name, got)
		}
		r.must(f.Remove(r.c))
	}
	created := ninep.Name("\xffcr\xc3")
	f := r.walk()
	_, err := f.Create(r.c, created, unix.O_RDWR|unix.O_CREAT, 0o600, 0)
	r.must(err)
	if _, err := os.Lstat(r.path(string(created))); err != nil {
		t.Error(err)
	}
}

func TestWalkNeverFollowsSymlinks(t *testing.T) {
	r := newRig(t)
	outside := t.TempDir()
	r.must(os.WriteFile(outside+"/secret", nil, 0o600))
	r.must(os.Symlink(outside, r.path("abs")))
	r.must(os.Symlink("..", r.path("up")))
	r.must(os.Symlink("/proc/self/root", r.path("magic")))
	r.must(os.Symlink("f", r.path("inside")))
	r.put("f", "")

	for _, name := range []string{"abs", "up", "magic", "inside"} {
		f, q, err := r.walkFrom(r.root, name)
		r.must(err)
		if q.Type != ninep.QTSymlink {
			t.Errorf("%s has type %#x", name, q.Type)
		}
		for _, below := range []string{"secret", "..", "f", "etc"} {
			if g, _, err := r.walkFrom(f, below); err != unix.ENOTDIR {
				t.Errorf("%s/%s: %v, %v", name, below, g, err)
			}
			if g, _, err := r.walkFrom(r.root, name, below); err != unix.ENOTDIR {
				t.Errorf("%s/%s at once: %v, %v", name, below, g, err)
			}
		}
		if _, err := f.Open(r.c, unix.O_RDONLY); err != unix.ELOOP {
			t.Errorf("open %s: %v", name, err)
		}
		// Nothing is made, removed or renamed through it either.
		if _, err := f.Mkdir(r.c, ninep.Name("new"), 0o755, 0); err != unix.ENOTDIR {
			t.Errorf("mkdir in %s: %v", name, err)
		}
		if err := f.UnlinkAt(r.c, ninep.Name("secret"), 0); err != unix.ENOTDIR {
			t.Errorf("unlink in %s: %v", name, err)
		}
		f.Close(nil)

		// Nor by the name itself.
		g := r.walk()
		_, err = g.Create(r.c, ninep.Name(name), unix.O_RDWR|unix.O_CREAT|unix.O_TRUNC, 0o644, 0)
		r.want(err, unix.ELOOP)
	}
	if _, err := os.Stat(outside + "/secret"); err != nil {
		t.Error(err)
	}
}

func TestWalkUp(t *testing.T) {
	r := newRig(t)
	r.mkdir("a/b/c")
	root := r.attr(r.root).QID
	for _, path := range [][]string{
		{".."},
		{"..", "..", ".."},
		{"a", ".."},
		{"a", "b", "c", "..", "..", ".."},
		{"a", "b", "c", "..", "..", "..", "..", ".."},
	} {
		f, q, err := r.walkFrom(r.root, path...)
		r.must(err)
		if q != root || f.n != r.root.n {
			t.Errorf("%v leads to %+v", path, q)
		}
		f.Close(nil)
	}
	b := r.walk("a", "b")
	f, q, err := r.walkFrom(r.root, "a", "b", "c", "..")
	r.must(err)
	if q != r.attr(b).QID {
		t.Errorf("a/b/c/.. is %+v", q)
	}
	// What was reached upwards has no name that is known, but one can be found.
	r.must(f.Rename(r.c, r.root, ninep.Name("moved")))
	f.Close(nil)
	if _, err := os.Stat(r.path("moved", "c")); err != nil {
		t.Error(err)
	}
	r.put("f", "")
	if _, _, err := r.walkFrom(r.root, "f", ".."); err != unix.ENOTDIR {
		t.Errorf("f/..: %v", err)
	}
}

func TestWalkUpAfterMoveOut(t *testing.T) {
	r := newRig(t)
	outside := t.TempDir()
	r.mkdir("a/b/c")
	c := r.walk("a", "b", "c")
	b := r.walk("a", "b")
	r.must(os.Rename(r.path("a", "b"), outside+"/b"))
	if f, q, err := r.walkFrom(b, ".."); err != unix.ENOENT {
		t.Errorf("left the export: %v %+v %v", f, q, err)
	}
	if f, q, err := r.walkFrom(c, "..", ".."); err != unix.ENOENT {
		t.Errorf("left the export: %v %+v %v", f, q, err)
	}
	// What is held stays.
	r.attr(c)
	r.must(os.Rename(outside+"/b", r.path("a", "b")))
	f, _, err := r.walkFrom(c, "..", "..", "..")
	r.must(err)
	if f.n != r.root.n {
		t.Error("not the root")
	}
	f.Close(nil)
}

// While the host moves a directory out and in, walking up never leads outside.
func TestWalkUpRacesMove(t *testing.T) {
	r := newRig(t)
	outside := t.TempDir()
	r.mkdir("in/d/e")
	forbidden := map[uint64]bool{}
	for _, dir := range []string{outside, outside + "/..", "/"} {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
		r.must(err)
		var stx unix.Statx_t
		r.must(unix.Statx(fd, "", unix.AT_EMPTY_PATH, statxIdentity, &stx))
		key := keyOf(&stx)
		path, e := r.fs.path(int32(fd), &key, nil)
		r.must(errorOf(e))
		r.must(unix.Close(fd))
		forbidden[path] = true
	}
	e := r.walk("in", "d", "e")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.Rename(r.path("in", "d"), outside+"/d")
			_ = os.Rename(outside+"/d", r.path("in", "d"))
		}
	})
	reached := 0
	for range 3000 {
		qids := make([]ninep.QID, 4)
		f, n, err := e.Walk(r.c, names("..", "..", "..", ".."), qids)
		if err == nil {
			reached++
			f.Close(nil)
		}
		for _, q := range qids[:n] {
			if forbidden[q.Path] {
				t.Fatal("walked out of the export")
			}
		}
	}
	close(stop)
	wg.Wait()
	t.Logf("reached the root %d times", reached)
}

func TestAttach(t *testing.T) {
	r := newRig(t)
	r.mkdir("a/b/c")
	r.put("f", "")
	r.must(os.Symlink("a", r.path("l")))
	r.must(os.Symlink(t.TempDir(), r.path("out")))

	for _, aname := range []string{"", "/", "//", "."} {
		f := r.attach(aname)
		if f.n != r.root.n {
			t.Errorf("%q is not the root", aname)
		}
		f.Close(nil)
	}
	var subs []*file
	for _, aname := range []string{"a/b", "/a/b", "/a//b/", "./a/./b"} {
		f := r.attach(aname)
		subs = append(subs, f)
		if f.n != subs[0].n || f.at != subs[0].at {
			t.Errorf("%q is another directory", aname)
		}
		g, q, err := r.walkFrom(f, "c", "..", "..", "..")
		r.must(err)
		if g.n != f.n || q != r.attr(f).QID {
			t.Errorf("%q: .. leads to %+v", aname, q)
		}
		g.Close(nil)
		r.want(f.Remove(r.c), unix.EBUSY)
	}
	for _, f := range subs {
		f.Close(nil)
	}
	if n := len(r.fs.attaches.subs); n != 0 {
		t.Errorf("%d attaches left", n)
	}
	for aname, want := range map[string]unix.Errno{
		"f": unix.ENOTDIR, "f/x": unix.ENOTDIR, "gone": unix.ENOENT, "..": unix.ENOENT, "a/../..": unix.ENOENT,
		"l": unix.ENOTDIR, "l/b": unix.ENOTDIR, "out": unix.ENOTDIR, "a\x00": unix.ENOENT,
	} {
		if _, _, err := r.fs.Attach(r.c, ninep.Name(aname)); err != want {
			t.Errorf("%q: %v, want %v", aname, err, want)
		}
	}
}

// A second fid of a file shares its descriptor, and the last one closes it.
func TestNodesAreShared(t *testing.T) {
	r := newRig(t)
	r.put("f", "")
	r.must(os.Link(r.path("f"), r.path("g")))
	before := len(leaks.Descriptors())
	var files []*file
	for _, name := range []string{"f", "g", "f", "g"} {
		f, _, err := r.walkFrom(r.root, name)
		r.must(err)
		files = append(files, f)
	}
	if n := len(leaks.Descriptors()) - before; n != 1 {
		t.Errorf("%d descriptors for one file", n)
	}
	for _, f := range files {
		if f.n != files[0].n {
			t.Error("two nodes")
		}
	}
	for _, f := range files {
		f.Close(nil)
	}
	r.fs.Reset()
	if n := len(leaks.Descriptors()) - before; n != 0 {
		t.Errorf("%d descriptors left", n)
	}
}

// Nodes are found and closed by many threads at once while their inodes come and go.
func TestNodeTableConcurrently(t *testing.T) {
	r := newRig(t)
	const workers, files = 8, 20
	for i := range files {
		r.put(fmt.Sprint("f", i), fmt.Sprint("f", i))
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			c := newCall()
			qids := make([]ninep.QID, 1)
			for i := range 2000 {
				name := fmt.Sprint("f", (i*7+w)%files)
				if w == 0 {
					// The inode is another one each time, its number often the same.
					_ = os.Remove(r.path(name))
					_ = os.WriteFile(r.path(name), []byte(name), 0o644)
					continue
				}
				f, _, err := r.root.Walk(c, names(name), qids)
				if err == unix.ENOENT {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if i%4 == 0 {
					_, err = f.Open(c, unix.O_RDONLY)
					p := make([]byte, 10)
					n, rerr := f.Read(c, vec(p, 10), 0)
					if err != nil || rerr != nil || n > 0 && string(p[:n]) != name {
						t.Errorf("%s holds %q, %v, %v", name, p[:n], err, rerr)
					}
				}
				f.Close(nil)
			}
		})
	}
	wg.Wait()
}
