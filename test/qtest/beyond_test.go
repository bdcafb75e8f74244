// SPDX-License-Identifier: Apache-2.0

package qtest

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/test/rig"
)

// TestBeyond is of what QEMU has no tests of. Each looks at what the host sees of it;
// the suites of the packages go further into the protocol.
func TestBeyond(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		run  func(*machine)
	}{
		{"xattr", nil, xattr},
		{"rename", nil, rename},
		{"lock", nil, lock},
		{"mknod", nil, mknod},
		{"statfs", nil, statfs},
		{"fsync", nil, fsync},
		{"readonly", []string{"--readonly"}, readonly},
		{"remap", nil, remap},
		{"9P2000.u", nil, dialectU},
		{"9P2000", nil, dialectBase},
		{"attach", nil, attach},
		{"malformed", nil, malformed},
		{"reset", nil, reset},
		{"concurrency", nil, concurrency},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(attached(t, test.args...)) })
	}
}

func xattr(m *machine) {
	m.mkdir("d")
	fid := m.lcreate("d", "f")
	value := bytes.Repeat([]byte("value"), 500)
	m.ok(m.SetXattr(fid, "user.name", value, unix.XATTR_CREATE))
	m.ok(m.SetXattr(fid, "user.empty", nil, 0))
	m.want(m.SetXattr(fid, "user.name", value, unix.XATTR_CREATE), unix.EEXIST)
	buf := make([]byte, 4096)
	n, err := unix.Lgetxattr(m.path("d", "f"), "user.name", buf)
	m.ok(err)
	if !bytes.Equal(buf[:n], value) {
		m.t.Errorf("on the host the attribute has %d other bytes", n)
	}
	got, err := m.GetXattr(fid, "user.name")
	m.ok(err)
	if !bytes.Equal(got, value) {
		m.t.Errorf("the attribute has %d other bytes", len(got))
	}
	list, err := m.GetXattr(fid, "")
	m.ok(err)
	if !bytes.Contains(list, []byte("user.name\x00")) || !bytes.Contains(list, []byte("user.empty\x00")) {
		m.t.Errorf("the attributes are %q", list)
	}
	m.ok(m.RemoveXattr(fid, "user.name"))
	_, err = m.GetXattr(fid, "user.name")
	m.want(err, unix.ENODATA)
}

func rename(m *machine) {
	m.mkdir("a")
	m.mkdir("b")
	fid := m.lcreate("a", "f")
	ino := m.lstat("a", "f").Ino
	m.ok(m.Rename(fid, m.walk("b"), "g"))
	m.gone("a", "f")
	m.lcreate("b", "h")
	m.ok(m.Renameat(m.walk("b"), "g", m.walk("b"), "h"))
	m.gone("b", "g")
	if got := m.lstat("b", "h").Ino; got != ino {
		m.t.Errorf("the inode is %d, was %d", got, ino)
	}
	m.ok(m.Renameat(root, "b", m.walk("a"), "c"))
	// What was walked to before is the same file still.
	_, err := m.Write(fid, 0, []byte("content"))
	m.ok(err)
	if st := m.lstat("a", "c", "h"); st.Size != 7 {
		m.t.Errorf("the size is %d", st.Size)
	}
	m.want(m.Renameat(root, "a", m.walk("a", "c"), "x"), unix.EINVAL)
	m.want(m.Renameat(root, "nothing", root, "x"), unix.ENOENT)
	for _, name := range []string{".", ".."} {
		m.want(m.Renameat(root, name, root, "x"), unix.EISDIR)
	}
}

func lock(m *machine) {
	m.mkdir("d")
	fid := m.lcreate("d", "f")
	l := ninep.Lock{Type: ninep.LockWrite, Start: 10, Length: 10, ProcID: 1, ClientID: ninep.Name("guest")}
	status, err := m.Lock(fid, l)
	m.ok(err)
	fd, err := unix.Open(m.path("d", "f"), unix.O_RDWR|unix.O_CLOEXEC, 0)
	m.ok(err)
	defer unix.Close(fd)
	host := unix.Flock_t{Type: unix.F_WRLCK, Start: 15, Len: 1}
	err = unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &host)
	if status != ninep.LockSuccess || err != unix.EAGAIN {
		m.t.Errorf("status %v; on the host: %v", status, err)
	}
	l.ProcID = 2
	if status, err = m.Lock(fid, l); err != nil || status != ninep.LockBlocked {
		m.t.Errorf("another process: %v, %v", status, err)
	}
	got, err := m.Getlock(fid, l)
	m.ok(err)
	if got.Type != ninep.LockWrite || got.ProcID != 1 || got.Start != 10 || got.Length != 10 {
		m.t.Errorf("Rgetlock: %+v", got)
	}
	l.ProcID, l.Type = 1, ninep.LockUnlock
	_, err = m.Lock(fid, l)
	m.ok(err)
	m.ok(unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &host))
}

