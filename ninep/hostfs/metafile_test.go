// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// hostRecords are what fill leaves beside the files.
var hostRecords = map[string]string{
	"file": "virtfs.uid=1000\nvirtfs.gid=2000\nvirtfs.mode=35232\n",
	"dir":  "virtfs.uid=1001\nvirtfs.gid=2001\nvirtfs.mode=17897\n",
	"link": "virtfs.uid=1001\nvirtfs.gid=2002\nvirtfs.mode=41471\n",
	"chr":  "virtfs.uid=1001\nvirtfs.gid=2003\nvirtfs.mode=8592\nvirtfs.rdev=305839173\n",
	"blk":  "virtfs.uid=1001\nvirtfs.gid=2003\nvirtfs.mode=24960\nvirtfs.rdev=2049\n",
	"fifo": "virtfs.uid=1001\nvirtfs.gid=2004\nvirtfs.mode=4516\n",
	"sock": "virtfs.uid=1001\nvirtfs.gid=2005\nvirtfs.mode=49645\n",
}

const metaDirPath = ".virtfs_metadata"

// text returns the content of a file on the host, "" if there is none.
func (r *mappedRig) text(elem ...string) string {
	r.Helper()
	text, err := os.ReadFile(r.path(elem...))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.Fatal(err)
	}
	return string(text)
}

func (r *mappedRig) wantRecords(want map[string]string) {
	r.Helper()
	for name, w := range want {
		if got := r.text(metaDirPath, name); got != w {
			r.Errorf("%s: %q, want %q", name, got, w)
		}
	}
	left, err := os.ReadDir(r.path(metaDirPath))
	r.must(err)
	for _, ent := range left {
		if want[ent.Name()] == "" {
			r.Errorf("there is metadata of %s", ent.Name())
		}
	}
}

func TestMetaFileBytes(t *testing.T) {
	r := newMappedRig(t, Config{Model: MappedFile})
	r.fill()
	r.wantRecords(hostRecords)
	for path, mode := range map[string]os.FileMode{metaDirPath: os.ModeDir | 0o700, metaDirPath + "/file": 0o600} {
		if info, err := os.Lstat(r.path(path)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	r.must(r.top.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetUID | ninep.SetGID, UID: 7, GID: 0xfffffffe}))
	if got := r.text(".virtfs_metadata_root"); got != "virtfs.uid=7\nvirtfs.gid=-2\n" {
		t.Errorf("of the root: %q", got)
	}
	if a := r.attr(r.top); a.UID != 7 || a.GID != 0xfffffffe {
		t.Errorf("the root is %d:%d's", a.UID, a.GID)
	}
}

