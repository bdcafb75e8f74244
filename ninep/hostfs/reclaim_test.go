// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// eachWay runs a test with nodes that are brought back by their handles, and by their
// names.
func eachWay(t *testing.T, most int, test func(r *rig, byHandle bool)) {
	for place, dir := range map[string]func(testing.TB) string{"memory": memDir, "disk": func(t testing.TB) string { return t.TempDir() }} {
		if most > 0 && place == "disk" {
			continue // it is many files
		}
		t.Run(place+" handles", func(t *testing.T) {
			r := newRigAt(t, dir(t), Config{MaxDescriptors: most})
			needHandles(r)
			test(r, true)
		})
		t.Run(place+" names", func(t *testing.T) {
			r := newRigAt(t, dir(t), Config{MaxDescriptors: most})
			r.fs.handles.off = true
			test(r, false)
		})
	}
}

// memDir returns a directory for many files: in memory, if there is such a place.
func memDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "hostfs-test-*")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// needHandles skips the test if files cannot be opened by their handles.
func needHandles(r *rig) {
	needCaps(r.TB.(*testing.T), unix.CAP_DAC_READ_SEARCH)
	if fd, e := r.fs.handles.probe(threadOf(r.c).claim(), r.root.n, wordFD(r.root.n.desc.word.Load())); e != 0 || fd < 0 {
		r.Skip("needs a file system with file handles that the process may use")
	} else {
		r.fs.fds.close(fd)
	}
}

// chill takes the descriptors of nodes away.
func (r *rig) chill(files ...*file) {
	r.Helper()
	for _, f := range files {
		for f.n.desc.has() {
			if !r.fs.evict(r.fs.thread(r.c)) {
				r.Fatal("keeps its descriptor")
			}
		}
	}
}

func (r *rig) inode(f *file) uint64 {
	r.Helper()
	return r.attr(f).QID.Path & (1<<48 - 1)
}

func hostInode(t testing.TB, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino & (1<<48 - 1)
}

// More files than there may be descriptors, used by many at once while the sweep goes
// around as fast as it can: each stays what it is.
func TestManyFiles(t *testing.T) {
	const dirs, perDir, most = 20, 1000, 100
	eachWay(t, most, func(r *rig, _ bool) {
		type known struct {
			*file
			dir, name string
			ino       uint64
		}
		var all []known
		for d := range dirs {
			dir := fmt.Sprintf("d%02d", d)
			r.mkdir(dir)
			for i := range perDir {
				name := fmt.Sprintf("file-%04d", i)
				r.put(dir+"/"+name, dir+name)
				all = append(all, known{dir: dir, name: name, ino: hostInode(r, r.path(dir, name))})
			}
		}
		time.Sleep(2 * tick)
		for i := range all {
			f, _, err := r.walkFrom(r.root, all[i].dir, all[i].name)
			r.must(err)
			all[i].file = f
			if n := r.fs.Stats().Descriptors.Used; n > most+1 {
				r.Fatalf("%d descriptors", n)
			}
		}
		if s := r.fs.Stats(); s.Nodes != dirs*perDir+dirs+1 && s.Nodes != dirs*perDir+1 || s.Descriptors.Cold < s.Nodes-most {
			r.Errorf("%+v", s)
		}

		end := time.Now().Add(1500 * time.Millisecond)
		var wg sync.WaitGroup
		for w := range 6 {
			wg.Go(func() {
				runtime.LockOSThread()
				my := *r
				my.c = newCall()
				rng := rand.New(rand.NewPCG(uint64(w), 2))
				for time.Now().Before(end) && !t.Failed() {
					f := all[rng.IntN(len(all))]
					if rng.IntN(10) == 0 {
						my.fs.evict(my.fs.thread(my.c))
					}
					var a ninep.Attr
					if err := f.GetAttr(my.c, ninep.AttrBasic, &a); err != nil || a.QID.Path&(1<<48-1) != f.ino {
						t.Errorf("%s/%s: inode %d is %d, %v", f.dir, f.name, f.ino, a.QID.Path, err)
						return
					}
					g, q, err := my.walkFrom(my.root, f.dir, f.name)
					if err != nil || q.Path != a.QID.Path || g.n != f.n {
						t.Errorf("%s/%s: walk came to another file, or not: %v", f.dir, f.name, err)
						return
					}
					if _, err := g.Open(my.c, unix.O_RDWR); err != nil {
						t.Errorf("%s/%s: open: %v", f.dir, f.name, err)
						return
					}
					if got := my.read(g, 0, 100); got != f.dir+f.name {
						t.Errorf("%s/%s: read %q", f.dir, f.name, got)
					}
					g.Close(nil)
				}
			})
		}
		wg.Wait()
		for _, f := range all {
			f.Close(nil)
		}
		if s := r.fs.Stats().Descriptors; s.Reopened == 0 || s.Evicted < s.Reopened || s.Stale != 0 {
			r.Errorf("%+v", s)
		}
	})
}

