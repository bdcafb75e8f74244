// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

func TestGetAttr(t *testing.T) {
	r := newRig(t)
	r.put("f", "12345")
	r.must(os.Link(r.path("f"), r.path("g")))
	r.must(os.Chtimes(r.path("f"), time.Unix(1000, 1), time.Unix(-2000, 999_999_999)))
	r.must(os.Chmod(r.path("f"), 0o640|os.ModeSetuid))
	var st unix.Stat_t
	r.must(unix.Stat(r.path("f"), &st))

	a := r.attr(r.walk("f"))
	want := ninep.Attr{
		Valid: ninep.AttrBasic | ninep.AttrBTime, QID: a.QID,
		Mode: unix.S_IFREG | unix.S_ISUID | 0o640, UID: st.Uid, GID: st.Gid, NLink: 2,
		Size: 5, BlkSize: uint64(st.Blksize), Blocks: uint64(st.Blocks),
		ATime: ninep.Time{Sec: 1000, Nsec: 1}, MTime: ninep.Time{Sec: -2000, Nsec: 999_999_999},
		CTime: ninep.Time{Sec: st.Ctim.Sec, Nsec: uint32(st.Ctim.Nsec)}, BTime: a.BTime,
	}
	if a != want {
		t.Errorf("got  %+v\nwant %+v", a, want)
	}
	if a.BTime.Sec < time.Now().Add(-time.Hour).Unix() {
		t.Errorf("born %+v", a.BTime)
	}
	// Only what is asked for need be there.
	var b ninep.Attr
	r.must(r.walk("f").GetAttr(r.c, ninep.AttrMode, &b))
	if b.Valid&ninep.AttrMode == 0 || b.Valid&(ninep.AttrGen|ninep.AttrDataVersion) != 0 || b.QID != a.QID {
		t.Errorf("got %+v", b)
	}
}

func TestSetAttr(t *testing.T) {
	needCaps(t, unix.CAP_CHOWN)
	r := newRig(t)
	for _, open := range []bool{false, true} {
		r.put("f", "0123456789")
		f := r.walk("f")
		if open {
			f = r.open(unix.O_RDWR, "f")
		}
		set := ninep.SetAttr{
			Valid: ninep.SetMode | ninep.SetUID | ninep.SetGID | ninep.SetSize |
				ninep.SetATime | ninep.SetATimeSet | ninep.SetMTime | ninep.SetMTimeSet,
			Mode: 0o6755, UID: 1234, GID: 5678, Size: 4,
			ATime: ninep.Time{Sec: 11, Nsec: 1}, MTime: ninep.Time{Sec: 22, Nsec: 2},
		}
		r.must(f.SetAttr(r.c, &set))
		a := r.attr(f)
		if a.Mode != unix.S_IFREG|0o6755 || a.UID != 1234 || a.GID != 5678 || a.Size != 4 ||
			a.ATime != set.ATime || a.MTime != set.MTime {
			t.Errorf("open %v: got %+v", open, a)
		}
		// Only what is asked for.
		r.must(f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetGID, UID: 9, GID: 10, Mode: 0, Size: 0}))
		if a = r.attr(f); a.UID != 1234 || a.GID != 10 || a.Size != 4 || a.MTime != set.MTime {
			t.Errorf("open %v: got %+v", open, a)
		}
		now := time.Now().Unix()
		r.must(f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetMTime}))
		if a = r.attr(f); a.ATime != set.ATime || a.MTime.Sec < now-1 {
			t.Errorf("open %v: got %+v", open, a)
		}
		before := a
		time.Sleep(10 * time.Millisecond)
		r.must(f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetCTime}))
		a = r.attr(f)
		if a.CTime == before.CTime || a.MTime != before.MTime || a.UID != 1234 {
			t.Errorf("open %v: got %+v, was %+v", open, a, before)
		}
	}
}