// TestMetaFileRead serves what another server wrote.
func TestMetaFileRead(t *testing.T) {
	r := newMappedRig(t, Config{Model: MappedFile})
	r.mkdir(metaDirPath)
	for name, text := range hostRecords {
		switch name {
		case "dir":
			r.mkdir(name)
		case "file":
			r.put(name, "content")
		case "link":
			r.put(name, "to/the target")
		default:
			r.put(name, "")
		}
		r.put(metaDirPath+"/"+name, text)
	}
	r.check(seen)

	own := metadata{}
	for text, want := range map[string]metadata{
		"": own,
		"virtfs.uid=1\n\n\nvirtfs.mode=33188\n\n":               {has: metaUID | metaMode, uid: 1, mode: 33188},
		"virtfs.uid=-1\nvirtfs.gid=x\nvirtfs.mode=\nvirtfs.rd=": own,
		"virtfs.gid=-2":  {has: metaGID, gid: 0xfffffffe},
		"virtfs.uid=1 2": own,
		"virtfs.uid=4294967294\nvirtfs.gid=4294967296\nvirtfs.rdev=-1\n": {has: metaUID | metaRDev, uid: 0xfffffffe, rdev: 0xffffffff},
		"virtfs.uid=99999999999999999999999999":                          own,
		"virtfs.uid=-2147483649":                                         own,
		strings.Repeat("\x00", 200):                                      own,
	} {
		if got := parseRecord([]byte(text)); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}

	// What is no file with metadata is none, and stops nobody.
	r.put("f", "")
	r.must(unix.Mkfifo(r.path(metaDirPath, "f"), 0o600))
	none := ninep.Attr{Mode: unix.S_IFREG | 0o644, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	r.check(map[string]ninep.Attr{"f": none})
	r.must(os.Remove(r.path(metaDirPath, "f")))
	r.put("elsewhere", hostRecords["chr"])
	r.must(os.Symlink("../elsewhere", r.path(metaDirPath, "f")))
	r.check(map[string]ninep.Attr{"f": none})
}

// The guest neither sees nor names what holds metadata.
func TestMetaFileIsHidden(t *testing.T) {
	r := newMappedRig(t, Config{Model: MappedFile})
	r.create("f", 1, 1, 0o644, "")
	_, err := r.top.Mkdir(r.c, ninep.Name("d"), 0o755, 0)
	r.must(err)
	r.must(r.top.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetUID, UID: 7}))
	f, _ := r.walk("f")
	for _, name := range []string{".virtfs_metadata", ".virtfs_metadata_root"} {
		n, qids := ninep.Name(name), make([]ninep.QID, 3)
		for _, path := range [][]string{{name}, {name, "f"}, {"d", name}} {
			_, i, err := r.top.Walk(r.c, names(path...), qids)
			r.want(err, unix.EINVAL)
			if i != len(path)-1 && path[i] != name {
				t.Errorf("%q: failed at %d", path, i)
			}
		}
		_, _, err := r.fs.Attach(r.c, n)
		r.want(err, unix.EINVAL)
		_, _, err = r.fs.Attach(r.c, ninep.Name("d/"+name))
		r.want(err, unix.EINVAL)
		g, _ := r.walk()
		_, err = g.Create(r.c, n, unix.O_RDWR, 0o644, 0)
		r.want(err, unix.EINVAL)
		_, err = r.top.Mkdir(r.c, n, 0o755, 0)
		r.want(err, unix.EINVAL)
		_, err = r.top.Mknod(r.c, n, unix.S_IFIFO|0o644, 0, 0, 0)
		r.want(err, unix.EINVAL)
		_, err = r.top.Symlink(r.c, n, ninep.Name("x"), 0)
		r.want(err, unix.EINVAL)
		r.want(r.top.Link(r.c, f, n), unix.EINVAL)
		r.want(r.top.RenameAt(r.c, n, r.top, ninep.Name("x")), unix.EINVAL)
		r.want(r.top.RenameAt(r.c, ninep.Name("f"), r.top, n), unix.EINVAL)
		h, _ := r.walk("f")
		r.want(h.Rename(r.c, r.top, n), unix.EINVAL)
		r.want(r.top.UnlinkAt(r.c, n, 0), unix.EINVAL)
		r.want(r.top.UnlinkAt(r.c, n, unix.AT_REMOVEDIR), unix.EINVAL)
	}
	top, _ := r.walk()
	_, err = top.Open(r.c, unix.O_RDONLY)
	r.must(err)
	for _, ent := range r.list(top.file, 4096) {
		if strings.HasPrefix(string(ent.Name), ".virtfs") {
			t.Errorf("%s is shown", ent.Name)
		}
	}
	// Nor is it counted.
	if a := r.attr(top); a.NLink != 3 {
		t.Errorf("the root has %d links", a.NLink)
	}
}

