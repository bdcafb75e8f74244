// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// mappedModels are those whose files are the daemon's own.
var mappedModels = []Model{MappedXattr, MappedFile}

// eachMapped runs a test with each of them.
func eachMapped(t *testing.T, run func(t *testing.T, r *mappedRig)) {
	for _, model := range mappedModels {
		t.Run(model.String(), func(t *testing.T) { run(t, newMappedRig(t, Config{Model: model})) })
	}
}

// mappedRig is a rig of a mapped model, with the methods that tests of it need.
type mappedRig struct {
	*rig
	top *mapped
}

func newMappedRig(t *testing.T, cfg Config) *mappedRig {
	t.Helper()
	r := newRigAt(t, t.TempDir(), cfg)
	return r.mapped()
}

// mapped turns the rig's root to what a guest has of it.
func (r *rig) mapped() *mappedRig {
	r.Helper()
	f, _, err := r.fs.Attach(r.c, nil)
	r.must(err)
	r.Cleanup(func() { f.Close(nil) })
	return &mappedRig{r, f.(*mapped)}
}

func (r *mappedRig) walk(elem ...string) (*mapped, ninep.QID) {
	r.Helper()
	qids := make([]ninep.QID, len(elem)+1)
	f, _, err := r.top.Walk(r.c, names(elem...), qids)
	r.must(err)
	r.Cleanup(func() { f.Close(nil) })
	return f.(*mapped), qids[max(0, len(elem)-1)]
}

func (r *mappedRig) attr(f *mapped) ninep.Attr {
	r.Helper()
	var a ninep.Attr
	r.must(f.GetAttr(r.c, ninep.AttrBasic, &a))
	return a
}

// create makes a file as a user.
func (r *mappedRig) create(name string, uid, gid, mode uint32, data string) *mapped {
	r.Helper()
	f, _ := r.walk()
	r.c.UID = uid
	_, err := f.Create(r.c, ninep.Name(name), unix.O_RDWR|lExcl, mode, gid)
	r.c.UID = 0
	r.must(err)
	if data != "" {
		r.write(f.file, 0, data)
	}
	return f
}

// fill makes one file of each kind, as users of the guest.
func (r *mappedRig) fill() {
	r.Helper()
	r.create("file", 1000, 2000, 0o4640, "content")
	r.c.UID = 1001
	_, err := r.top.Mkdir(r.c, ninep.Name("dir"), 0o2751, 2001)
	r.must(err)
	_, err = r.top.Symlink(r.c, ninep.Name("link"), ninep.Name("to/the target"), 2002)
	r.must(err)
	_, err = r.top.Mknod(r.c, ninep.Name("chr"), unix.S_IFCHR|0o620, 0xabc, 0x12345, 2003)
	r.must(err)
	_, err = r.top.Mknod(r.c, ninep.Name("blk"), unix.S_IFBLK|0o600, 8, 1, 2003)
	r.must(err)
	_, err = r.top.Mknod(r.c, ninep.Name("fifo"), unix.S_IFIFO|0o644, 0, 0, 2004)
	r.must(err)
	_, err = r.top.Mknod(r.c, ninep.Name("sock"), unix.S_IFSOCK|0o755, 0, 0, 2005)
	r.must(err)
	r.c.UID = 0
}

// seen is what a guest sees of what fill made.
var seen = map[string]ninep.Attr{
	"file": {Mode: unix.S_IFREG | 0o4640, UID: 1000, GID: 2000, Size: 7},
	"dir":  {Mode: unix.S_IFDIR | 0o2751, UID: 1001, GID: 2001},
	"link": {Mode: unix.S_IFLNK | 0o777, UID: 1001, GID: 2002, Size: 13},
	"chr":  {Mode: unix.S_IFCHR | 0o620, UID: 1001, GID: 2003, RDev: ninep.EncodeDev(0xabc, 0x12345)},
	"blk":  {Mode: unix.S_IFBLK | 0o600, UID: 1001, GID: 2003, RDev: ninep.EncodeDev(8, 1)},
	"fifo": {Mode: unix.S_IFIFO | 0o644, UID: 1001, GID: 2004},
	"sock": {Mode: unix.S_IFSOCK | 0o755, UID: 1001, GID: 2005},
}

