// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// privateMounts gives the test's thread, which ends with it, its own mounts.
func privateMounts(t *testing.T) {
	needCaps(t, unix.CAP_SYS_ADMIN)
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Skipf("needs mount namespaces: %v", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) mount(source, target, fstype string, flags uintptr) {
	r.Helper()
	if err := unix.Mount(source, target, fstype, flags, ""); err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
}

func TestMounts(t *testing.T) {
	privateMounts(t)
	r := newRig(t)
	r.mkdir("tmp/under")
	r.mkdir("dir")
	r.mkdir("bound")
	r.put("dir/f", "data")
	r.put("file", "under")
	d := r.open(unix.O_RDONLY)
	plain := r.list(d, 4096)
	r.checkEntries(d, plain)

	// Mounted while the daemon runs, with white space in a name.
	odd := "od d\\x\t"
	r.mkdir(odd)
	r.mount("none", r.path("tmp"), "tmpfs", 0)
	r.mount("none", r.path(odd), "tmpfs", 0)
	r.mount(r.path("dir"), r.path("bound"), "", unix.MS_BIND)
	r.mount(r.path("dir", "f"), r.path("file"), "", unix.MS_BIND)
	r.mkdir("tmp/inner")
	r.put("tmp/inner/f", "in tmp")

	entries := r.list(d, 4096)
	if len(entries) != 7 {
		t.Errorf("%d entries", len(entries))
	}
	r.checkEntries(d, entries)

	// All distinct, but for what is bound: that is the same file.
	paths := map[uint64]string{}
	for _, e := range entries {
		name := string(e.Name)
		if name == "bound" || name == ".." {
			continue
		}
		if other, ok := paths[e.QID.Path]; ok {
			t.Errorf("%s and %s have the same QID", name, other)
		}
		paths[e.QID.Path] = name
	}
	if paths[r.walk("dir", "f").n.path] != "file" {
		t.Error("the bound file is another")
	}
	if a, b := r.walk("dir"), r.walk("bound"); a.n.path != b.n.path || a.n == b.n {
		t.Error("the bound directory must have the same QID, and a node of its own")
	}
	if a, b := r.walk("tmp"), r.walk(odd); a.n.path == b.n.path || a.n.ino != b.n.ino {
		t.Error("two roots of tmpfs: same QID")
	}

	// In and out again.
	inner := r.open(unix.O_RDONLY, "tmp", "inner")
	r.checkEntries(inner, r.list(inner, 4096))
	tmp := r.open(unix.O_RDONLY, "tmp")
	r.checkEntries(tmp, r.list(tmp, 4096))
	f, _, err := r.walkFrom(inner, "..", "..")
	r.must(err)
	if f.n != r.root.n {
		t.Error("tmp/inner/../.. is not the root")
	}
	f.Close(nil)
	var st ninep.StatFS
	r.must(inner.StatFS(r.c, &st))
	if st.Type != unix.TMPFS_MAGIC {
		t.Errorf("type %#x", st.Type)
	}
	r.want(r.root.RenameAt(r.c, ninep.Name("file"), r.root, ninep.Name("x")), unix.EBUSY)
	r.want(r.walk("dir").RenameAt(r.c, ninep.Name("f"), tmp, ninep.Name("x")), unix.EXDEV)
	r.want(tmp.Link(r.c, r.walk("dir", "f"), ninep.Name("x")), unix.EXDEV)
	r.want(r.root.UnlinkAt(r.c, ninep.Name("tmp"), unix.AT_REMOVEDIR), unix.EBUSY)
	r.must(r.walk("tmp", "inner", "f").Remove(r.c))
	r.must(r.walk("bound", "f").SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetMode, Mode: 0o600}))
	if a := r.attr(r.walk("file")); a.Mode&0o777 != 0o600 {
		t.Errorf("mode %o", a.Mode)
	}

	// Unmounted, what is held stays.
	g := r.open(unix.O_RDONLY, odd)
	r.must(unix.Unmount(r.path(odd), unix.MNT_DETACH))
	r.must(unix.Unmount(r.path("bound"), unix.MNT_DETACH))
	r.attr(g)
	r.checkEntries(d, r.list(d, 4096))
	if _, _, err := r.walkFrom(g, ".."); err != unix.ENOENT {
		t.Errorf("up from what is unmounted: %v", err)
	}
}

// A mount that is read only stays so, whatever else leads to the file.
func TestReadOnlyBind(t *testing.T) {
	privateMounts(t)
	r := newRig(t)
	r.mkdir("dir")
	r.mkdir("ro")
	r.put("dir/f", "data")
	r.mount(r.path("dir"), r.path("ro"), "", unix.MS_BIND)
	r.must(unix.Mount("", r.path("ro"), "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
	f, ro := r.walk("dir", "f"), r.walk("ro", "f")
	_, err := ro.Open(r.c, unix.O_RDWR)
	r.want(err, unix.EROFS)
	_, err = f.Open(r.c, unix.O_RDWR)
	r.must(err)
	r.want(ro.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetMode, Mode: 0o777}), unix.EROFS)
	r.want(ro.SetXattr(r.c, "user.a", nil, 0), unix.EROFS)
	r.want(ro.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetSize}), unix.EROFS)
	if r.attr(f).QID != r.attr(ro).QID {
		t.Error("not the same file")
	}
}

func TestOverlay(t *testing.T) {
	privateMounts(t)
	r := newRig(t)
	base := t.TempDir()
	if err := unix.Mount("none", base, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Unmount(base, unix.MNT_DETACH) }()
	for _, d := range []string{"lower/d", "upper", "work"} {
		r.must(os.MkdirAll(base+"/"+d, 0o755))
	}
	r.must(os.WriteFile(base+"/lower/d/f", nil, 0o644))
	r.must(os.WriteFile(base+"/lower/g", nil, 0o644))
	r.mkdir("ov")
	opts := "lowerdir=" + base + "/lower,upperdir=" + base + "/upper,workdir=" + base + "/work"
	if err := unix.Mount("overlay", r.path("ov"), "overlay", 0, opts); err != nil {
		t.Skipf("needs overlayfs: %v", err)
	}
	defer func() { _ = unix.Unmount(r.path("ov"), unix.MNT_DETACH) }()
	for _, path := range [][]string{nil, {"ov"}, {"ov", "d"}} {
		d := r.open(unix.O_RDONLY, path...)
		r.checkEntries(d, r.list(d, 4096))
	}
	f := r.open(unix.O_RDWR, "ov", "d", "f")
	r.write(f, 0, "copied up")
	if got := r.read(r.open(unix.O_RDONLY, "ov", "d", "f"), 0, 20); got != "copied up" {
		t.Errorf("read %q", got)
	}
}
