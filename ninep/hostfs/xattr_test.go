// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"bytes"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// eachXattrWay runs the test with the system calls of Linux 6.13 and with those
// from before.
func eachXattrWay(t *testing.T, run func(t *testing.T, r *rig)) {
	for _, old := range []bool{false, true} {
		name := "new"
		if old {
			name = "old"
		}
		t.Run(name, func(t *testing.T) {
			// The working directory of the thread changes: nobody else is to have it.
			runtime.LockOSThread()
			r := newRig(t)
			r.fs.noXattrAt.Store(old)
			run(t, r)
			if old != r.fs.noXattrAt.Load() {
				t.Skip("needs Linux 6.13")
			}
		})
	}
}

func TestXattr(t *testing.T) {
	eachXattrWay(t, func(t *testing.T, r *rig) {
		r.put("f", "")
		r.mkdir("d")
		for _, f := range []*file{r.walk("f"), r.walk("d"), r.open(unix.O_RDONLY, "f")} {
			r.must(f.SetXattr(r.c, "user.a", []byte("1"), 0))
			r.must(f.SetXattr(r.c, "user.empty", nil, unix.XATTR_CREATE))
			r.want(f.SetXattr(r.c, "user.a", []byte("2"), unix.XATTR_CREATE), unix.EEXIST)
			r.must(f.SetXattr(r.c, "user.a", []byte("\x00\xff3"), unix.XATTR_REPLACE))
			r.want(f.SetXattr(r.c, "user.none", nil, unix.XATTR_REPLACE), unix.ENODATA)
			if v, err := f.GetXattr(r.c, ninep.Name("user.a")); err != nil || string(v) != "\x00\xff3" {
				t.Errorf("got %q, %v", v, err)
			}
			if v, err := f.GetXattr(r.c, ninep.Name("user.empty")); err != nil || len(v) != 0 {
				t.Errorf("got %q, %v", v, err)
			}
			_, err := f.GetXattr(r.c, ninep.Name("user.none"))
			r.want(err, unix.ENODATA)
			list, err := f.ListXattr(r.c)
			r.must(err)
			if string(list) != "user.a\x00user.empty\x00" && string(list) != "user.empty\x00user.a\x00" {
				t.Errorf("list %q", list)
			}
			r.must(f.RemoveXattr(r.c, "user.a"))
			r.must(f.RemoveXattr(r.c, "user.empty"))
			r.want(f.RemoveXattr(r.c, "user.a"), unix.ENODATA)
			if list, err := f.ListXattr(r.c); err != nil || len(list) != 0 {
				t.Errorf("list %q, %v", list, err)
			}
		}
		f := r.walk("f")
		r.want(f.SetXattr(r.c, "user.big", make([]byte, maxXattr+1), 0), unix.E2BIG)
		r.want(f.SetXattr(r.c, strings.Repeat("n", 256), nil, 0), unix.ERANGE)
		r.want(f.SetXattr(r.c, "nonsense.a", nil, 0), unix.EOPNOTSUPP)
	})
}

func TestXattrOfSymlinksAndOthers(t *testing.T) {
	needCaps(t, unix.CAP_SYS_ADMIN)
	eachXattrWay(t, func(t *testing.T, r *rig) {
		r.put("f", "")
		r.must(os.Symlink("f", r.path("l")))
		r.must(unix.Mkfifo(r.path("p"), 0o644))
		for _, name := range []string{"l", "p"} {
			f := r.walk(name)
			r.must(os.Rename(r.path(name), r.path("moved")))
			r.must(f.SetXattr(r.c, "trusted.a", []byte(name), 0))
			if v, err := f.GetXattr(r.c, ninep.Name("trusted.a")); err != nil || string(v) != name {
				t.Errorf("%s: %q, %v", name, v, err)
			}
			r.must(os.Remove(r.path("moved")))
		}
		if list, err := r.walk("f").ListXattr(r.c); err != nil || len(list) != 0 {
			t.Errorf("the symlink's target has %q, %v", list, err)
		}
	})
}