// check compares what a guest sees.
func (r *mappedRig) check(want map[string]ninep.Attr) {
	r.Helper()
	for name, w := range want {
		f, q := r.walk(name)
		a := r.attr(f)
		if w.Mode&unix.S_IFMT == unix.S_IFDIR {
			a.Size = 0 // the file system's affair
		}
		if a.Mode != w.Mode || a.UID != w.UID || a.GID != w.GID || a.RDev != w.RDev || a.Size != w.Size {
			r.Errorf("%s: mode %o, owner %d:%d, device %#x, size %d; want %o, %d:%d, %#x, %d", name,
				a.Mode, a.UID, a.GID, a.RDev, a.Size, w.Mode, w.UID, w.GID, w.RDev, w.Size)
		}
		if q != a.QID || q.Type != qidType(uint16(w.Mode)) {
			r.Errorf("%s: walk says %+v, getattr %+v", name, q, a.QID)
		}
	}
}

func TestMappedFiles(t *testing.T) {
	eachMapped(t, func(t *testing.T, r *mappedRig) {
		r.fill()
		r.check(seen)
		// On the host they are the daemon's own.
		for name, mode := range map[string]uint32{
			"file": unix.S_IFREG | 0o600, "dir": unix.S_IFDIR | 0o700, "link": unix.S_IFREG | 0o600,
			"chr": unix.S_IFREG | 0o600, "fifo": unix.S_IFREG | 0o600, "sock": unix.S_IFREG | 0o600,
		} {
			var st unix.Stat_t
			r.must(unix.Lstat(r.path(name), &st))
			if st.Mode != mode || st.Uid != uint32(os.Geteuid()) || st.Gid != uint32(os.Getegid()) {
				t.Errorf("%s: mode %o, owner %d:%d", name, st.Mode, st.Uid, st.Gid)
			}
		}
		if content, err := os.ReadFile(r.path("link")); err != nil || string(content) != "to/the target" {
			t.Errorf("link: %q, %v", content, err)
		}
		link, _ := r.walk("link")
		buf := make([]byte, unix.PathMax)
		if n, err := link.ReadLink(r.c, buf); err != nil || string(buf[:n]) != "to/the target" {
			t.Errorf("readlink: %q, %v", buf[:n], err)
		}
		_, err := link.ReadLink(r.c, buf[:12])
		r.want(err, unix.ERANGE)
		for name, want := range map[string]unix.Errno{"link": unix.ELOOP, "chr": unix.ENXIO, "blk": unix.ENXIO, "fifo": unix.ENXIO, "sock": unix.ENXIO} {
			f, _ := r.walk(name)
			_, err := f.Open(r.c, unix.O_RDWR)
			r.want(err, want)
			r.want(f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetSize}), unix.EINVAL)
			if name != "link" {
				_, err = f.ReadLink(r.c, buf)
				r.want(err, unix.EINVAL)
			}
			// And not by creating it either.
			top, _ := r.walk()
			_, err = top.Create(r.c, ninep.Name(name), unix.O_RDWR, 0o644, 0)
			r.want(err, want)
		}
		dir, _ := r.walk()
		_, err = dir.Open(r.c, unix.O_RDONLY)
		r.must(err)
		for _, ent := range r.list(dir.file, 4096) {
			name := string(ent.Name)
			if want := uint8(seen[name].Mode >> 12); ent.Type != unix.DT_UNKNOWN && ent.Type != want && name[0] != '.' {
				t.Errorf("the directory says that %s is %d", name, ent.Type)
			}
		}
	})
}