func TestColdFileIsRenamed(t *testing.T) {
	eachWay(t, 0, func(r *rig, byHandle bool) {
		r.mkdir("a/b")
		r.put("a/b/f", "content")
		f, b := r.walk("a", "b", "f"), r.walk("a", "b")
		ino := r.inode(f)
		cold := []*file{f, b, r.walk("a")}

		// By the guest, and what it is in as well.
		r.chill(cold...)
		r.must(b.RenameAt(r.c, names("f")[0], b, names("g")[0]))
		r.chill(cold...)
		r.must(r.root.RenameAt(r.c, names("a")[0], r.root, names("c")[0]))
		r.chill(cold...)
		if r.inode(f) != ino {
			r.Error("another file")
		}
		r.chill(cold...)
		r.must(f.Rename(r.c, r.root, names("h")[0]))
		r.chill(cold...)
		if r.inode(f) != ino || hostInode(r, r.path("h")) != ino {
			r.Error("another file")
		}

		// On the host, where something else takes its name.
		r.chill(cold...)
		r.must(os.Rename(r.path("h"), r.path("i")))
		r.put("h", "other")
		var a ninep.Attr
		err := f.GetAttr(r.c, ninep.AttrBasic, &a)
		if byHandle {
			r.must(err)
		} else {
			r.want(err, unix.ESTALE)
			// It is the same file again for who has found it.
			if g := r.walk("i"); g.n != f.n {
				r.Error("another node")
			}
		}
		if r.inode(f) != ino {
			r.Error("another file")
		}
		if _, err := f.Open(r.c, unix.O_RDONLY); err != nil || r.read(f, 0, 10) != "content" {
			r.Error("another content")
		}
	})
}