func TestXattrNamespaces(t *testing.T) {
	needCaps(t, unix.CAP_SYS_ADMIN)
	eachXattrWay(t, func(t *testing.T, r *rig) {
		r.put("f", "")
		f := r.walk("f")
		// user::rw- user:1:r-- group::r-- mask::r-- other::r--
		acl := []byte("\x02\x00\x00\x00" +
			"\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x04\x00\x01\x00\x00\x00" +
			"\x04\x00\x04\x00\xff\xff\xff\xff" + "\x10\x00\x04\x00\xff\xff\xff\xff" +
			"\x20\x00\x04\x00\xff\xff\xff\xff")
		caps := []byte("\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
		for name, value := range map[string][]byte{
			"system.posix_acl_access": acl,
			"security.capability":     caps,
			"security.test":           []byte("x"),
			"trusted.test":            []byte("y"),
		} {
			err := f.SetXattr(r.c, name, value, 0)
			if err == unix.EOPNOTSUPP && strings.HasPrefix(name, "system.") {
				t.Log("the file system has no ACLs")
				continue
			}
			r.must(err)
			if v, err := f.GetXattr(r.c, ninep.Name(name)); err != nil || !bytes.Equal(v, value) {
				t.Errorf("%s: %q, %v", name, v, err)
			}
			list, err := f.ListXattr(r.c)
			r.must(err)
			if !strings.Contains(string(list), name+"\x00") {
				t.Errorf("%s is not in %q", name, list)
			}
			r.must(f.RemoveXattr(r.c, name))
		}
	})
}

// TestXattrListOfUser: as on the host, trusted.* is not listed for who cannot read it.
func TestXattrListOfUser(t *testing.T) {
	needCaps(t, unix.CAP_SYS_ADMIN)
	r := newRig(t)
	r.put("f", "")
	r.must(unix.Setxattr(r.path("f"), "trusted.a", nil, 0))
	r.must(unix.Setxattr(r.path("f"), "user.a", nil, 0))
	for uid, want := range map[uint32]int{0: 2, 1000: 1, noUser: 2} {
		r.c.UID = uid
		list, err := r.walk("f").ListXattr(r.c)
		r.must(err)
		if n := strings.Count(string(list), "\x00"); n != want || !strings.Contains(string(list), "user.a\x00") {
			t.Errorf("%d sees %q", int32(uid), list)
		}
	}
}

func TestXattrHidden(t *testing.T) {
	eachXattrWay(t, func(t *testing.T, r *rig) {
		r.put("f", "")
		for _, path := range []string{r.path("f"), r.dir} {
			for _, name := range []string{"user.virtfs.uid", "user.virtfs.system.qidp.0", "user.seen", "user.virtfsx"} {
				r.must(unix.Setxattr(path, name, []byte("v"), 0))
			}
		}
		for _, f := range []*file{r.walk("f"), r.walk()} {
			list, err := f.ListXattr(r.c)
			r.must(err)
			if strings.Contains(string(list), "virtfs.") || strings.Count(string(list), "\x00") != 2 {
				t.Errorf("list %q", list)
			}
			for _, name := range []string{"user.virtfs.uid", "user.virtfs.system.qidp.0", "user.virtfs.", "user.virtfs.new"} {
				_, err := f.GetXattr(r.c, ninep.Name(name))
				r.want(err, unix.ENODATA)
				r.want(f.SetXattr(r.c, name, []byte("w"), 0), unix.EACCES)
				r.want(f.RemoveXattr(r.c, name), unix.EACCES)
			}
			r.must(f.SetXattr(r.c, "user.virtfsx", []byte("w"), 0))
		}
		buf := make([]byte, 10)
		if n, err := unix.Getxattr(r.path("f"), "user.virtfs.uid", buf); err != nil || string(buf[:n]) != "v" {
			t.Errorf("%q, %v", buf, err)
		}
	})
}
