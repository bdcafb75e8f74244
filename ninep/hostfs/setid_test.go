// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

const (
	capXattr = "security.capability"
	// cap_net_bind_service, effective and permitted
	capValue = "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

	lTruncated = 0o1000 // O_TRUNC as 9P2000.L has it
)

// privileged skips the test unless the daemon's threads can be anyone and do anything.
func privileged(t testing.TB) {
	t.Helper()
	needCaps(t, unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_FSETID,
		unix.CAP_SETFCAP, unix.CAP_SETGID, unix.CAP_SETUID)
}

// owned makes a file or directory of the host's with the owner and mode.
func (r *rig) owned(name string, mode, uid, gid uint32) {
	r.Helper()
	if mode&unix.S_IFMT == unix.S_IFDIR {
		r.mkdir(name)
	} else {
		r.put(name, "data")
	}
	var err error
	onHost(func() {
		err = errors.Join(os.Lchown(r.path(name), int(uid), int(gid)), unix.Chmod(r.path(name), mode&0o7777))
	})
	r.must(err)
}

// mode returns what the host has for a file.
func (r *rig) mode(name string) uint32 {
	r.Helper()
	var st unix.Stat_t
	r.must(unix.Lstat(r.path(name), &st))
	return st.Mode & 0o7777
}

// TestSetIDBits changes programs as root and as another user: bits and capabilities
// go where Linux takes them off for that user.
func TestSetIDBits(t *testing.T) {
	privileged(t)
	changes := map[string]func(r *rig, name string){
		"write": func(r *rig, name string) { r.write(r.open(unix.O_WRONLY, name), 0, "D") },
		"truncate": func(r *rig, name string) {
			r.must(r.walk(name).SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetSize, Size: 2}))
		},
		"truncate open": func(r *rig, name string) {
			r.must(r.open(unix.O_RDWR, name).SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetSize, Size: 2}))
		},
		"open and truncate": func(r *rig, name string) { r.open(unix.O_WRONLY|lTruncated, name) },
		"create what is there": func(r *rig, name string) {
			_, err := r.walk().Create(r.c, ninep.Name(name), unix.O_WRONLY|lTruncated, 0o600, 0)
			r.must(err)
		},
		"chown": func(r *rig, name string) {
			r.must(r.walk(name).SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetGID, GID: 4000}))
		},
	}
	const all, left = 0o6775, 0o0775
	for change, do := range changes {
		// Without the right to execute, the set-group-id bit is no program's, and stays:
		// the guest takes it off itself for users whom it does not know in the group.
		for _, c := range []struct{ uid, before, after uint32 }{
			{0, all, all}, {1000, all, left}, {3000, all, left}, {noUser, all, left},
			{0, 0o2664, 0o2664}, {3000, 0o2664, 0o2664}, {3000, 0o6664, 0o0664},
			{0, 0o1755, 0o1755}, {1000, 0o1755, 0o1755},
		} {
			if change == "chown" && c.before == all {
				c.after = left // for everyone
			}
			t.Run(fmt.Sprintf("%s %#o as %d", change, c.before, int32(c.uid)), func(t *testing.T) {
				r := newRig(t)
				r.owned("f", c.before, 1000, 2000)
				r.must(unix.Setxattr(r.path("f"), capXattr, []byte(capValue), 0))
				r.c.UID = c.uid
				do(r, "f")
				if got := r.mode("f"); got != c.after {
					t.Errorf("mode is %#o, want %#o", got, c.after)
				}
				if _, err := unix.Getxattr(r.path("f"), capXattr, nil); !errors.Is(err, unix.ENODATA) {
					t.Errorf("the capabilities are left: %v", err)
				}
			})
		}
	}
}

const noUser = noID

