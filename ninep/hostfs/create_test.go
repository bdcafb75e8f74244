// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/test/leaks"
)

const excl = unix.O_RDWR | unix.O_CREAT | unix.O_EXCL

func TestCreate(t *testing.T) {
	r := newRig(t)
	f := r.walk()
	q, err := f.Create(r.c, ninep.Name("f"), excl, 0o4751, uint32(os.Getgid()))
	r.must(err)
	a := r.attr(f)
	if q != a.QID || a.Mode != unix.S_IFREG|0o4751 {
		t.Errorf("QID %+v, attributes %+v", q, a)
	}
	r.write(f, 0, "data")
	if g := r.walk("f"); g.n != f.n {
		t.Error("the name leads to another node")
	}
	_, err = r.walk().Create(r.c, ninep.Name("f"), excl, 0o644, 0)
	r.want(err, unix.EEXIST)

	// The fid means the file from now on.
	r.must(f.Rename(r.c, r.root, ninep.Name("g")))
	r.must(f.Remove(r.c))
	if _, err := os.Lstat(r.path("g")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// The node of a file that was just made is that file's, whatever has become of its name.
func TestCreatedFileLosesItsName(t *testing.T) {
	for what, change := range map[string]func(r *rig) error{
		"nothing":         func(*rig) error { return nil },
		"removed":         func(r *rig) error { return os.Remove(r.path("f")) },
		"renamed":         func(r *rig) error { return os.Rename(r.path("f"), r.path("g")) },
		"another file":    func(r *rig) error { return os.Rename(r.path("other"), r.path("f")) },
		"a symbolic link": func(r *rig) error { return errors.Join(os.Remove(r.path("f")), os.Symlink("other", r.path("f"))) },
		"a fifo":          func(r *rig) error { return errors.Join(os.Remove(r.path("f")), unix.Mkfifo(r.path("f"), 0o600)) },
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			r.put("other", "other")
			fd, err := unix.Open(r.path("f"), unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, 0o600)
			r.must(err)
			defer unix.Close(fd)
			var st unix.Stat_t
			r.must(unix.Fstat(fd, &st))
			r.must(change(r))
			th := r.fs.thread(r.c)
			n, e := r.fs.nodeOfOpen(th, int32(fd), r.root.n, []byte("f"))
			if e != 0 {
				t.Fatal(e)
			}
			defer r.fs.nodes.put(n)
			if n.ino != st.Ino || th.stx.Ino != st.Ino || n.typ != unix.S_IFREG {
				t.Errorf("node of inode %d, told of %d, not %d", n.ino, th.stx.Ino, st.Ino)
			}
			if e := n.statx(th, unix.STATX_INO); e != 0 || th.stx.Ino != st.Ino {
				t.Errorf("descriptor of inode %d, not %d: %v", th.stx.Ino, st.Ino, e)
			}
		})
	}
}

func TestCreateOpensWhatIsThere(t *testing.T) {
	r := newRig(t)
	r.put("f", "data")
	r.must(os.Chmod(r.path("f"), 0o600))
	r.mkdir("d")
	r.must(unix.Mkfifo(r.path("p"), 0o644))
	r.must(os.Symlink("new", r.path("l")))
	before := r.attr(r.walk("f")).QID.Path
	f := r.walk()
	q, err := f.Create(r.c, ninep.Name("f"), unix.O_RDWR|unix.O_CREAT, 0o777, 0)
	r.must(err)
	if got := r.read(f, 0, 10); got != "data" || q.Path != before || r.attr(f).Mode&0o777 != 0o600 {
		t.Errorf("read %q, QID %+v, %+v", got, q, r.attr(f))
	}
	f = r.walk()
	_, err = f.Create(r.c, ninep.Name("f"), unix.O_RDWR|unix.O_CREAT|0o1000, 0o777, 0)
	r.must(err)
	if a := r.attr(f); a.Size != 0 {
		t.Errorf("size is %d after O_TRUNC", a.Size)
	}
	for name, want := range map[string]unix.Errno{"d": unix.EISDIR, "p": unix.ENXIO, "l": unix.ELOOP} {
		_, err = r.walk().Create(r.c, ninep.Name(name), unix.O_RDWR|unix.O_CREAT, 0o777, 0)
		r.want(err, want)
		_, err = r.walk().Create(r.c, ninep.Name(name), excl, 0o777, 0)
		r.want(err, unix.EEXIST)
	}
	_, err = r.walk("p").Create(r.c, ninep.Name("x"), excl, 0o777, 0)
	r.want(err, unix.ENOTDIR)
	if _, err := os.Lstat(r.path("new")); err == nil {
		t.Error("created through a symlink")
	}
}