// The first file that is known by its name, and others that are renamed at that time.
func TestFilesAreRenamedAsOthersBecomeCold(t *testing.T) {
	const rounds, files, renames = 100, 8, 30
	dir := memDir(t)
	name := func(i, side int) string { return fmt.Sprintf("%d-%d", i, side) }
	var inodes [files]uint64
	for i := range files {
		path := filepath.Join(dir, name(i, 0))
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		inodes[i] = hostInode(t, path)
	}
	time.Sleep(2 * tick)
	for range rounds {
		t.Run("", func(t *testing.T) {
			r := newRigAt(t, dir, Config{})
			r.fs.handles.off = true
			var all [files]*file
			for i := range all {
				all[i] = r.walk(name(i, 0))
			}
			var wg sync.WaitGroup
			for i := range all {
				wg.Go(func() {
					c := newCall()
					for k := range renames {
						if err := r.root.RenameAt(c, names(name(i, k%2))[0], r.root, names(name(i, 1-k%2))[0]); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Go(func() {
				sweeper := r.fs.thread(newCall())
				for range renames {
					r.fs.evict(sweeper)
				}
			})
			wg.Wait()
			for i, f := range all {
				if r.inode(f) != inodes[i] {
					t.Error("another file")
				}
			}
			if s := r.fs.Stats().Descriptors; s.Evicted == 0 || s.Stale != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A rename that hangs keeps files from becoming known by names, and only that.
func TestRenameUnderWay(t *testing.T) {
	eachWay(t, 0, func(r *rig, byHandle bool) {
		r.put("f", "")
		f := r.walk("f")
		ino := r.inode(f)
		time.Sleep(2 * tick)
		if !r.fs.moves.begin() {
			t.Fatal("all renames look at what they move")
		}
		for r.fs.evict(r.fs.thread(r.c)) { //nolint:revive // until it is f's turn
		}
		if f.n.desc.has() == byHandle {
			t.Errorf("cold: %v", !byHandle)
		}
		r.fs.moves.end()
		r.chill(f)
		r.must(r.root.RenameAt(r.c, names("f")[0], r.root, names("g")[0]))
		if r.inode(f) != ino {
			t.Error("another file")
		}
	})
}

// What loses its last name through us goes on for those who hold it.
func TestColdFileLosesItsName(t *testing.T) {
	one, two := names("f")[0], names("g")[0]
	for name, remove := range map[string]func(r *rig, f *file) error{
		"unlink":      func(r *rig, _ *file) error { return r.root.UnlinkAt(r.c, one, 0) },
		"remove":      func(r *rig, f *file) error { return f.Remove(r.c) },
		"rename over": func(r *rig, _ *file) error { return r.root.RenameAt(r.c, two, r.root, one) },
		"rename over it by fid": func(r *rig, _ *file) error {
			g := r.walk("g")
			r.chill(g)
			return g.Rename(r.c, r.root, one)
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachWay(t, 0, func(r *rig, _ bool) {
				r.put("f", "content")
				r.put("g", "other")
				f := r.walk("f")
				ino := r.inode(f)
				r.chill(f)
				r.must(remove(r, f))
				for r.fs.evict(r.fs.thread(r.c)) { //nolint:revive // it must not help
				}
				r.must(f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetMode, Mode: 0o600}))
				if a := r.attr(f); r.inode(f) != ino || a.NLink != 0 || a.Mode&0o777 != 0o600 {
					r.Errorf("%+v", a)
				}
				_, err := f.Open(r.c, unix.O_RDWR)
				r.must(err)
				r.write(f, 7, " more")
				if got := r.read(f, 0, 100); got != "content more" {
					r.Errorf("read %q", got)
				}
			})
		})
	}
	t.Run("rmdir", func(t *testing.T) {
		eachWay(t, 0, func(r *rig, _ bool) {
			r.mkdir("f")
			f := r.walk("f")
			ino := r.inode(f)
			r.chill(f)
			r.must(r.root.UnlinkAt(r.c, one, unix.AT_REMOVEDIR))
			for r.fs.evict(r.fs.thread(r.c)) { //nolint:revive // it must not help
			}
			if r.inode(f) != ino {
				r.Error("another directory")
			}
		})
	})
}

// A file that the host removes while it is cold is gone, also if another one has its
// name, or its inode number.
func TestColdFileIsRemovedOnHost(t *testing.T) {
	const tries = 50 // a disk file system takes one or two
	eachWay(t, 0, func(r *rig, _ bool) {
		for how, again := range map[string]func() (*file, error){
			"walk": func() (*file, error) {
				r.put("f", "new")
				f, _, err := r.walkFrom(r.root, "f")
				return f, err
			},
			"create": func() (*file, error) {
				f := r.root.clone(threadOf(r.c))
				_, err := f.Create(r.c, names("f")[0], excl|unix.O_RDWR, 0o600, 0)
				if err == nil {
					r.write(f, 0, "new")
				}
				return f, err
			},
		} {
			reused := false
			for try := 0; try < tries && !reused; try++ {
				r.put("f", "old")
				old, oldQID, err := r.walkFrom(r.root, "f")
				r.must(err)
				r.chill(old)
				r.must(os.Remove(r.path("f")))
				f, err := again()
				r.must(err)
				reused = old.n.ino == f.n.ino
				if f.n == old.n {
					r.Fatalf("%s: the new file has the old one's node", how)
				}
				if reused && r.attr(f).QID.Path != oldQID.Path {
					r.Errorf("%s: QID path is not the inode's", how)
				}
				var a ninep.Attr
				r.want(old.GetAttr(r.c, ninep.AttrBasic, &a), unix.ESTALE)
				_, err = old.Open(r.c, unix.O_RDONLY)
				r.want(err, unix.ESTALE)
				if f.open == nil {
					_, err := f.Open(r.c, unix.O_RDONLY)
					r.must(err)
				}
				if got := r.read(f, 0, 10); got != "new" {
					r.Errorf("%s: read %q", how, got)
				}
				r.chill(f)
				if r.inode(f) != hostInode(r, r.path("f")) {
					r.Errorf("%s: another file", how)
				}
				f.Close(nil)
				old.Close(nil)
				r.must(os.Remove(r.path("f")))
			}
			if !reused {
				r.Logf("%s: the file system has not used an inode number again", how)
			}
		}
		if r.fs.Stats().Descriptors.Stale == 0 {
			r.Error("nothing was stale")
		}
	})
}

// An inode that takes over the number in the very tick in which the first was made has
// its time as well: it must be told by something else.
func TestColdFileOfThisTick(t *testing.T) {
	eachWay(t, 0, func(r *rig, byHandle bool) {
		for range 50 {
			r.put("f", "old")
			old, _, err := r.walkFrom(r.root, "f")
			r.must(err)
			r.chill(old)
			r.must(os.Remove(r.path("f")))
			r.put("f", "new")
			f, _, err := r.walkFrom(r.root, "f")
			r.must(err)
			if f.n == old.n {
				r.Fatal("the new file has the old one's node")
			}
			f.Close(nil)
			old.Close(nil)

			// And the same one is found again.
			f, _, err = r.walkFrom(r.root, "f")
			r.must(err)
			r.chill(f)
			again, _, err := r.walkFrom(r.root, "f")
			r.must(err)
			if f.n != again.n {
				r.Error("two nodes for one file")
			}
			again.Close(nil)
			f.Close(nil)
		}
	})
}

// Open files can be more than there are descriptors, too.
func TestManyOpenFiles(t *testing.T) {
	needCaps(t, unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH)
	const count, most = 2000, 64
	eachWay(t, most, func(r *rig, _ bool) {
		var files []*file
		for i := range count {
			name := fmt.Sprint("f", i)
			f := r.root.clone(threadOf(r.c))
			_, err := f.Create(r.c, names(name)[0], unix.O_RDWR|unix.O_TRUNC|excl, 0o400, 0)
			r.must(err)
			r.write(f, 0, name)
			files = append(files, f)
			if i%100 == 0 {
				r.must(r.root.UnlinkAt(r.c, names(name)[0], 0))
			}
		}
		if n := r.fs.Stats().Descriptors.Used; n > most+1 {
			r.Errorf("%d descriptors", n)
		}
		for i, f := range files {
			name := fmt.Sprint("f", i)
			if got := r.read(f, 0, 10); got != name {
				r.Fatalf("file %d: read %q", i, got)
			}
			r.write(f, uint64(len(name)), "!")
			if got := r.read(f, 0, 10); got != name+"!" {
				r.Fatalf("file %d: read %q", i, got)
			}
			r.must(f.Sync(r.c, true))
		}
		for _, f := range files {
			f.Close(nil)
		}
	})
}

// A directory is read on where it was left, an appended file at its end, and O_TRUNC
// counts once.
func TestColdOpenFile(t *testing.T) {
	needCaps(t, unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH)
	r := newRig(t)
	chill := func(f *file) {
		for f.open.desc.has() {
			if !r.fs.evict(r.fs.thread(r.c)) {
				t.Fatal("keeps its descriptor")
			}
		}
	}
	r.mkdir("d")
	want := map[string]bool{".": true, "..": true}
	for i := range 300 {
		name := fmt.Sprint("entry", i)
		r.put("d/"+name, "")
		want[name] = true
	}
	d := r.open(unix.O_RDONLY, "d")
	for off, buf := uint64(0), make([]byte, 1000); ; {
		w := ninep.NewDirWriter(buf)
		r.must(d.ReadDir(r.c, off, w))
		data := w.Bytes()
		if len(data) == 0 {
			break
		}
		for len(data) > 0 {
			var e entry
			data, _ = ninep.ParseDirEntry(data, &e)
			if !want[string(e.Name)] {
				t.Fatalf("%q is there twice, or should not be", e.Name)
			}
			delete(want, string(e.Name))
			off = e.Offset
		}
		chill(d)
	}
	if len(want) > 0 {
		t.Errorf("%d entries are missing", len(want))
	}
	// The present descriptor has only been asked what comes after the end.
	if n := len(r.list(d, 1000)); n != 302 {
		t.Errorf("from the beginning again: %d entries, want 302", n)
	}

	r.put("log", "to be cut off")
	f := r.open(unix.O_WRONLY|unix.O_APPEND|unix.O_TRUNC, "log")
	for range 3 {
		r.write(f, 0, "line ")
		chill(f)
	}
	if got, _ := os.ReadFile(r.path("log")); string(got) != "line line line " {
		t.Errorf("log is %q", got)
	}
	// Whatever becomes of its mode, as with every open file.
	r.must(os.Chmod(r.path("log"), 0))
	r.must(os.Chmod(r.dir, 0))
	r.write(f, 0, "end")
	r.must(f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetSize, Size: 4}))
	chill(f)
	r.must(f.Sync(r.c, false))
	if got, _ := os.ReadFile(r.path("log")); string(got) != "line" {
		t.Errorf("log is %q", got)
	}
}

// Directories that can be found by their names only, one in the other, are brought back
// from the top.
func TestColdPath(t *testing.T) {
	const depth = 300
	eachWay(t, 40, func(r *rig, _ bool) {
		var chain []*file
		at := r.root
		for range depth {
			_, err := at.Mkdir(r.c, names("d")[0], 0o755, 0)
			r.must(err)
			next, _, err := r.walkFrom(at, "d")
			r.must(err)
			chain = append(chain, next)
			at = next
		}
		r.chill(chain...)
		_, err := at.Mkdir(r.c, names("end")[0], 0o755, 0)
		r.must(err)
		for i := len(chain) - 1; i >= 0; i-- {
			r.chill(chain...)
			f, _, err := r.walkFrom(chain[i], "d")
			if (err == nil) != (i < depth-1) {
				r.Errorf("%d: %v", i, err)
			}
			if err == nil {
				f.Close(nil)
			}
			if i > 10 && i < depth-10 {
				i -= 50
			}
		}
		for _, f := range chain {
			f.Close(nil)
		}
	})
}
