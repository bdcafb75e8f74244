// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"bytes"
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// operations are what is done, each as often as the others. An operation returns what
// differs.
var operations = []func(m *mirror) error{
	(*mirror).walk, (*mirror).walk, (*mirror).walk, (*mirror).clone, (*mirror).clunk,
	(*mirror).open, (*mirror).open, (*mirror).create, (*mirror).create, (*mirror).create,
	(*mirror).read, (*mirror).write, (*mirror).write, (*mirror).readDir,
	(*mirror).chmod, (*mirror).truncate, (*mirror).setTimes, (*mirror).chown,
	(*mirror).mkdir, (*mirror).mknod, (*mirror).symlink, (*mirror).link, (*mirror).readlink,
	(*mirror).rename, (*mirror).rename, (*mirror).unlink, (*mirror).unlink,
	(*mirror).setXattr, (*mirror).getXattr, (*mirror).removeXattr, (*mirror).fsync,
}

func (m *mirror) walk() error {
	p, name := m.directory(), m.name()
	m.doing("walk %d %.10q", p.fid, name)
	fd, want := unix.Openat(p.path, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	fid, got := m.c.WalkTo(p.fid, name)
	if err := m.same(got, want); err != nil || want != nil {
		return err
	}
	added, err := m.add(fid, fd)
	if err != nil {
		return err
	}
	return m.compare(added)
}

func (m *mirror) clone() error {
	p := m.any()
	m.doing("clone %d", p.fid)
	fid, err := m.c.WalkTo(p.fid)
	if err := m.same(err, nil); err != nil {
		return err
	}
	fd, err := unix.FcntlInt(uintptr(p.path), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	added, err := m.add(fid, fd)
	if err != nil {
		return err
	}
	return m.compare(added)
}

func (m *mirror) clunk() error {
	if len(m.pairs) < 4 {
		return nil
	}
	i := 1 + m.rng.IntN(len(m.pairs)-1)
	m.doing("clunk %d", m.pairs[i].fid)
	return m.same(m.drop(i), nil)
}

// access returns flags of open.
func (m *mirror) access() int {
	flags := []int{unix.O_RDONLY, unix.O_WRONLY, unix.O_RDWR, unix.O_RDWR, unix.O_WRONLY | unix.O_APPEND}[m.rng.IntN(5)]
	if m.rng.IntN(6) == 0 && flags != unix.O_RDONLY {
		flags |= unix.O_TRUNC
	}
	return flags
}

// reopen opens what a descriptor is, as hostfs does: no special files.
func reopen(path, flags int) (int, error) {
	var st unix.Stat_t
	if err := unix.Fstat(path, &st); err != nil {
		return -1, err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFDIR:
		return unix.Open(proc(path), flags|unix.O_CLOEXEC, 0)
	case unix.S_IFLNK:
		return -1, unix.ELOOP
	}
	return -1, unix.ENXIO
}

func (m *mirror) open() error {
	p, flags := m.any(), m.access()
	if p.fd >= 0 || p == m.pairs[0] {
		return nil
	}
	m.doing("open %d %#o", p.fid, flags)
	fd, want := reopen(p.path, flags)
	_, _, got := m.c.Lopen(p.fid, uint32(flags))
	if err := m.same(got, want); err != nil || want != nil {
		return err
	}
	p.fd = fd
	return m.compare(p)
}

func (m *mirror) create() error {
	p, name, flags := m.directory(), m.name(), m.access()|unix.O_CREAT
	if m.rng.IntN(3) == 0 {
		flags |= unix.O_EXCL
	}
	mode := uint32([]int{0o644, 0o600, 0o755, 0o4755, 0o444}[m.rng.IntN(5)])
	m.doing("create %d %.10q %#o %#o", p.fid, name, flags, mode)
	fid, err := m.c.WalkTo(p.fid)
	if err != nil {
		return m.same(err, nil)
	}
	fd, want := create(p, name, flags, mode)
	_, got := m.c.Lcreate(fid, name, uint32(flags), mode, uint32(os.Getgid()))
	if err := m.same(got, want); err != nil {
		return err
	}
	if want != nil {
		return m.c.Clunk(fid)
	}
	path, err := unix.Open(proc(fd), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	added, err := m.add(fid, path)
	if err != nil {
		return err
	}
	added.fd = fd
	return m.compare(added)
}

// create makes a file, or opens it as hostfs does.
func create(dir *pair, name string, flags int, mode uint32) (int, error) {
	var st unix.Stat_t
	if flags&unix.O_EXCL == 0 && unix.Fstatat(dir.path, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
		path, err := unix.Openat(dir.path, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, err
		}
		defer unix.Close(path)
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			return -1, unix.EISDIR
		}
		return reopen(path, flags&^unix.O_CREAT)
	}
	return unix.Openat(dir.path, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
}

func (m *mirror) read() error {
	p := m.opened()
	if p == nil || p.dir {
		return nil
	}
	off, size := m.rng.IntN(6000), 1+m.rng.IntN(6000)
	m.doing("read %d at %d, %d", p.fid, off, size)
	buf := make([]byte, size)
	n, want := unix.Pread(p.fd, buf, int64(off))
	data, got := m.c.Read(p.fid, uint64(off), uint32(size))
	if err := m.same(got, want); err != nil || want != nil {
		return err
	}
	if !bytes.Equal(data, buf[:n]) {
		return m.differ("content", data, buf[:n])
	}
	return nil
}

func (m *mirror) write() error {
	p := m.opened()
	if p == nil || p.dir {
		return nil
	}
	off, data := m.rng.IntN(5000), bytes.Repeat([]byte{byte('A' + m.rng.IntN(26))}, 1+m.rng.IntN(100))
	m.doing("write %d at %d, %d", p.fid, off, len(data))
	n, want := unix.Pwrite(p.fd, data, int64(off))
	k, got := m.c.Write(p.fid, uint64(off), data)
	if err := m.same(got, want); err != nil || want != nil {
		return err
	}
	if k != n {
		return m.differ("written", k, n)
	}
	return m.compare(p)
}

func (m *mirror) readDir() error {
	if p := m.opened(); p != nil && p.dir {
		return m.list(p)
	}
	return nil
}

func (m *mirror) chmod() error {
	p, mode := m.any(), uint32([]int{0o644, 0o600, 0o755, 0o6755, 0o2755, 0o1777, 0o400, 0o2644}[m.rng.IntN(8)])
	if p.dir {
		mode |= 0o700 // without root, what is below must be reached
	}
	m.doing("chmod %d %#o", p.fid, mode)
	want := unix.Chmod(proc(p.path), mode)
	got := m.c.Setattr(p.fid, ninep.SetAttr{Valid: ninep.SetMode, Mode: mode})
	if err := m.same(got, want); err != nil {
		return err
	}
	return m.compare(p)
}

func (m *mirror) truncate() error {
	p, size := m.any(), m.rng.IntN(9000)
	m.doing("truncate %d to %d", p.fid, size)
	var st unix.Stat_t
	if err := unix.Fstat(p.path, &st); err != nil {
		return err
	}
	var want error
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFDIR:
		if p.writable() { // which needs no permission any more
			want = unix.Ftruncate(p.fd, int64(size))
		} else {
			want = unix.Truncate(proc(p.path), int64(size))
		}
	default:
		want = unix.EINVAL
	}
	got := m.c.Setattr(p.fid, ninep.SetAttr{Valid: ninep.SetSize, Size: uint64(size)})
	if err := m.same(got, want); err != nil {
		return err
	}
	return m.compare(p)
}

func (m *mirror) setTimes() error {
	p := m.any()
	at, mt := ninep.Time{Sec: m.rng.Int64N(1 << 31), Nsec: 4}, ninep.Time{Sec: m.rng.Int64N(1 << 31), Nsec: 999_999_999}
	m.doing("set times of %d", p.fid)
	got := m.c.Setattr(p.fid, ninep.SetAttr{
		Valid: ninep.SetATime | ninep.SetATimeSet | ninep.SetMTime | ninep.SetMTimeSet, ATime: at, MTime: mt,
	})
	want := unix.UtimesNanoAt(unix.AT_FDCWD, proc(p.path), []unix.Timespec{{Sec: at.Sec, Nsec: int64(at.Nsec)}, {Sec: mt.Sec, Nsec: int64(mt.Nsec)}}, 0)
	if err := m.same(got, want); err != nil || want != nil {
		return err
	}
	a, err := m.c.Getattr(p.fid, ninep.AttrBasic)
	if err != nil || a.ATime != at || a.MTime != mt {
		return m.differ("times", []any{a.ATime, a.MTime, err}, []any{at, mt})
	}
	return nil
}

func (m *mirror) chown() error {
	p, uid, gid := m.any(), os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = m.rng.IntN(3)*1000, m.rng.IntN(3)*1000
	}
	m.doing("chown %d %d:%d", p.fid, uid, gid)
	want := unix.Chown(proc(p.path), uid, gid)
	got := m.c.Setattr(p.fid, ninep.SetAttr{Valid: ninep.SetUID | ninep.SetGID, UID: uint32(uid), GID: uint32(gid)})
	if err := m.same(got, want); err != nil {
		return err
	}
	return m.compare(p)
}

func (m *mirror) mkdir() error {
	p, name := m.directory(), m.name()
	mode := uint32([]int{0o755, 0o700, 0o1777, 0o2755}[m.rng.IntN(4)])
	m.doing("mkdir %d %.10q %#o", p.fid, name, mode)
	_, got := m.c.Mkdir(p.fid, name, mode, uint32(os.Getgid()))
	want := unix.Mkdirat(p.path, name, mode&^unix.S_ISGID)
	if err := m.same(got, want); err != nil || want != nil {
		return err
	}
	if mode&unix.S_ISGID != 0 { // which mkdir(2) leaves out
		fd, err := unix.Openat(p.path, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Chmod(proc(fd), mode)
	}
	return nil
}

func (m *mirror) mknod() error {
	p, name := m.directory(), m.name()
	mode := []uint32{unix.S_IFIFO, unix.S_IFSOCK, unix.S_IFREG}[m.rng.IntN(3)] | 0o640
	m.doing("mknod %d %.10q %#o", p.fid, name, mode)
	_, got := m.c.Mknod(p.fid, name, mode, 0, 0, uint32(os.Getgid()))
	return m.same(got, unix.Mknodat(p.path, name, mode, 0))
}

func (m *mirror) symlink() error {
	p, name, target := m.directory(), m.name(), m.name()
	m.doing("symlink %d %.10q to %.10q", p.fid, name, target)
	_, got := m.c.Symlink(p.fid, name, target, uint32(os.Getgid()))
	return m.same(got, unix.Symlinkat(target, p.path, name))
}

func (m *mirror) link() error {
	p, dir, name := m.any(), m.directory(), m.name()
	m.doing("link %d to %d %.10q", p.fid, dir.fid, name)
	got := m.c.Link(dir.fid, p.fid, name)
	return m.same(got, unix.Linkat(unix.AT_FDCWD, proc(p.path), dir.path, name, unix.AT_SYMLINK_FOLLOW))

}

func (m *mirror) readlink() error {
	p := m.any()
	m.doing("readlink %d", p.fid)
	buf := make([]byte, 4096)
	n, want := unix.Readlinkat(p.path, "", buf)
	if errors.Is(want, unix.ENOENT) {
		want = unix.EINVAL // not a symlink: what readlink(2) says of a name
	}
	target, got := m.c.Readlink(p.fid)
	if err := m.same(got, want); err != nil || want != nil {
		return err
	}
	if target != string(buf[:n]) {
		return m.differ("target", target, string(buf[:n]))
	}
	return nil
}

func (m *mirror) rename() error {
	p, from, q, to := m.directory(), m.name(), m.directory(), m.name()
	m.doing("rename %d %.10q to %d %.10q", p.fid, from, q.fid, to)
	got := m.c.Renameat(p.fid, from, q.fid, to)
	return m.same(got, unix.Renameat(p.path, from, q.path, to))
}

func (m *mirror) unlink() error {
	p, name, flags := m.directory(), m.name(), m.rng.IntN(2)*unix.AT_REMOVEDIR
	m.doing("unlink %d %.10q %#x", p.fid, name, flags)
	got := m.c.Unlinkat(p.fid, name, uint32(flags))
	return m.same(got, unix.Unlinkat(p.path, name, flags))
}

// attributed returns what can have extended attributes. Models keep symlinks and special
// files in regular ones, which can.
func (m *mirror) attributed() *pair {
	for p := m.any(); ; p = m.any() {
		var st unix.Stat_t
		if err := unix.Fstat(p.path, &st); err != nil || !m.mapped {
			return p
		}
		if typ := st.Mode & unix.S_IFMT; typ == unix.S_IFREG || typ == unix.S_IFDIR {
			return p // as the first one is
		}
	}
}

func (m *mirror) xattr() string { return []string{"user.a", "user.b", "user.c"}[m.rng.IntN(3)] }

func (m *mirror) setXattr() error {
	p, name, flags := m.attributed(), m.xattr(), []int{0, unix.XATTR_CREATE, unix.XATTR_REPLACE}[m.rng.IntN(3)]
	value := bytes.Repeat([]byte{'v'}, 1+m.rng.IntN(300)) // an empty one removes
	m.doing("setxattr %d %s %d %d", p.fid, name, len(value), flags)
	got := m.c.SetXattr(p.fid, name, value, uint32(flags))
	return m.same(got, unix.Setxattr(proc(p.path), name, value, flags))
}

func (m *mirror) getXattr() error {
	p, name := m.attributed(), m.xattr()
	m.doing("getxattr %d %s", p.fid, name)
	buf := make([]byte, 1000)
	n, want := unix.Getxattr(proc(p.path), name, buf)
	value, got := m.c.GetXattr(p.fid, name)
	if err := m.same(got, want); err != nil || want != nil {
		return err
	}
	if !bytes.Equal(value, buf[:n]) {
		return m.differ("value", value, buf[:n])
	}
	return nil
}

func (m *mirror) removeXattr() error {
	p, name := m.attributed(), m.xattr()
	m.doing("removexattr %d %s", p.fid, name)
	got := m.c.RemoveXattr(p.fid, name)
	return m.same(got, unix.Removexattr(proc(p.path), name))
}

func (m *mirror) fsync() error {
	p := m.opened()
	if p == nil {
		return nil
	}
	m.doing("fsync %d", p.fid)
	return m.same(m.c.Fsync(p.fid, m.rng.IntN(2) == 0), unix.Fdatasync(p.fd))
}