func TestSetAttrOfOtherTypes(t *testing.T) {
	needCaps(t, unix.CAP_CHOWN)
	r := newRig(t)
	r.mkdir("d")
	r.must(os.Symlink("f", r.path("l")))
	r.must(unix.Mkfifo(r.path("p"), 0o644))
	r.put("f", "x")
	for _, name := range []string{"d", "l", "p"} {
		f := r.walk(name)
		r.must(f.SetAttr(r.c, &ninep.SetAttr{
			Valid: ninep.SetUID | ninep.SetATime | ninep.SetATimeSet, UID: 7, ATime: ninep.Time{Sec: 5},
		}))
		if a := r.attr(f); a.UID != 7 || a.ATime.Sec != 5 {
			t.Errorf("%s: %+v", name, a)
		}
		err := f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetMode, Mode: 0o700})
		if name == "l" {
			r.want(err, unix.EOPNOTSUPP)
		} else {
			r.must(err)
		}
		if err := f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetSize}); err == nil {
			t.Errorf("%s truncated", name)
		}
	}
	if a := r.attr(r.walk("f")); a.UID == 7 || a.Size != 1 {
		t.Errorf("the symlink's target was changed: %+v", a)
	}
}

func TestChmodWithoutFchmodat2(t *testing.T) {
	r := newRig(t)
	r.fs.noFchmodat2.Store(true)
	r.put("f", "")
	r.must(os.Symlink("f", r.path("l")))
	r.mkdir("d")
	for _, name := range []string{"f", "d"} {
		f := r.walk(name)
		r.must(os.Rename(r.path(name), r.path("moved")))
		r.must(f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetMode, Mode: 0o711}))
		if a := r.attr(f); a.Mode&0o7777 != 0o711 {
			t.Errorf("%s: mode %o", name, a.Mode)
		}
		r.must(os.Remove(r.path("moved")))
	}
	err := r.walk("l").SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetMode, Mode: 0o711})
	r.want(err, unix.EOPNOTSUPP)
}

// All that can be done to a file goes on after its name is gone, by fids that are
// open and by such that are not.
func TestUnlinked(t *testing.T) {
	for _, how := range []string{"unlinked", "unlinked on the host", "replaced"} {
		t.Run(how, func(t *testing.T) {
			r := newRig(t)
			r.put("f", "0123456789")
			plain, open := r.walk("f"), r.open(unix.O_RDWR, "f")
			switch how {
			case "unlinked":
				r.must(r.root.UnlinkAt(r.c, ninep.Name("f"), 0))
			case "unlinked on the host":
				r.must(os.Remove(r.path("f")))
			case "replaced":
				r.put("other", "OTHER")
				r.must(r.root.RenameAt(r.c, ninep.Name("other"), r.root, ninep.Name("f")))
			}
			for _, f := range []*file{plain, open} {
				r.must(f.SetAttr(r.c, &ninep.SetAttr{
					Valid: ninep.SetMode | ninep.SetSize | ninep.SetMTime | ninep.SetMTimeSet | ninep.SetUID,
					Mode:  0o600, Size: 6, MTime: ninep.Time{Sec: 9}, UID: uint32(os.Getuid()),
				}))
				a := r.attr(f)
				if a.NLink != 0 || a.Mode != unix.S_IFREG|0o600 || a.Size != 6 || a.MTime.Sec != 9 {
					t.Errorf("got %+v", a)
				}
				g := f.clone(threadOf(r.c))
				if r.attr(g) != r.attr(f) {
					t.Error("a clone is another file")
				}
				_, err := g.Open(r.c, unix.O_RDWR)
				r.must(err)
				r.write(g, 6, "ab")
				if got := r.read(open, 0, 20); got != "012345ab" {
					t.Errorf("read %q", got)
				}
				r.must(g.Sync(r.c, false))
				r.must(f.SetXattr(r.c, "user.a", []byte("1"), 0))
				if v, err := g.GetXattr(r.c, ninep.Name("user.a")); err != nil || string(v) != "1" {
					t.Errorf("xattr %q, %v", v, err)
				}
				r.must(f.RemoveXattr(r.c, "user.a"))
				r.must(f.StatFS(r.c, new(ninep.StatFS)))
				g.Close(nil)
				if err := f.Remove(r.c); err != unix.ENOENT {
					t.Errorf("remove: %v", err)
				}
				if err := f.Rename(r.c, r.root, ninep.Name("back")); err != unix.ENOENT {
					t.Errorf("rename: %v", err)
				}
			}
			if how == "replaced" {
				if got := r.read(r.open(unix.O_RDONLY, "f"), 0, 20); got != "OTHER" {
					t.Errorf("the other file holds %q", got)
				}
			}
		})
	}
}