// Many create the same name at once: with O_EXCL one of them does, without it all
// get the same file. Another removes it all the time.
func TestCreateRaces(t *testing.T) {
	r := newRig(t)
	for round := range 100 {
		name := ninep.Name(fmt.Sprint("f", round))
		var wg sync.WaitGroup
		var mu sync.Mutex
		made := 0
		paths := map[uint64]bool{}
		for i := range 6 {
			wg.Go(func() {
				c := newCall()
				f := r.root.clone(threadOf(c))
				defer f.Close(c.Thread)
				if i < 3 {
					_, err := f.Create(c, name, excl, 0o644, 0)
					mu.Lock()
					defer mu.Unlock()
					switch err {
					case nil:
						made++
					case unix.EEXIST:
						return
					default:
						t.Error(err)
						return
					}
				} else if _, err := f.Create(c, name, unix.O_RDWR|unix.O_CREAT, 0o644, 0); err != nil {
					t.Error(err)
					return
				} else {
					mu.Lock()
					defer mu.Unlock()
				}
				var a ninep.Attr
				_ = f.GetAttr(c, ninep.AttrBasic, &a)
				paths[a.QID.Path] = true
			})
		}
		wg.Wait()
		if made > 1 || len(paths) != 1 {
			t.Fatalf("%d made the file, seen were %v", made, paths)
		}
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = os.Remove(r.path("x"))
			}
		}
	})
	for i := range 1000 {
		f := r.root.clone(threadOf(r.c))
		_, err := f.Create(r.c, ninep.Name("x"), unix.O_RDWR|unix.O_CREAT, 0o644, 0)
		if err != nil && err != unix.ENOENT {
			t.Error(err)
		}
		if err == nil {
			data := fmt.Sprint(i)
			r.write(f, 0, data)
			if got := r.read(f, 0, 10); got != data {
				t.Errorf("read %q, want %q", got, data)
			}
		}
		f.Close(nil)
	}
	close(stop)
	wg.Wait()
}

func TestOwners(t *testing.T) {
	needCaps(t, unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_MKNOD)
	r := newRig(t)
	r.must(os.Chmod(r.dir, 0o700)) // of no concern to others' creates
	r.c.UID = 1234
	const gid = 5678
	f := r.walk()
	_, err := f.Create(r.c, ninep.Name("file"), excl, 0o2755, gid)
	r.must(err)
	_, err = r.root.Mkdir(r.c, ninep.Name("dir"), 0o1755, gid)
	r.must(err)
	_, err = r.root.Symlink(r.c, ninep.Name("link"), ninep.Name("target"), gid)
	r.must(err)
	_, err = r.root.Mknod(r.c, ninep.Name("fifo"), unix.S_IFIFO|0o666, 0, 0, gid)
	r.must(err)
	_, err = r.root.Mknod(r.c, ninep.Name("dev"), unix.S_IFBLK|0o660, 259, 65537, gid)
	r.must(err)
	for name, mode := range map[string]uint32{
		"file": unix.S_IFREG | 0o2755, "dir": unix.S_IFDIR | 0o1755, "link": unix.S_IFLNK | 0o777,
		"fifo": unix.S_IFIFO | 0o666, "dev": unix.S_IFBLK | 0o660,
	} {
		if a := r.attr(r.walk(name)); a.UID != 1234 || a.GID != gid || a.Mode != mode {
			t.Errorf("%s: owner %d:%d, mode %o", name, a.UID, a.GID, a.Mode)
		}
	}
	if a := r.attr(r.walk("dev")); a.RDev != ninep.EncodeDev(259, 65537) {
		t.Errorf("device is %#x", a.RDev)
	}

	// The set-group-id bit of a directory goes to those in it.
	_, err = r.root.Mkdir(r.c, ninep.Name("sgid"), 0o2775, 42)
	r.must(err)
	if a := r.attr(r.walk("sgid")); a.Mode != unix.S_IFDIR|0o2775 || a.GID != 42 {
		t.Errorf("owner %d:%d, mode %o", a.UID, a.GID, a.Mode)
	}
	sgid := r.walk("sgid")
	_, err = sgid.Mkdir(r.c, ninep.Name("sub"), 0o755, 42)
	r.must(err)
	if a := r.attr(r.walk("sgid", "sub")); a.Mode != unix.S_IFDIR|0o2755 || a.GID != 42 {
		t.Errorf("owner %d:%d, mode %o", a.UID, a.GID, a.Mode)
	}

	// Nobody in particular is the daemon itself, which the thread is again now.
	r.c.UID = noID
	_, err = r.root.Mkdir(r.c, ninep.Name("own"), 0o755, noID)
	r.must(err)
	r.put("host", "")
	for _, name := range []string{"own", "host"} {
		if a := r.attr(r.walk(name)); a.UID != uint32(os.Geteuid()) || a.GID != uint32(os.Getegid()) {
			t.Errorf("%s: owner %d:%d", name, a.UID, a.GID)
		}
	}
}