func mknod(m *machine) {
	rig.NeedRoot(m.t)
	for name, mode := range map[string]uint32{"null": unix.S_IFCHR, "disk": unix.S_IFBLK, "fifo": unix.S_IFIFO, "socket": unix.S_IFSOCK} {
		_, err := m.Mknod(root, name, mode|0o640, 1, 3, 0)
		m.ok(err)
		st := m.lstat(name)
		if st.Mode != mode|0o640 {
			m.t.Errorf("%s has the mode %o", name, st.Mode)
		}
		if device := mode == unix.S_IFCHR || mode == unix.S_IFBLK; device && st.Rdev != unix.Mkdev(1, 3) {
			m.t.Errorf("%s is the device %#x", name, st.Rdev)
		}
		_, _, err = m.Lopen(m.walk(name), unix.O_RDONLY)
		m.want(err, unix.ENXIO)
	}
}

func statfs(m *machine) {
	st, err := m.Statfs(root)
	m.ok(err)
	var host unix.Statfs_t
	m.ok(unix.Statfs(m.export, &host))
	size, want := st.Blocks*uint64(st.BSize), host.Blocks*uint64(host.Frsize)
	if size != want || uint64(st.NameLen) != uint64(host.Namelen) || st.Files != host.Files {
		m.t.Errorf("%+v; the host says %+v", st, host)
	}
	// QEMU has to open the file for it, which not every one can be.
	_, err = m.Symlink(root, "l", "nowhere", 0)
	m.ok(err)
	_, err = m.Statfs(m.walk("l"))
	m.ok(err)
}

func fsync(m *machine) {
	m.mkdir("d")
	fid := m.lcreate("d", "f")
	m.ok(m.WriteAll(fid, 0, []byte("data")))
	m.ok(m.Fsync(fid, true))
	m.ok(m.Fsync(fid, false))
	dir := m.walk("d")
	_, _, err := m.Lopen(dir, unix.O_DIRECTORY)
	m.ok(err)
	m.ok(m.Fsync(dir, false))
	m.want(m.Fsync(m.walk("d", "f"), false), unix.EINVAL) // not open
	m.want(m.Fsync(77, false), unix.EBADF)
	// Without the second field, as the first description of the message had it.
	reply, err := m.Raw([]byte{11, 0, 0, 0, 50, 1, 0, byte(fid), byte(fid >> 8), 0, 0}, 100)
	m.ok(err)
	_, err = ninep.ParseMessage(reply, &ninep.Rfsync{})
	m.ok(err)
}

func readonly(m *machine) {
	m.ok(os.WriteFile(m.path("f"), []byte("data"), 0o644))
	_, err := m.Lcreate(m.walk(), "g", unix.O_RDWR, 0o644, 0)
	m.want(err, unix.EROFS)
	_, err = m.Mkdir(root, "d", 0o755, 0)
	m.want(err, unix.EROFS)
	for _, flags := range []uint32{unix.O_WRONLY, unix.O_RDWR, unix.O_TRUNC} {
		_, _, err = m.Lopen(m.walk("f"), flags)
		m.want(err, unix.EROFS)
	}
	m.want(m.Unlinkat(root, "f", 0), unix.EROFS)
	m.want(m.Setattr(m.walk("f"), ninep.SetAttr{Valid: ninep.SetMode}), unix.EROFS)
	m.want(m.SetXattr(m.walk("f"), "user.x", []byte("x"), 0), unix.EROFS)
	fid := m.walk("f")
	_, _, err = m.Lopen(fid, unix.O_RDONLY)
	m.ok(err)
	data, err := m.ReadAll(fid)
	m.ok(err)
	if string(data) != "data" || len(hostNames(m)) != 1 {
		m.t.Errorf("the content is %q, the folder has %q", data, hostNames(m))
	}
}