func TestMetaFileNames(t *testing.T) {
	r := newMappedRig(t, Config{Model: MappedFile})
	rename := func(from, to string) { r.must(r.top.RenameAt(r.c, ninep.Name(from), r.top, ninep.Name(to))) }
	own := func(name string, uid uint32) {
		f, _ := r.walk(strings.Split(name, "/")...)
		if a := r.attr(f); a.UID != uid {
			r.Helper()
			t.Errorf("%s belongs to %d, not %d", name, a.UID, uid)
		}
	}
	record := func(uid int) string { return fmt.Sprintf("virtfs.uid=%d\nvirtfs.gid=1\nvirtfs.mode=33188\n", uid) }
	a := r.create("a", 1, 1, 0o644, "")
	r.create("b", 2, 1, 0o644, "")
	rename("a", "c")
	r.wantRecords(map[string]string{"b": record(2), "c": record(1)})
	own("c", 1)
	if got := r.attr(a); got.UID != 1 { // by a fid with the old name
		t.Errorf("%d", got.UID)
	}
	r.must(a.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetUID, UID: 3}))
	own("c", 3)
	b, _ := r.walk("b")
	rename("c", "b") // over another
	r.wantRecords(map[string]string{"b": record(3)})
	own("b", 3)
	if got := r.attr(b); got.UID != 2 {
		t.Errorf("what was renamed over belongs to %d", got.UID)
	}
	// What has no metadata leaves that of what it replaces behind.
	r.put("host", "")
	rename("host", "b")
	own("b", uint32(os.Geteuid()))
	r.wantRecords(nil)

	// Other names of a file have the same metadata, whichever it is changed by.
	f := r.create("f", 5, 1, 0o644, "")
	_, err := r.top.Mkdir(r.c, ninep.Name("d"), 0o755, 9)
	r.must(err)
	d, _ := r.walk("d")
	r.must(d.Link(r.c, f, ninep.Name("g")))
	own("d/g", 5)
	g, _ := r.walk("d", "g")
	r.must(g.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetUID, UID: 123456}))
	own("f", 123456)
	r.must(f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetUID, UID: 6}))
	own("d/g", 6)
	if got := r.text("d", metaDirPath, "g"); got != record(6) {
		t.Errorf("%q", got)
	}
	r.want(d.Link(r.c, f, ninep.Name("g")), unix.EEXIST)
	r.must(r.top.RenameAt(r.c, ninep.Name("f"), d, ninep.Name("g"))) // which does nothing
	own("f", 6)
	r.must(r.top.UnlinkAt(r.c, ninep.Name("f"), 0))
	own("d/g", 6)
	if got := r.attr(f); got.UID != 6 || got.NLink != 1 { // by the name that has gone
		t.Errorf("%+v", got)
	}
	r.must(f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetUID, UID: 8}))
	own("d/g", 8)

	// To another directory, and back, by the file itself.
	g2, _ := r.walk("d", "g")
	r.must(g2.Rename(r.c, r.top, ninep.Name("top")))
	own("top", 8)
	own("d", 0)
	r.must(g2.Rename(r.c, d, ninep.Name("g")))
	own("d/g", 8)
	r.want(r.top.UnlinkAt(r.c, ninep.Name("d"), unix.AT_REMOVEDIR), unix.ENOTEMPTY)
	own("d/g", 8)
	r.must(g2.Remove(r.c))
	r.must(r.top.UnlinkAt(r.c, ninep.Name("d"), unix.AT_REMOVEDIR))
	r.wantRecords(nil)
}