// StatFS works on what cannot be opened, too: special files, symlinks, and what may not
// be read.
func TestStatFS(t *testing.T) {
	r := newRig(t)
	r.must(unix.Mkfifo(r.path("p"), 0o600))
	r.must(unix.Mknod(r.path("s"), unix.S_IFSOCK|0o600, 0))
	r.must(os.Symlink("gone", r.path("l")))
	r.put("secret", "")
	r.must(os.Chmod(r.path("secret"), 0))
	var host unix.Statfs_t
	r.must(unix.Statfs(r.dir, &host))
	for _, path := range [][]string{nil, {"p"}, {"s"}, {"l"}, {"secret"}} {
		var st ninep.StatFS
		r.must(r.walk(path...).StatFS(r.c, &st))
		if st.Type != uint32(host.Type) || st.BSize != uint32(host.Frsize) || st.Blocks != host.Blocks ||
			st.Files != host.Files || st.NameLen != uint32(host.Namelen) || st.FSID == 0 {
			t.Errorf("%v: got %+v, host has %+v", path, st, host)
		}
	}

	other := newRigAt(t, r.dir, Config{StatFSType: unix.V9FS_MAGIC})
	var a, b ninep.StatFS
	r.must(r.root.StatFS(r.c, &a))
	r.must(other.root.StatFS(r.c, &b))
	if b.Type != 0x01021997 {
		t.Errorf("type %#x, want that of 9p", b.Type)
	}
	if b.BSize != a.BSize || b.Blocks != a.Blocks || b.FSID != a.FSID {
		t.Errorf("another type made %+v of %+v", b, a)
	}
}

func TestStatFSUnits(t *testing.T) {
	for name, c := range map[string]struct {
		host unix.Statfs_t
		want ninep.StatFS
	}{
		// ZFS and FUSE count in another unit than they like to transfer in.
		"two sizes": {
			unix.Statfs_t{Type: 0x2fc12fc1, Bsize: 128 << 10, Frsize: 512, Blocks: 1 << 20, Bfree: 3, Bavail: 2, Namelen: 255},
			ninep.StatFS{Type: 0x2fc12fc1, BSize: 512, Blocks: 1 << 20, BFree: 3, BAvail: 2, NameLen: 255},
		},
		"one size": {
			unix.Statfs_t{Bsize: 4096, Blocks: 1, Files: 2, Ffree: 1, Namelen: 255},
			ninep.StatFS{BSize: 4096, Blocks: 1, Files: 2, FFree: 1, NameLen: 255},
		},
		"tiny": {unix.Statfs_t{Bsize: 4096, Frsize: 4096, Namelen: 143}, ninep.StatFS{BSize: 4096, NameLen: 143}},
		"huge": {
			unix.Statfs_t{Bsize: 1 << 20, Frsize: 1 << 20, Blocks: 1<<63 + 1, Bfree: 1 << 63, Bavail: 1<<62 + 1, Files: 1<<64 - 1, Ffree: 1<<64 - 2, Namelen: 1023},
			ninep.StatFS{BSize: 1 << 20, Blocks: 1<<63 + 1, BFree: 1 << 63, BAvail: 1<<62 + 1, Files: 1<<64 - 1, FFree: 1<<64 - 2, NameLen: 255},
		},
		"numbers": {
			unix.Statfs_t{Type: 0x9123683e, Bsize: 4096, Fsid: unix.Fsid{Val: [2]int32{-1, 2}}},
			ninep.StatFS{Type: 0x9123683e, BSize: 4096, FSID: 2<<32 + 0xffffffff, NameLen: 255},
		},
	} {
		if got := statFSOf(&c.host); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}
