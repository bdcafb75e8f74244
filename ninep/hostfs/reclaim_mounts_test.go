// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// The file systems that people use have handles, and these are made use of.
func TestColdFileOnFileSystems(t *testing.T) {
	needCaps(t, unix.CAP_DAC_READ_SEARCH)
	onFileSystems(t, func(t *testing.T, dir string) {
		r := newRigAt(t, dir, Config{})
		r.mkdir("d")
		r.put("d/f", "content")
		r.must(os.Symlink("to", r.path("d/link")))
		r.must(unix.Mkfifo(r.path("d/fifo"), 0o600))
		files := []*file{r.walk("d", "f"), r.walk("d"), r.walk("d", "link"), r.walk("d", "fifo")}
		var inodes []uint64
		for _, f := range files {
			inodes = append(inodes, r.inode(f))
		}
		r.chill(files...)
		for i, f := range files {
			if f.n.parent != nil || f.n.where.empty() {
				t.Errorf("file %d is not held by a handle", i)
			}
		}
		r.must(os.Rename(r.path("d"), r.path("e")))
		r.must(os.Rename(r.path("e/f"), r.path("g")))
		for i, f := range files {
			if r.inode(f) != inodes[i] {
				t.Errorf("file %d is another", i)
			}
		}
		r.chill(files...)
		if _, err := files[0].Open(r.c, unix.O_RDONLY); err != nil || r.read(files[0], 0, 10) != "content" {
			t.Error("another content")
		}
		buf := make([]byte, unix.PathMax)
		if n, err := files[2].ReadLink(r.c, buf); err != nil || string(buf[:n]) != "to" {
			t.Errorf("link to %q, %v", buf[:n], err)
		}

		// A number that is used again.
		for try := range 20 {
			r.put("h", "old")
			old, _, err := r.walkFrom(r.root, "h")
			r.must(err)
			r.chill(old)
			r.must(os.Remove(r.path("h")))
			r.put("h", "new")
			h, _, err := r.walkFrom(r.root, "h")
			r.must(err)
			var a ninep.Attr
			r.want(old.GetAttr(r.c, ninep.AttrBasic, &a), unix.ESTALE)
			if r.inode(h) != hostInode(t, r.path("h")) || h.n == old.n {
				t.Error("another file")
			}
			reused := h.n.ino == old.n.ino
			h.Close(nil)
			old.Close(nil)
			if reused {
				t.Logf("used again at try %d", try)
				break
			}
		}
	})
}

// A file comes back on the mount on which it was, and a mount that nobody uses any more
// can be unmounted.
func TestColdFileOnMounts(t *testing.T) {
	needCaps(t, unix.CAP_DAC_READ_SEARCH)
	privateMounts(t)
	r := newRig(t)
	for _, d := range []string{"real", "rw", "ro", "tmp"} {
		r.mkdir(d)
	}
	r.put("real/f", "content")
	r.put("single", "")
	r.mount(r.path("real"), r.path("rw"), "", unix.MS_BIND)
	r.mount(r.path("real"), r.path("ro"), "", unix.MS_BIND)
	r.must(unix.Mount("", r.path("ro"), "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
	r.mount(r.path("real", "f"), r.path("single"), "", unix.MS_BIND)
	r.mount("none", r.path("tmp"), "tmpfs", 0)
	r.put("tmp/f", "in tmp")

	open := func(flags uint32, want error, elem ...string) {
		t.Helper()
		f, _, err := r.walkFrom(r.root, elem...)
		r.must(err)
		defer f.Close(nil)
		r.chill(f)
		if _, err := f.Open(r.c, flags); err != want && (err != nil || want != nil) {
			t.Errorf("%v: %v, want %v", elem, err, want)
		}
	}
	for range 2 {
		open(unix.O_RDWR, nil, "real", "f")
		open(unix.O_RDWR, nil, "rw", "f")
		open(unix.O_RDWR, unix.EROFS, "ro", "f")
		open(unix.O_RDONLY, nil, "ro", "f")
		open(unix.O_RDWR, nil, "single")
		open(unix.O_RDWR, nil, "tmp", "f")
	}
	for _, m := range []string{"rw", "ro", "single", "tmp"} {
		if err := unix.Unmount(r.path(m), 0); err != nil {
			t.Errorf("%s: unmount: %v", m, err)
		}
	}
}

// Where there are no handles, there are names.
func TestColdFileOnOverlay(t *testing.T) {
	privateMounts(t)
	dir := t.TempDir()
	for _, d := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(dir+"/"+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(dir+"/lower/f", []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	options := "lowerdir=" + dir + "/lower,upperdir=" + dir + "/upper,workdir=" + dir + "/work,nfs_export=off"
	if err := unix.Mount("overlay", dir+"/merged", "overlay", 0, options); err != nil {
		t.Skipf("needs overlayfs: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir+"/merged", unix.MNT_DETACH) })
	r := newRigAt(t, dir+"/merged", Config{})
	f := r.walk("f")
	ino := r.inode(f)
	r.chill(f)
	if f.n.parent == nil {
		t.Error("not held by its name")
	}
	if r.inode(f) != ino {
		t.Error("another file")
	}
}