func hostNames(m *machine) (names []string) {
	m.t.Helper()
	list, err := os.ReadDir(m.export)
	m.ok(err)
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// remap is of files of two file systems that have the same inode number.
func remap(m *machine) {
	rig.NeedRoot(m.t)
	seen := map[uint64]string{}
	for _, name := range []string{"one", "two"} {
		m.ok(os.Mkdir(m.path(name), 0o755))
		m.ok(unix.Mount("tmpfs", m.path(name), "tmpfs", 0, "size=1m"))
		m.t.Cleanup(func() { _ = unix.Unmount(m.path(name), unix.MNT_DETACH) })
		m.ok(os.WriteFile(m.path(name, "f"), nil, 0o644))
		a, err := m.Getattr(m.walk(name, "f"), ninep.AttrBasic)
		m.ok(err)
		if other, ok := seen[a.QID.Path]; ok {
			m.t.Errorf("%s has the QID of %s", name, other)
		}
		seen[a.QID.Path] = name
		// The listing of the directory above says the same of the mount points.
		b, err := m.Getattr(m.walk(name), ninep.AttrBasic)
		m.ok(err)
		dir := m.walk()
		_, _, err = m.Lopen(dir, unix.O_DIRECTORY)
		m.ok(err)
		list, err := m.ReadAllDir(dir, msize-11)
		m.ok(err)
		m.ok(m.Clunk(dir))
		for _, e := range list {
			if string(e.Name) == name && e.QID.Path != b.QID.Path {
				m.t.Errorf("%s is listed with the QID %v, and has %v", name, e.QID, b.QID)
			}
		}
	}
	if one, two := m.lstat("one", "f"), m.lstat("two", "f"); one.Ino != two.Ino {
		m.t.Logf("the inode numbers differ: %d and %d", one.Ino, two.Ino)
	}
}

func dialectU(m *machine) {
	m.attach(ninep.Dialect2000U)
	fid := m.walk()
	_, err := m.Create(fid, "f", 0o640, ninep.ORdWr, "")
	m.ok(err)
	m.ok(m.WriteAll(fid, 0, []byte("content")))
	link := m.walk()
	_, err = m.Create(link, "l", ninep.DMSymlink|0o777, ninep.ORead, "f")
	m.ok(err)
	hard := m.walk()
	_, err = m.Create(hard, "h", ninep.DMLink, ninep.ORead, fmt.Sprint(fid))
	m.ok(err)
	m.ok(m.Wstat(fid, func(st *ninep.Stat) { st.Name, st.Mode, st.MTime = ninep.Name("g"), 0o600, 1e9 }))
	st := m.lstat("g")
	if st.Mode != unix.S_IFREG|0o600 || st.Size != 7 || st.Mtim.Sec != 1e9 || st.Nlink != 2 {
		m.t.Errorf("on the host: mode %o, %d bytes, time %d, %d links", st.Mode, st.Size, st.Mtim.Sec, st.Nlink)
	}
	if target, err := os.Readlink(m.path("l")); err != nil || target != "f" {
		m.t.Errorf("the symlink leads to %q, %v", target, err)
	}
	dir := m.walk()
	_, err = m.Open(dir, ninep.ORead)
	m.ok(err)
	list, err := m.ReadAllStats(dir, 300)
	m.ok(err)
	if len(list) != 5 {
		m.t.Errorf("%d entries", len(list))
	}
	_, err = m.Getattr(root, ninep.AttrBasic)
	m.want(err, unix.EOPNOTSUPP)
	m.ok(m.Remove(hard))
	m.gone("h")
}

func dialectBase(m *machine) {
	m.attach(ninep.Dialect2000)
	fid := m.walk()
	_, err := m.Create(fid, "d", ninep.DMDir|0o755, ninep.ORead, "")
	m.ok(err)
	file := m.walk("d")
	_, err = m.Create(file, "f", 0o666, ninep.OWrite|ninep.ORClose, "")
	m.ok(err)
	if st := m.lstat("d", "f"); st.Mode != unix.S_IFREG|0o644 {
		m.t.Errorf("the file has the mode %o", st.Mode)
	}
	st, err := m.Stat(file)
	m.ok(err)
	if string(st.UID) != fmt.Sprint(os.Getuid()) || string(st.Name) != "f" {
		m.t.Errorf("%+v", st)
	}
	m.ok(m.Clunk(file))
	m.gone("d", "f")
}

func attach(m *machine) {
	m.mkdir("d")
	m.ok(os.Symlink("/", m.path("out")))
	for i, aname := range []string{"d", "/d", "d/"} {
		q, err := m.Attach(uint32(10+i), 0, aname)
		m.ok(err)
		qids, err := m.Walk(uint32(10+i), m.NewFID(), "..", "..")
		m.ok(err)
		if qids[1] != q {
			m.t.Errorf("%q: above %v is %v", aname, q, qids)
		}
	}
	for aname, want := range map[string]unix.Errno{"..": unix.ENOENT, "out": unix.ENOTDIR, "out/etc": unix.ENOTDIR, long(256): unix.ENAMETOOLONG} {
		_, err := m.Attach(20, 0, aname)
		m.want(err, want)
	}
	_, err := m.Attach(root, 0, "")
	m.want(err, unix.EINVAL)
}

// malformed sends what breaks QEMU's device until the guest resets it.
func malformed(m *machine) {
	for what, req := range map[string][]byte{
		"a type that there is not": {7, 0, 0, 0, 99, 1, 0},
		"half a header":            {7, 0, 0},
		"half a message":           {11, 0, 0, 0, 120, 1, 0, 0},
		"fields left out":          {7, 0, 0, 0, 120, 1, 0},
		"a size of 0":              {0, 0, 0, 0, 120, 1, 0, 0, 0, 0, 0},
		"a size of 4 GiB":          {0xff, 0xff, 0xff, 0xff, 120, 1, 0, 0, 0, 0, 0},
		"a name of 64 KiB":         {19, 0, 0, 0, 110, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0xff, 0xff},
		"65535 names":              {17, 0, 0, 0, 110, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff},
	} {
		reply, err := m.Raw(req, 100)
		m.ok(err)
		if len(reply) < 7 || ninep.MsgType(reply[4]) != ninep.MsgRlerror {
			m.t.Errorf("%s: % x", what, reply)
		}
		reply, err = m.Raw(req, 5) // no room for an error
		m.ok(err)
		if len(reply) != 0 {
			m.t.Errorf("%s, without room: % x", what, reply)
		}
		_, err = m.Getattr(root, ninep.AttrBasic)
		m.ok(err)
	}
}

// reset is of fids and locks when the guest starts anew.
func reset(m *machine) {
	m.mkdir("d")
	fid := m.lcreate("d", "f")
	_, err := m.Lock(fid, ninep.Lock{Type: ninep.LockWrite, ProcID: 1, ClientID: ninep.Name("guest")})
	m.ok(err)
	for _, again := range []func(){
		func() { m.attach(ninep.Dialect2000L) },
		func() {
			m.ok(m.fe.Reboot())
			m.attach(ninep.Dialect2000L)
		},
	} {
		again()
		_, err = m.Getattr(fid, ninep.AttrBasic)
		m.want(err, unix.EBADF)
		fd, err := unix.Open(m.path("d", "f"), unix.O_RDWR|unix.O_CLOEXEC, 0)
		m.ok(err)
		m.ok(unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}))
		m.ok(unix.Close(fd))
		fid = m.walk("d", "f")
		_, _, err = m.Lopen(fid, unix.O_RDWR)
		m.ok(err)
		_, err = m.Lock(fid, ninep.Lock{Type: ninep.LockWrite, ProcID: 1, ClientID: ninep.Name("guest")})
		m.ok(err)
	}
}

// concurrency has many requests under way while the host changes what they are about.
func concurrency(m *machine) {
	m.mkdir("d")
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() { // the host renames what the guest walks to
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.WriteFile(m.path("d", "f"), []byte(fmt.Sprint(i)), 0o644)
			_ = os.Rename(m.path("d", "f"), m.path("d", "g"))
		}
	})
	end := time.Now().Add(500 * time.Millisecond)
	for n := 0; time.Now().Before(end); n++ {
		var under []interface{ Wait(ninep.Message) error }
		for i := range uint32(8) {
			q, err := m.Start(&ninep.Twalk{FID: root, NewFID: 500 + i, Names: []ninep.Name{ninep.Name("d"), ninep.Name("g")}})
			m.ok(err)
			under = append(under, q)
		}
		for i, q := range under {
			r := ninep.Rwalk{QIDs: make([]ninep.QID, 0, 2)}
			m.ok(q.Wait(&r))
			if len(r.QIDs) == 2 {
				if _, err := m.Getattr(uint32(500+i), ninep.AttrBasic); err != nil {
					m.t.Fatal(err)
				}
				m.ok(m.Clunk(uint32(500 + i)))
			}
		}
	}
	close(stop)
	wg.Wait()
}