// TestSetIDBitsOnOneThread goes back and forth between users.
func TestSetIDBitsOnOneThread(t *testing.T) {
	privileged(t)
	r := newRig(t)
	r.owned("f", 0o644, 1000, 2000)
	f := r.open(unix.O_WRONLY, "f")
	for round := range 3 {
		r.c.UID = 1000
		r.must(f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetMode, Mode: 0o6755}))
		r.c.UID = 0
		r.write(f, 0, "r")
		if got := r.mode("f"); got != 0o6755 {
			t.Errorf("round %d: %#o after root", round, got)
		}
		r.c.UID = 1000
		r.write(f, 0, "u")
		if got := r.mode("f"); got != 0o755 {
			t.Errorf("round %d: %#o after the user", round, got)
		}
		// Made for the user, whose capabilities are as they were.
		_, err := r.root.Mkdir(r.c, ninep.Name(fmt.Sprint(round)), 0o755, 2000)
		r.must(err)
	}
}

// TestSetIDBitsInASandbox: nothing is different on a thread that has fewer capabilities than
// the process had at first.
func TestSetIDBitsInASandbox(t *testing.T) {
	privileged(t)
	r := newRig(t)
	r.owned("f", 0o6755, 1000, 2000)
	fewer := r.fs.creds.caps.with
	for _, set := range []*uint32{&fewer[0].Effective, &fewer[0].Permitted} {
		*set &^= 1<<unix.CAP_NET_RAW | 1<<unix.CAP_KILL
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	r.must(unix.Capset(&hdr, &fewer[0]))
	f := r.open(unix.O_WRONLY, "f")
	r.c.UID = 0
	r.write(f, 0, "r")
	if got := r.mode("f"); got != 0o6755 {
		t.Errorf("%#o after root", got)
	}
	r.c.UID = 1000
	r.write(f, 0, "u")
	if got := r.mode("f"); got != 0o755 {
		t.Errorf("%#o after the user", got)
	}
}

// TestSetIDBitsThatAreGiven: what the guest's kernel lets a user set is set, be it for a
// group that only the guest knows the user to be in.
func TestSetIDBitsThatAreGiven(t *testing.T) {
	privileged(t)
	r := newRig(t)
	r.owned("d", unix.S_IFDIR|0o2777, 0, 50)
	d := r.walk("d")
	r.c.UID = 1000

	r.owned("f", 0o644, 1000, 50)
	r.must(r.walk("f").SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetMode, Mode: 0o2755}))
	r.owned("e", unix.S_IFDIR|0o755, 1000, 50)
	r.must(r.walk("e").SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetMode, Mode: 0o3775}))
	// A mode that comes with an owner or a size is the one that the guest wants.
	r.owned("g", 0o6755, 1000, 50)
	r.must(r.walk("g").SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetMode | ninep.SetGID | ninep.SetSize, Mode: 0o6750, GID: 60}))

	_, err := r.walk("d").Create(r.c, ninep.Name("f"), excl, 0o2755, 50)
	r.must(err)
	_, err = d.Mkdir(r.c, ninep.Name("d"), 0o755, 50)
	r.must(err)
	_, err = d.Mkdir(r.c, ninep.Name("all"), 0o7755, 50)
	r.must(err)
	_, err = d.Mknod(r.c, ninep.Name("n"), unix.S_IFREG|0o6755, 0, 0, 50)
	r.must(err)
	// Another group than the directory's is the directory's all the same.
	_, err = r.walk("d").Create(r.c, ninep.Name("other"), excl, 0o2755, 77)
	r.must(err)
	for name, want := range map[string]uint32{
		"f": 0o2755, "e": 0o3775, "g": 0o6750,
		"d/f": 0o2755, "d/d": 0o2755, "d/all": 0o7755, "d/n": 0o6755, "d/other": 0o2755,
	} {
		if got := r.mode(name); got != want {
			t.Errorf("%s: %#o, want %#o", name, got, want)
		}
		var st unix.Stat_t
		r.must(unix.Lstat(r.path(name), &st))
		if st.Uid != 1000 || len(name) > 1 && st.Gid != 50 {
			t.Errorf("%s belongs to %d:%d", name, st.Uid, st.Gid)
		}
	}
}