// Metadata of files that have gone from the host keeps no directory from going, and is
// not taken for that of new ones.
func TestMetaFileLeftBehind(t *testing.T) {
	r := newMappedRig(t, Config{Model: MappedFile})
	for _, name := range []string{"d", "e", "over"} {
		_, err := r.top.Mkdir(r.c, ninep.Name(name), 0o755, 0)
		r.must(err)
		r.mkdir(name + "/" + metaDirPath)
		for i := range 300 {
			r.put(fmt.Sprint(name, "/", metaDirPath, "/gone", i), hostRecords["chr"])
		}
		r.put(name+"/"+metaDirPath+"/"+metaDirPath, "half written")
	}
	d, _ := r.walk("d")
	_, err := d.Symlink(r.c, ninep.Name("gone7"), ninep.Name("target"), 3)
	r.must(err)
	l, _ := r.walk("d", "gone7")
	if a := r.attr(l); a.Mode != unix.S_IFLNK|0o777 || a.GID != 3 || a.RDev != 0 {
		t.Errorf("%+v", a)
	}
	r.must(d.UnlinkAt(r.c, ninep.Name("gone7"), 0))
	r.must(r.top.UnlinkAt(r.c, ninep.Name("d"), unix.AT_REMOVEDIR))
	r.must(r.top.RenameAt(r.c, ninep.Name("e"), r.top, ninep.Name("over")))
	if _, err := os.Lstat(r.path("e")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	// What is really there does.
	over, _ := r.walk("over")
	_, err = over.Mkdir(r.c, ninep.Name("x"), 0o755, 0)
	r.must(err)
	r.want(r.top.UnlinkAt(r.c, ninep.Name("over"), unix.AT_REMOVEDIR), unix.ENOTEMPTY)
	if got := r.text("over", metaDirPath, "x"); got == "" {
		t.Error("its metadata has gone")
	}
}

// The version and the change time move with the metadata, which is not in the inode.
func TestMetaFileVersion(t *testing.T) {
	eachMapped(t, func(t *testing.T, r *mappedRig) {
		f := r.create("f", 1, 1, 0o644, "x")
		seen := map[uint32]bool{}
		before := r.attr(f)
		for uid := range uint32(4) {
			time.Sleep(25 * time.Millisecond)
			r.must(f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetUID, UID: uid + 10}))
			time.Sleep(25 * time.Millisecond)
			now := r.attr(f)
			_, q := r.walk("f")
			if seen[now.QID.Version] || now.QID.Version == 0 || q != now.QID {
				t.Errorf("version %d after change %d, %d by a walk", now.QID.Version, uid, q.Version)
			}
			seen[now.QID.Version] = true
			if now.CTime == before.CTime || now.CTime.Sec < before.CTime.Sec || now.MTime != before.MTime {
				t.Errorf("changed at %v, then at %v", before.CTime, now.CTime)
			}
			before = now
		}
		if again := r.attr(f); again.QID != before.QID {
			t.Error("the version changes by itself")
		}
		g, _ := r.walk("f")
		if q, err := g.Open(r.c, unix.O_RDONLY); err != nil || q != before.QID {
			t.Errorf("open says %+v, getattr %+v (%v)", q, before.QID, err)
		}
	})
}

// TestMetaFileCrash kills a process that changes metadata, and looks at what it left.
func TestMetaFileCrash(t *testing.T) {
	if dir := os.Getenv("HOSTFS_TEST_CHMOD"); dir != "" {
		r := newRigAt(t, dir, Config{Model: MappedFile}).mapped()
		one, _ := r.walk("one")
		two, _ := r.walk("two")
		fmt.Println("ready")
		for i := uint32(0); ; i++ {
			for _, f := range []*mapped{one, two} {
				id := uint32(1)
				if i%2 == 1 {
					id = 100_000_000
				}
				r.must(f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetUID | ninep.SetGID, UID: id, GID: id}))
			}
		}
	}
	r := newMappedRig(t, Config{Model: MappedFile})
	r.create("one", 1, 1, 0o644, "")
	two := r.create("two", 1, 1, 0o644, "")
	r.must(r.top.Link(r.c, two, ninep.Name("three"))) // is overwritten, and not replaced
	for i := range 30 {
		cmd := exec.Command("/proc/self/exe", "-test.run", "^TestMetaFileCrash$")
		cmd.Env = append(os.Environ(), "HOSTFS_TEST_CHMOD="+r.dir)
		out, err := cmd.StdoutPipe()
		r.must(err)
		r.must(cmd.Start())
		_, err = out.Read(make([]byte, 6))
		r.must(err)
		time.Sleep(time.Duration(i*137) * time.Microsecond)
		r.must(cmd.Process.Kill())
		_ = cmd.Wait()
		for _, name := range []string{"one", "two", "three"} {
			f, _ := r.walk(name)
			a := r.attr(f)
			if a.UID != a.GID || a.UID != 1 && a.UID != 100_000_000 || a.Mode != unix.S_IFREG|0o644 {
				t.Fatalf("%s: %d:%d, mode %o: %q", name, a.UID, a.GID, a.Mode, r.text(metaDirPath, name))
			}
		}
	}
	// What the crashes left is in nobody's way.
	for _, name := range []string{"one", "two", "three"} {
		f, _ := r.walk(name)
		r.must(f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetUID, UID: 5}))
		r.must(r.top.UnlinkAt(r.c, ninep.Name(name), 0))
	}
	r.wantRecords(nil)
}