func TestMkdirMknodSymlink(t *testing.T) {
	r := newRig(t)
	q, err := r.root.Mkdir(r.c, ninep.Name("d"), 0o751, 0)
	r.must(err)
	if a := r.attr(r.walk("d")); a.QID != q || a.Mode != unix.S_IFDIR|0o751 {
		t.Errorf("%+v, %+v", q, a)
	}
	q, err = r.root.Mknod(r.c, ninep.Name("s"), unix.S_IFSOCK|0o600, 0, 0, 0)
	r.must(err)
	if a := r.attr(r.walk("s")); a.QID != q || a.Mode != unix.S_IFSOCK|0o600 {
		t.Errorf("%+v, %+v", q, a)
	}
	q, err = r.root.Mknod(r.c, ninep.Name("r"), unix.S_IFREG|0o640, 9, 9, 0)
	r.must(err)
	if a := r.attr(r.walk("r")); a.QID != q || a.Mode != unix.S_IFREG|0o640 || a.RDev != 0 {
		t.Errorf("%+v, %+v", q, a)
	}
	for _, target := range []string{"x", "../../etc/passwd", "/abs", "\xff", strings.Repeat("t", 4095)} {
		q, err := r.root.Symlink(r.c, ninep.Name("l"), ninep.Name(target), 0)
		r.must(err)
		l := r.walk("l")
		if a := r.attr(l); a.QID != q || q.Type != ninep.QTSymlink {
			t.Errorf("%+v, %+v", q, a)
		}
		for _, size := range []int{4096, len(target), 8192} {
			buf := make([]byte, size)
			n, err := l.ReadLink(r.c, buf)
			if err != nil || string(buf[:n]) != target {
				t.Errorf("readlink: %q, %v", buf[:n], err)
			}
		}
		_, err = l.ReadLink(r.c, make([]byte, len(target)-1))
		r.want(err, unix.ERANGE)
		r.must(l.Remove(r.c))
	}
	_, err = r.root.Symlink(r.c, ninep.Name("l"), ninep.Name(strings.Repeat("t", 4096)), 0)
	r.want(err, unix.ENAMETOOLONG)
	_, err = r.walk("r").ReadLink(r.c, make([]byte, 100))
	r.want(err, unix.EINVAL)
	for _, name := range []string{"d", "r"} {
		_, err = r.root.Mkdir(r.c, ninep.Name(name), 0o755, 0)
		r.want(err, unix.EEXIST)
		_, err = r.root.Symlink(r.c, ninep.Name(name), ninep.Name("x"), 0)
		r.want(err, unix.EEXIST)
		_, err = r.root.Mknod(r.c, ninep.Name(name), unix.S_IFIFO|0o755, 0, 0, 0)
		r.want(err, unix.EEXIST)
	}
}

func TestLink(t *testing.T) {
	r := newRig(t)
	for _, byFD := range []bool{true, false} {
		if byFD && !r.fs.creds.linkByFD {
			continue
		}
		r.fs.creds.linkByFD = byFD
		r.put("f", "")
		r.must(os.Symlink("gone", r.path("l")))
		r.mkdir("d")
		for _, name := range []string{"f", "l"} {
			f := r.walk(name)
			r.must(r.walk("d").Link(r.c, f, ninep.Name(name+"2")))
			if g := r.walk("d", name+"2"); g.n != f.n || r.attr(f).NLink != 2 {
				t.Errorf("%s: not the same file", name)
			}
			r.want(r.root.Link(r.c, f, ninep.Name("d")), unix.EEXIST)
			r.must(os.Rename(r.path(name), r.path("moved"))) // not by name
			r.must(r.root.Link(r.c, f, ninep.Name(name)))
			r.must(os.Remove(r.path("moved")))
		}
		if err := r.root.Link(r.c, r.walk("d"), ninep.Name("d2")); err == nil {
			t.Error("linked a directory")
		}
		r.must(os.RemoveAll(r.path("d")))
		r.must(os.Remove(r.path("f")))
		r.must(os.Remove(r.path("l")))
	}
}

// Whoever runs out of descriptors is told that the system did. Files that have no name
// left need theirs.
func TestDescriptorsRunOut(t *testing.T) {
	r := newRig(t)
	for i := range 100 {
		r.put(fmt.Sprint("f", i), "")
	}
	var old unix.Rlimit
	r.must(unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	limit := old
	limit.Cur = uint64(len(leaks.Descriptors()) + 40)
	r.must(unix.Setrlimit(unix.RLIMIT_NOFILE, &limit))
	defer func() { r.must(unix.Setrlimit(unix.RLIMIT_NOFILE, &old)) }()
	var files []*file
	defer func() {
		for _, f := range files {
			f.Close(nil)
		}
	}()
	for i := range 100 {
		f, _, err := r.walkFrom(r.root, fmt.Sprint("f", i))
		if err == nil {
			files = append(files, f)
			r.must(os.Remove(r.path(fmt.Sprint("f", i))))
			continue
		}
		r.want(err, unix.ENFILE)
		break
	}
	if len(files) == 100 {
		t.Fatal("no end of descriptors")
	}
	_, err := files[0].Open(r.c, unix.O_RDONLY)
	r.want(err, unix.ENFILE)

	// One is enough to make a file, but not for the node: then there is no file.
	files[len(files)-1].Close(nil)
	files = files[:len(files)-1]
	f := r.root.clone(threadOf(r.c))
	files = append(files, f)
	_, err = f.Create(r.c, ninep.Name("new"), excl, 0o644, 0)
	r.want(err, unix.ENFILE)
	if _, _, err := r.walkFrom(r.root, "new"); err != unix.ENOENT {
		t.Errorf("walk to what was not created: %v", err)
	}
}