func TestMappedChanges(t *testing.T) {
	eachMapped(t, func(t *testing.T, r *mappedRig) {
		r.fill()
		var before unix.Stat_t
		r.must(unix.Lstat(r.path("file"), &before))
		for name, want := range seen {
			f, _ := r.walk(name)
			set := ninep.SetAttr{Valid: ninep.SetUID | ninep.SetGID, UID: 5, GID: 6}
			want.UID, want.GID, want.Mode = 5, 6, withoutSetIDs(want.Mode)
			r.must(f.SetAttr(r.c, &set))
			r.check(map[string]ninep.Attr{name: want})
			set = ninep.SetAttr{Valid: ninep.SetMode, Mode: 0o7123}
			if name == "link" {
				r.want(f.SetAttr(r.c, &set), unix.EOPNOTSUPP)
				continue
			}
			r.must(f.SetAttr(r.c, &set))
			want.Mode = want.Mode&unix.S_IFMT | 0o7123
			r.check(map[string]ninep.Attr{name: want})
		}
		var after unix.Stat_t
		r.must(unix.Lstat(r.path("file"), &after))
		if before.Mode != after.Mode || before.Uid != after.Uid || before.Gid != after.Gid {
			t.Errorf("the host's file was %+v and is %+v", before, after)
		}
	})
}

// Neither the guest's mode nor the host's keeps the guest from a file.
func TestMappedModeIsTheGuests(t *testing.T) {
	eachMapped(t, func(t *testing.T, r *mappedRig) {
		r.create("f", 1000, 1000, 0, "content")
		f, _ := r.walk("f")
		_, err := f.Open(r.c, unix.O_RDWR)
		r.must(err)
		if got := r.read(f.file, 0, 10); got != "content" {
			t.Errorf("read %q", got)
		}
		// Nor does what a new file is opened for.
		for flags, want := range map[uint32]error{unix.O_RDONLY: unix.EBADF, unix.O_WRONLY: nil, unix.O_RDWR: nil} {
			top, _ := r.walk()
			_, err := top.Create(r.c, ninep.Name("new"), flags, 0o644, 0)
			r.must(err)
			if _, err := top.Write(r.c, vec([]byte("x"), 1), 0); err != want && (err != nil || want != nil) {
				t.Errorf("flags %o: write: %v", flags, err)
			}
			if _, err := top.Read(r.c, vec(make([]byte, 1), 1), 0); (err == nil) != (flags != unix.O_WRONLY) {
				t.Errorf("flags %o: read: %v", flags, err)
			}
			r.must(os.Remove(r.path("new")))
		}
	})
}

func TestMappedSetIDs(t *testing.T) {
	eachMapped(t, func(t *testing.T, r *mappedRig) {
		f := r.create("f", 1000, 1000, 0o755, "content")
		mode := func(m uint32) { r.must(f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetMode, Mode: m})) }
		for name, change := range map[string]func() error{
			"write": func() error { _, err := f.Write(r.c, vec([]byte("x"), 1), 0); return err },
			"size":  func() error { return f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetSize, Size: 3}) },
			"truncating open": func() error {
				g, _ := r.walk("f")
				_, err := g.Open(r.c, unix.O_WRONLY|lTrunc)
				return err
			},
		} {
			for uid, modes := range map[uint32]map[uint32]uint32{
				0:    {0o6777: 0o6777, 0o4700: 0o4700},
				1000: {0o6777: 0o777, 0o6767: 0o2767, 0o4700: 0o700, 0o1644: 0o1644},
			} {
				for before, after := range modes {
					mode(before)
					r.c.UID = uid
					r.must(change())
					r.c.UID = 0
					if got := r.attr(f).Mode & 0o7777; got != after {
						t.Errorf("%s by %d: mode %o becomes %o, not %o", name, uid, before, got, after)
					}
				}
			}
		}
		// A size that comes with a mode leaves that.
		r.c.UID = 1000
		r.must(f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetSize | ninep.SetMode, Mode: 0o4711}))
		if got := r.attr(f).Mode & 0o7777; got != 0o4711 {
			t.Errorf("mode %o", got)
		}
	})
}

// What the guest makes in a set-group-id directory has its group.
func TestMappedGroupOfDirectory(t *testing.T) {
	eachMapped(t, func(t *testing.T, r *mappedRig) {
		r.must(r.top.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetGID | ninep.SetMode, GID: 77, Mode: 0o2777}))
		f := r.create("f", 1000, 1000, 0o644, "")
		if a := r.attr(f); a.UID != 1000 || a.GID != 77 || a.Mode != unix.S_IFREG|0o644 {
			t.Errorf("file: %d:%d, mode %o", a.UID, a.GID, a.Mode)
		}
		_, err := r.top.Mkdir(r.c, ninep.Name("d"), 0o755, 1000)
		r.must(err)
		d, _ := r.walk("d")
		if a := r.attr(d); a.GID != 77 || a.Mode != unix.S_IFDIR|0o2755 {
			t.Errorf("directory: group %d, mode %o", a.GID, a.Mode)
		}
	})
}