// A shorter text over a longer one: what a crash between the two system calls leaves says
// the same as what is there in the end.
func TestMetaFileOverwrite(t *testing.T) {
	r := newMappedRig(t, Config{Model: MappedFile})
	f := r.create("f", 1_000_000_000, 1_000_000_000, 0o644, "")
	r.must(r.top.Link(r.c, f, ninep.Name("g")))
	var before, after unix.Stat_t
	r.must(unix.Stat(r.path(metaDirPath, "f"), &before))
	r.must(f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetUID | ninep.SetGID, UID: 1, GID: 2}))
	r.must(unix.Stat(r.path(metaDirPath, "f"), &after))
	const want = "virtfs.uid=1\nvirtfs.gid=2\nvirtfs.mode=33188\n"
	if before.Ino != after.Ino || after.Nlink != 2 || r.text(metaDirPath, "g") != want {
		t.Errorf("%+v, %q", after, r.text(metaDirPath, "g"))
	}
	for _, old := range []string{"", want, hostRecords["chr"], "virtfs.uid=1000000000\nvirtfs.gid=1000000000\nvirtfs.mode=33188\nvirtfs.rdev=7\n"} {
		left := []byte(old)
		text := blankTo([]byte(want), len(old))
		left = append(left, text[min(len(left), len(text)):]...)
		copy(left, text)
		if got, want := parseRecord(left), parseRecord([]byte(want)); got != want {
			t.Errorf("over %q: %q, which is %+v, not %+v", old, left, got, want)
		}
	}
}

// What another server has changed last is what a file has that loses its name.
func TestMetaFileKept(t *testing.T) {
	r := newMappedRig(t, Config{Model: MappedFile})
	other := newRigAt(t, r.dir, Config{Model: MappedFile}).mapped()
	for name, lose := range map[string]func() error{
		"removed": func() error { return r.top.UnlinkAt(r.c, ninep.Name("f"), 0) },
		"renamed over": func() error {
			r.create("g", 9, 9, 0o644, "")
			return r.top.RenameAt(r.c, ninep.Name("g"), r.top, ninep.Name("f"))
		},
	} {
		f := r.create("f", 1, 1, 0o644, "")
		g, _ := other.walk("f")
		r.must(g.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetUID, UID: 2}))
		r.must(lose())
		if a := r.attr(f); a.UID != 2 {
			t.Errorf("%s: belongs to %d", name, a.UID)
		}
		_ = r.top.UnlinkAt(r.c, ninep.Name("f"), 0) // what took its place
	}
}

// Whoever looks while names change sees a file with its own metadata.
func TestMetaFileReaders(t *testing.T) {
	r := newMappedRig(t, Config{Model: MappedFile})
	_, err := r.top.Symlink(r.c, ninep.Name("a"), ninep.Name("target"), 1000)
	r.must(err)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			c, looked := newCall(), 0
			for {
				select {
				case <-done:
					if looked == 0 {
						t.Error("nobody has seen anything")
					}
					return
				default:
				}
				qids := make([]ninep.QID, 1)
				f, _, err := r.top.Walk(c, names("a"), qids)
				if err == unix.ENOENT {
					continue
				}
				var a ninep.Attr
				if err == nil {
					err = f.GetAttr(c, ninep.AttrBasic, &a)
					f.Close(nil)
				}
				if err != nil || qids[0].Type != ninep.QTSymlink || a.Mode != unix.S_IFLNK|0o777 || a.GID != 1000 {
					t.Errorf("%+v, mode %o, group %d, %v", qids[0], a.Mode, a.GID, err)
				}
				looked++
			}
		})
	}
	for range 2000 {
		r.must(r.top.RenameAt(r.c, ninep.Name("a"), r.top, ninep.Name("b")))
		r.must(r.top.RenameAt(r.c, ninep.Name("b"), r.top, ninep.Name("a")))
	}
	close(done)
	wg.Wait()
}

