// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// makes tries what makes files: open, mkdir, mknod, mkfifo, symlink, bind.
func makes(t *T) {
	for _, k := range kinds {
		t.group(k.name, func(t *T) { makeModes(t, k) })
		t.group(k.name+" in a set-group-ID folder", func(t *T) { makeInGroup(t, k) })
		for _, existing := range kinds {
			t.group(k.name+" over a "+existing.name, func(t *T) {
				t.a(existing, t.path("f"), t.alice, 0o755)
				t.refuses("is refused", unix.EEXIST, func() unix.Errno { return k.create(t.root, t.path("f"), 0o600) }, t.path("f"), t.dir)
				t.is("type", kindOf(t, t.path("f")).name, existing.name)
				t.is("owner", t.owner(t.path("f")), fmt.Sprintf("%d:%d", aliceID, aliceID))
			})
		}
	}
	t.group("devices", devices)
	t.group("errors", func(t *T) {
		for name, e := range map[string]unix.Errno{"d/.": unix.EEXIST, "d/..": unix.EEXIST, "d": unix.EEXIST, "d/": unix.EEXIST} {
			if !t.exists(t.path("d")) {
				t.folder(t.path("d"), t.root, 0o755)
			}
			t.refuses("mkdir "+name, e, func() unix.Errno { return t.root.mkdir(t.dir+"/"+name, 0o755) }, t.path("d"))
			t.refuses("mknod "+name, e, func() unix.Errno { return t.root.mknod(t.dir+"/"+name, unix.S_IFREG|0o755, 0) }, t.path("d"))
			t.refuses("symlink "+name, e, func() unix.Errno { return t.root.symlink("x", t.dir+"/"+name) }, t.path("d"))
		}
		t.refuses("mkdir /", unix.EEXIST, func() unix.Errno { return t.root.mkdir("/", 0o755) })
		t.is("mkdir with a slash behind", t.root.mkdir(t.path("slash")+"/", 0o755), unix.Errno(0))
		t.refuses("mkfifo with a slash behind", unix.ENOENT, func() unix.Errno { return t.root.mknod(t.path("fifo")+"/", unix.S_IFIFO|0o644, 0) }, t.dir)
		t.refuses("symlink with a slash behind", unix.ENOENT, func() unix.Errno { return t.root.symlink("x", t.path("link")+"/") }, t.dir)
		t.refuses("mknod of a folder", unix.EPERM, func() unix.Errno { return t.root.mknod(t.path("x"), unix.S_IFDIR|0o755, 0) }, t.dir)
		t.refuses("mknod of a symlink", unix.EINVAL, func() unix.Errno { return t.root.mknod(t.path("x"), unix.S_IFLNK|0o755, 0) }, t.dir)
		t.refuses("mknod of an unknown type", unix.EINVAL, func() unix.Errno { return t.root.mknod(t.path("x"), 0o070000|0o755, 0) }, t.dir)
		t.is("mknod without a type", t.root.mknod(t.path("x"), 0o640, 0), unix.Errno(0))
		t.is("mknod without a type makes a", kindOf(t, t.path("x")).name, "regular")
	})
	t.group("umask", func(t *T) {
		for _, mask := range []int{0o22, 0o77, 0o777, 0o7777, 0o137} {
			t.root.do(call{Op: "umask", Flags: mask})
			for _, k := range plain {
				path := t.path(fmt.Sprintf("%o-%s", mask, k.name))
				e := k.create(t.root, path, 0o777)
				t.is(fmt.Sprintf("%o %s", mask, k.name), e, unix.Errno(0))
				if e == 0 {
					t.is(fmt.Sprintf("%o %s gives", mask, k.name), t.mode(path), octal(0o777&^uint32(mask)))
				}
			}
			t.root.do(call{Op: "umask", Flags: 0})
		}
	})
}

func makeModes(t *T, k kind) {
	t.must("chmod", t.root.chmod(t.dir, 0o777))
	for _, by := range []*caller{t.root, t.alice} {
		for _, mode := range modes {
			if k == symlink && mode != 0 {
				continue
			}
			what := by.name + " " + octal(mode)
			path := t.path(what)
			if by != t.root && (k == char || k == block) {
				t.refuses(what, unix.EPERM, func() unix.Errno { return k.create(by, path, mode) }, t.dir)
				t.is(what+" is not there", t.exists(path), false)
				continue
			}
			if e := k.create(by, path, mode); !t.is(what, e, unix.Errno(0)) {
				continue
			}
			st := t.lstat(path)
			want := mode
			switch k {
			case directory: // mkdir takes the sticky bit, and no set-ID bits
				want &^= unix.S_ISUID | unix.S_ISGID
			case symlink:
				want = 0o777
			}
			t.is(what+" gives", octal(st.Mode&0o7777), octal(want))
			t.is(what+" type", st.Mode&unix.S_IFMT == k.bits, true)
			t.is(what+" owner", fmt.Sprintf("%d:%d", st.Uid, st.Gid), fmt.Sprintf("%d:%d", by.uid, by.gid))
		}
	}
	t.group("times", func(t *T) {
		t.must("chmod", t.root.chmod(t.dir, 0o777))
		before := t.lstat(t.dir)
		t.moves("make", func() unix.Errno { return k.create(t.root, t.path("f"), 0o644) }, 0, track{t.dir, "mc"})
		f, dir := t.lstat(t.path("f")), t.lstat(t.dir)
		t.is("are those of the folder's change", f.Mtim == f.Ctim && f.Mtim == f.Atim && close(f.Mtim, dir.Mtim), true)
		links := 0
		if k == directory {
			links = 1
		}
		t.is("links of the folder", int(dir.Nlink)-int(before.Nlink), links)
		t.is("links", int(f.Nlink), 1+links)
		if k == regular || k == fifo || k == socket {
			t.is("size", f.Size, 0)
		}
		t.moves("remove", func() unix.Errno { return k.remove(t.root, t.path("f")) }, 0, track{t.dir, "mc"}, track{t.path("f"), "gone"})
		t.is("links of the folder then", t.lstat(t.dir).Nlink, before.Nlink)
	})
}