// What was made on the host is shown as it is.
func TestMappedHostFiles(t *testing.T) {
	eachMapped(t, func(t *testing.T, r *mappedRig) {
		r.put("plain", "text")
		r.must(os.Symlink("plain", r.path("link")))
		r.must(unix.Mkfifo(r.path("fifo"), 0o640))
		uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
		want := map[string]ninep.Attr{
			"plain": {Mode: unix.S_IFREG | 0o644, UID: uid, GID: gid, Size: 4},
			"link":  {Mode: unix.S_IFLNK | 0o777, UID: uid, GID: gid, Size: 5},
			"fifo":  {Mode: unix.S_IFIFO | 0o640, UID: uid, GID: gid},
		}
		if os.Geteuid() == 0 {
			r.must(unix.Mknod(r.path("null"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
			r.must(os.Chown(r.path("plain"), 12, 34))
			want["null"] = ninep.Attr{Mode: unix.S_IFCHR | 0o600, RDev: ninep.EncodeDev(1, 3)}
			want["plain"] = ninep.Attr{Mode: unix.S_IFREG | 0o644, UID: 12, GID: 34, Size: 4}
		}
		r.check(want)
		link, _ := r.walk("link")
		buf := make([]byte, unix.PathMax)
		if n, err := link.ReadLink(r.c, buf); err != nil || string(buf[:n]) != "plain" {
			t.Errorf("readlink: %q, %v", buf[:n], err)
		}
		plain, _ := r.walk("plain")
		_, err := plain.ReadLink(r.c, buf)
		r.want(err, unix.EINVAL)
		fifo, _ := r.walk("fifo")
		_, err = fifo.Open(r.c, unix.O_RDONLY)
		r.want(err, unix.ENXIO)
		// A change of the mode leaves the owner the host's.
		r.must(plain.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetMode, Mode: 0o600}))
		want["plain"] = ninep.Attr{Mode: unix.S_IFREG | 0o600, UID: want["plain"].UID, GID: want["plain"].GID, Size: 4}
		r.check(want)
		if info, err := os.Lstat(r.path("plain")); err != nil || info.Mode() != 0o644 {
			t.Errorf("on the host: %v, %v", info.Mode(), err)
		}
	})
}

// A target cannot be longer than any, and a link is what metadata says it is.
func TestMappedLinkTargets(t *testing.T) {
	eachMapped(t, func(t *testing.T, r *mappedRig) {
		_, err := r.top.Symlink(r.c, ninep.Name("l"), bytes.Repeat([]byte{'x'}, unix.PathMax), 0)
		r.want(err, unix.ENAMETOOLONG)
		long := strings.Repeat("x", unix.PathMax-1)
		_, err = r.top.Symlink(r.c, ninep.Name("l"), ninep.Name(long), 0)
		r.must(err)
		l, _ := r.walk("l")
		buf := make([]byte, 1<<20)
		if n, err := l.ReadLink(r.c, buf); err != nil || string(buf[:n]) != long {
			t.Errorf("%d bytes, %v", n, err)
		}
		r.must(os.Truncate(r.path("l"), 1<<40))
		if n, err := l.ReadLink(r.c, buf); err != nil || string(buf[:n]) != long { // ended by the NUL
			t.Errorf("%d bytes, %v", n, err)
		}
		r.must(os.WriteFile(r.path("l"), bytes.Repeat([]byte{'y'}, 10000), 0))
		_, err = l.ReadLink(r.c, buf)
		r.want(err, unix.ENAMETOOLONG)
	})
}

// A failed creation leaves nothing behind.
func TestMappedFailedCreation(t *testing.T) {
	eachMapped(t, func(t *testing.T, r *mappedRig) {
		r.create("f", 1, 1, 0o600, "old")
		for name, make := range map[string]func(name ninep.Name) error{
			"create": func(n ninep.Name) error {
				f, _ := r.walk()
				_, err := f.Create(r.c, n, unix.O_RDWR|lExcl, 0o644, 9)
				return err
			},
			"mkdir":   func(n ninep.Name) error { _, err := r.top.Mkdir(r.c, n, 0o755, 9); return err },
			"mknod":   func(n ninep.Name) error { _, err := r.top.Mknod(r.c, n, unix.S_IFIFO|0o644, 0, 0, 9); return err },
			"symlink": func(n ninep.Name) error { _, err := r.top.Symlink(r.c, n, n, 9); return err },
		} {
			if err := make(ninep.Name("f")); err != unix.EEXIST {
				t.Errorf("%s: %v", name, err)
			}
			if err := make(ninep.Name(strings.Repeat("n", 256))); err != unix.ENAMETOOLONG {
				t.Errorf("%s: %v", name, err)
			}
		}
		r.check(map[string]ninep.Attr{"f": {Mode: unix.S_IFREG | 0o600, UID: 1, GID: 1, Size: 3}})
		if left, err := os.ReadDir(r.dir); err != nil || len(left) > 2 {
			t.Errorf("left: %v, %v", left, err)
		}
	})
}

func TestMappedXattrs(t *testing.T) {
	eachMapped(t, func(t *testing.T, r *mappedRig) {
		f := r.create("f", 1000, 1000, 0o644, "")
		r.must(f.SetXattr(r.c, "user.a", []byte("1"), 0))
		r.must(f.SetXattr(r.c, "user.empty", nil, 0))
		r.want(f.SetXattr(r.c, "user.a", []byte("1"), unix.XATTR_CREATE), unix.EEXIST)
		r.want(f.SetXattr(r.c, "user.virtfs.uid", []byte("root"), 0), unix.EACCES)
		r.want(f.SetXattr(r.c, "user.virtfs.system.posix_acl_access", []byte("x"), 0), unix.EACCES)
		r.want(f.RemoveXattr(r.c, "user.virtfs.uid"), unix.EACCES)
		_, err := f.GetXattr(r.c, ninep.Name("user.virtfs.uid"))
		r.want(err, unix.ENODATA)
		for _, name := range []string{"security.capability", "trusted.a", "system.other", "other"} {
			r.want(f.SetXattr(r.c, name, []byte("x"), 0), unix.EOPNOTSUPP)
			r.want(f.RemoveXattr(r.c, name), unix.EOPNOTSUPP)
			_, err := f.GetXattr(r.c, ninep.Name(name))
			r.want(err, unix.EOPNOTSUPP)
		}
		r.want(f.SetXattr(r.c, "user.big", make([]byte, maxXattr+1), 0), unix.E2BIG)
		r.want(f.SetXattr(r.c, "user."+strings.Repeat("n", 255), nil, 0), unix.ERANGE)
		if list, err := f.ListXattr(r.c); err != nil || string(list) != "user.a\x00user.empty\x00" && string(list) != "user.empty\x00user.a\x00" {
			t.Errorf("list %q, %v", list, err)
		}
		r.must(f.RemoveXattr(r.c, "user.empty"))
		r.want(f.RemoveXattr(r.c, "user.empty"), unix.ENODATA)
	})
}

func TestMappedFilesThatLostTheirName(t *testing.T) {
	eachMapped(t, func(t *testing.T, r *mappedRig) {
		r.fill()
		for name, want := range seen {
			f, _ := r.walk(name)
			flags := uint32(0)
			if name == "dir" {
				flags = unix.AT_REMOVEDIR
			}
			r.must(r.top.UnlinkAt(r.c, ninep.Name(name), flags))
			r.must(f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetUID, UID: 99}))
			a := r.attr(f)
			if a.UID != 99 || a.GID != want.GID || a.Mode != withoutSetIDs(want.Mode) || a.RDev != want.RDev {
				t.Errorf("%s: mode %o, owner %d:%d", name, a.Mode, a.UID, a.GID)
			}
			if name == "file" {
				if _, err := f.Open(r.c, unix.O_RDONLY); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

// Some file systems make no file without a name.
func TestMappedNamedCreation(t *testing.T) {
	eachMapped(t, func(t *testing.T, r *mappedRig) {
		r.fs.noTmpFile.Store(true)
		r.fill()
		r.check(seen)
		_, err := r.top.Symlink(r.c, ninep.Name("link"), ninep.Name("other"), 0)
		r.want(err, unix.EEXIST)
		r.check(seen)
		if content, err := os.ReadFile(r.path("link")); err != nil || string(content) != "to/the target" {
			t.Errorf("link: %q, %v", content, err)
		}
	})
}

// Asking costs no memory.
func TestMappedNoAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("needs a build without the race detector, which makes pools forget")
	}
	eachMapped(t, func(t *testing.T, r *mappedRig) {
		f := r.create("f", 1000, 1000, 0o644, "content")
		var attr ninep.Attr
		elem, qids := names("f"), make([]ninep.QID, 1)
		iov := vec(make([]byte, 4), 4)
		for name, run := range map[string]func() error{
			"getattr": func() error { return f.GetAttr(r.c, ninep.AttrBasic, &attr) },
			"read":    func() error { _, err := f.Read(r.c, iov, 0); return err },
			"write":   func() error { r.c.UID = 1000; _, err := f.Write(r.c, iov, 0); return err },
			"walk": func() error {
				g, _, err := r.top.Walk(r.c, elem, qids)
				if err == nil {
					g.Close(nil)
				}
				return err
			},
		} {
			r.must(run())
			if n := testing.AllocsPerRun(200, func() { r.must(run()) }); n > 0 {
				t.Errorf("%s: %v allocations", name, n)
			}
		}
	})
}

// unprivilegedEnv tells the test binary that it runs as a user without capabilities.
const unprivilegedEnv = "HOSTFS_TEST_UNPRIVILEGED"

// TestMappedUnprivileged runs the tests of the mapped models, and the conformance suite on
// them, as a user without capabilities.
func TestMappedUnprivileged(t *testing.T) {
	if os.Getenv(unprivilegedEnv) != "" {
		t.Skip("is what runs")
	}
	needCaps(t, unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_CHOWN)
	dir, err := os.MkdirTemp("", "unprivileged")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	const id = 4321
	if err := os.Chown(dir, id, id); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run", "^TestMapped|^TestMeta|^TestConformance$/^mapped", "-test.skip", "NoAllocations")
	cmd.Env = append(os.Environ(), unprivilegedEnv+"=1", "TMPDIR="+dir)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}, Pdeathsig: unix.SIGKILL}
	runtime.LockOSThread() // the thread whose end Pdeathsig is about
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.HasPrefix(out, []byte("PASS")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// A directory that is gone takes nothing, and says so whatever the file system does
// (ext4: EPERM of O_TMPFILE).
func TestMakeInRemovedDirectory(t *testing.T) {
	for _, model := range []Model{Passthrough, MappedXattr, MappedFile} {
		r := newRigAt(t, t.TempDir(), Config{Model: model})
		r.mkdir("d")
		root, _, err := r.fs.Attach(r.c, nil)
		r.must(err)
		defer root.Close(nil)
		d, _, err := root.Walk(r.c, names("d"), make([]ninep.QID, 1))
		r.must(err)
		defer d.Close(nil)
		r.must(os.Remove(r.path("d")))
		name := ninep.Name("f")
		for what, run := range map[string]func() error{
			"create":  func() error { _, err := d.Create(r.c, name, unix.O_CREAT|unix.O_RDWR, 0o644, 0); return err },
			"mkdir":   func() error { _, err := d.Mkdir(r.c, name, 0o755, 0); return err },
			"fifo":    func() error { _, err := d.Mknod(r.c, name, unix.S_IFIFO|0o644, 0, 0, 0); return err },
			"symlink": func() error { _, err := d.Symlink(r.c, name, name, 0); return err },
		} {
			if err := run(); err != unix.ENOENT {
				t.Errorf("%s: %s: %v", model, what, err)
			}
		}
	}
}