// A file that could not be made has no metadata.
func TestMetaFileNotMade(t *testing.T) {
	r := newUnprivilegedRig(t, Config{Model: MappedFile}, func(string) {}).mapped()
	_, err := r.top.Mkdir(r.c, ninep.Name("d"), 0o755, 0)
	r.must(err)
	d, _ := r.walk("d")
	_, err = d.Mkdir(r.c, ninep.Name("x"), 0o755, 0)
	r.must(err)
	r.must(os.Chmod(r.path("d"), 0o500)) // on the host
	_, err = d.Symlink(r.c, ninep.Name("new"), ninep.Name("x"), 0)
	r.want(err, unix.EACCES)
	_, err = d.Mkdir(r.c, ninep.Name("newdir"), 0o755, 0)
	r.want(err, unix.EACCES)
	left, err := os.ReadDir(r.path("d", metaDirPath))
	if err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
	r.must(os.Chmod(r.path("d"), 0o700))
}

// TestMetaFileTogether changes names and metadata from many threads, by two servers of the
// same export, and looks whether each file has its own metadata in the end.
func TestMetaFileTogether(t *testing.T) {
	rigs := []*mappedRig{newMappedRig(t, Config{Model: MappedFile})}
	rigs = append(rigs, newRigAt(t, rigs[0].dir, Config{Model: MappedFile}).mapped())
	_, err := rigs[0].top.Mkdir(rigs[0].c, ninep.Name("d"), 0o755, 0)
	rigs[0].must(err)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			r := rigs[w%2]
			c := newCall()
			c.UID = uint32(1000 + w)
			top, _, err := r.top.Walk(c, nil, nil)
			if err != nil {
				t.Error(err)
				return
			}
			defer top.Close(nil)
			qids := make([]ninep.QID, 1)
			d, _, err := top.Walk(c, names("d"), qids)
			if err != nil {
				t.Error(err)
				return
			}
			defer d.Close(nil)
			// What a name had before does not matter, and others take names away.
			fine := func(err error) {
				switch err {
				case nil, unix.ENOENT, unix.EEXIST, unix.ESTALE:
				default:
					t.Error(err)
				}
			}
			for i := range 300 {
				name, other := ninep.Name(fmt.Sprint("f", i%5)), ninep.Name(fmt.Sprint("f", (i+w)%5))
				switch (i + w) % 4 {
				case 0:
					_, err := top.Symlink(c, name, ninep.Name("target"), c.UID)
					fine(err)
				case 1:
					fine(top.RenameAt(c, name, d, other))
				case 2:
					fine(d.UnlinkAt(c, name, 0))
				case 3:
					fine(d.RenameAt(c, other, top, name))
				}
			}
		})
	}
	wg.Wait()
	r := rigs[0]
	for _, dir := range []string{"", "d"} {
		files, err := os.ReadDir(r.path(dir))
		r.must(err)
		records, err := os.ReadDir(r.path(dir, metaDirPath))
		r.must(err)
		have := map[string]bool{}
		for _, ent := range files {
			if !strings.HasPrefix(ent.Name(), "f") {
				continue
			}
			have[ent.Name()] = true
			path := names(ent.Name())
			if dir != "" {
				path = names(dir, ent.Name())
			}
			f, _, err := r.top.Walk(r.c, path, make([]ninep.QID, 2))
			r.must(err)
			if a := r.attr(f.(*mapped)); a.UID < 1000 || a.UID != a.GID || a.Mode != unix.S_IFLNK|0o777 {
				t.Errorf("%s/%s: %d:%d, mode %o", dir, ent.Name(), a.UID, a.GID, a.Mode)
			}
			f.Close(nil)
		}
		for _, ent := range records {
			if name := ent.Name(); strings.HasPrefix(name, "f") && !have[name] {
				t.Errorf("%s has metadata of %s and no such file", dir, name)
			}
		}
	}
}