// close reports whether two times are less than a second apart.
func close(a, b unix.Timespec) bool {
	d := a.Nano() - b.Nano()
	return d < 1e9 && d > -1e9
}

// makeInGroup: in such a folder the group is the folder's, and folders are like it.
// Files do not get the bit from who is not in the group.
func makeInGroup(t *T, k kind) {
	for _, by := range []*caller{t.root, t.alice} {
		for _, gid := range []int{shared, foreign} {
			for _, mode := range []uint32{0o755, 0o2755, 0o2644, 0o2710} {
				if by != t.root && (k == char || k == block) || k == symlink && mode != 0o755 {
					continue
				}
				what := fmt.Sprintf("%s %d %s", by.name, gid, octal(mode))
				dir := t.path(what)
				t.must("mkdir", t.root.mkdir(dir, 0o777))
				t.must("chown", t.root.chown(dir, 0, gid))
				t.must("chmod", t.root.chmod(dir, 0o2777))
				if !t.is(what, k.create(by, dir+"/f", mode), unix.Errno(0)) {
					continue
				}
				st := t.lstat(dir + "/f")
				want := mode
				switch {
				case k == directory:
					want |= unix.S_ISGID
				case k == symlink:
					want = 0o777
				case by != t.root && gid == foreign && mode&0o010 != 0:
					want &^= unix.S_ISGID
				}
				t.is(what+" gives", octal(st.Mode&0o7777), octal(want))
				t.is(what+" owner", fmt.Sprintf("%d:%d", st.Uid, st.Gid), fmt.Sprintf("%d:%d", by.uid, gid))
			}
		}
	}
}

// devices keep their numbers, of all sizes.
func devices(t *T) {
	for _, k := range []kind{char, block} {
		for _, d := range []struct{ major, minor uint32 }{{0, 0}, {0, 1}, {1, 3}, {8, 255}, {8, 256}, {255, 0}, {4095, 0}, {4095, 1<<20 - 1}} {
			what := fmt.Sprintf("%s %d:%d", k.name, d.major, d.minor)
			path := t.path(what)
			dev := unix.Mkdev(d.major, d.minor)
			want := unix.Errno(0)
			t.is(what, t.root.mknod(path, k.bits|0o600, dev), want)
			if t.exists(path) {
				st := t.lstat(path)
				t.is(what+" gives", fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev)), fmt.Sprintf("%d:%d", d.major, d.minor))
			}
		}
	}
	t.must("mknod", t.root.mknod(t.path("null"), unix.S_IFCHR|0o666, nullDevice))
	fd := t.open(t.path("null"), unix.O_RDWR)
	t.is("write to the null device", t.root.write(fd, "text"), unix.Errno(0))
	s, e := t.root.pread(fd, 10, 0)
	t.is("read from the null device", fmt.Sprint(text(e), len(s)), "OK0")
	t.root.close(fd)
	t.must("mknod", t.root.mknod(t.path("zero"), unix.S_IFCHR|0o666, 1<<8|5))
	t.must("chmod", t.root.chmod(t.dir, 0o755))
	fd, e = t.alice.open(t.path("zero"), unix.O_RDONLY, 0)
	t.is("open of the zero device by a user", e, unix.Errno(0))
	s, e = t.alice.pread(fd, 3, 0)
	t.is("read from the zero device", fmt.Sprintf("%v %q", text(e), s), `OK "\x00\x00\x00"`)
	t.alice.close(fd)
	t.must("mknod", t.root.mknod(t.path("none"), unix.S_IFCHR|0o666, noDevice))
	t.is("open of a device that is not there", t.root.opens(t.path("none"), unix.O_RDONLY), unix.ENXIO)
	t.must("mknod", t.root.mknod(t.path("noneblock"), unix.S_IFBLK|0o666, noDevice))
	t.is("open of a block device that is not there", t.root.opens(t.path("noneblock"), unix.O_RDONLY), unix.ENXIO)
}
