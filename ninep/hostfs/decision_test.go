// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// eachCredWay runs the test on a thread that keeps its capabilities as another user, and
// on one that gets them back each time; right after it was that user.
func eachCredWay(t *testing.T, cfg Config, run func(t *testing.T, r *rig)) {
	privileged(t)
	for _, kept := range []bool{true, false} {
		t.Run(map[bool]string{true: "kept", false: "given back"}[kept], func(t *testing.T) {
			if kept {
				needCaps(t, unix.CAP_SETPCAP)
			}
			r := newRigAt(t, t.TempDir(), cfg)
			r.must(os.Chmod(r.dir, 0o755))
			threadOf(r.c).cred.capsTried = !kept
			r.c.UID = 1000
			_, err := r.root.Mkdir(r.c, ninep.Name("becomes 1000"), 0o755, 1000)
			r.must(err)
			if uid, gid := fsIDs(); r.root.n.traits&anyUser != 0 && (uid != 1000 || gid != 1000) {
				t.Fatalf("the thread is %d:%d", uid, gid)
			}
			run(t, r)
		})
	}
}

// TestGuestDecides does for user 1000 what the host would refuse that user, who is not in
// the groups: the guest, which knows better, has allowed it.
func TestGuestDecides(t *testing.T) {
	eachCredWay(t, Config{}, func(t *testing.T, r *rig) {
		r.owned("team", unix.S_IFDIR|0o2770, 0, 50)
		r.owned("team/others", 0o660, 2000, 50)
		r.owned("team/secret", 0o600, 2000, 2000)
		r.owned("team/mine", 0o640, 1000, 1000)
		r.owned("closed", unix.S_IFDIR|0o700, 2000, 2000)
		r.owned("closed/file", 0o600, 2000, 2000)
		r.owned("sticky", unix.S_IFDIR|0o1777, 0, 0)
		r.owned("sticky/others", 0o644, 2000, 2000)
		r.owned("sticky/gone", 0o644, 2000, 2000)
		team, sticky := r.walk("team"), r.walk("sticky")
		const times = ninep.SetATime | ninep.SetMTime
		for _, c := range []struct {
			what string
			do   func() error
		}{
			{"create", func() error {
				_, err := r.walk("team").Create(r.c, ninep.Name("new"), excl, 0o400, 50)
				return err
			}},
			{"mkdir", func() error { _, err := team.Mkdir(r.c, ninep.Name("dir"), 0o750, 50); return err }},
			{"mkfifo", func() error { _, err := team.Mknod(r.c, ninep.Name("fifo"), unix.S_IFIFO|0o600, 0, 0, 50); return err }},
			{"symlink", func() error { _, err := team.Symlink(r.c, ninep.Name("link"), ninep.Name("x"), 50); return err }},
			{"link another's file", func() error { return team.Link(r.c, r.walk("team", "secret"), ninep.Name("hard")) }},
			{"open another's file", func() error { _, err := r.walk("team", "secret").Open(r.c, unix.O_RDWR); return err }},
			{"open without touching", func() error { _, err := r.walk("team", "secret").Open(r.c, 0o1000000); return err }},
			{"open what is in the way of a create", func() error {
				_, err := r.walk("sticky").Create(r.c, ninep.Name("others"), unix.O_RDWR|unix.O_CREAT, 0o600, 1000)
				return err
			}},
			{"search and read another's directory", func() error {
				_, err := r.walk("closed", "file").Open(r.c, unix.O_RDONLY)
				if err == nil {
					_, err = r.walk("closed").Open(r.c, unix.O_RDONLY)
				}
				return err
			}},
			{"truncate", func() error {
				return r.walk("team", "secret").SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetSize, Size: 1})
			}},
			{"utimes, now", func() error { return r.walk("team", "others").SetAttr(r.c, &ninep.SetAttr{Valid: times}) }},
			{"utimes", func() error {
				return r.walk("team", "others").SetAttr(r.c, &ninep.SetAttr{
					Valid: times | ninep.SetATimeSet | ninep.SetMTimeSet, ATime: ninep.Time{Sec: 1}, MTime: ninep.Time{Sec: 2},
				})
			}},
			{"chmod", func() error {
				return r.walk("team", "others").SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetMode, Mode: 0o2711})
			}},
			{"chgrp to a group of the user's", func() error {
				return r.walk("team", "mine").SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetGID, GID: 60})
			}},
			{"setxattr", func() error { return r.walk("team", "secret").SetXattr(r.c, "user.a", []byte("v"), 0) }},
			{"removexattr", func() error { return r.walk("team", "secret").RemoveXattr(r.c, "user.a") }},
			{"set an ACL", func() error { return team.SetXattr(r.c, xattrACLAccess, acl(1000, 60), 0) }},
			{"rename", func() error { return team.RenameAt(r.c, ninep.Name("others"), sticky, ninep.Name("moved")) }},
			{"rename over another's", func() error { return sticky.RenameAt(r.c, ninep.Name("moved"), sticky, ninep.Name("gone")) }},
			{"unlink", func() error { return team.UnlinkAt(r.c, ninep.Name("secret"), 0) }},
			{"unlink in a sticky directory", func() error { return sticky.UnlinkAt(r.c, ninep.Name("gone"), 0) }},
			{"rmdir", func() error { return team.UnlinkAt(r.c, ninep.Name("dir"), unix.AT_REMOVEDIR) }},
			{"statfs", func() error { return r.walk("closed", "file").StatFS(r.c, new(ninep.StatFS)) }},
		} {
			if err := c.do(); err != nil {
				t.Errorf("%s: %v", c.what, err)
			}
		}
		// An ACL's mask has taken the place of the group's bits, and nothing else.
		if got := r.mode("team"); got != 0o2664 {
			t.Errorf("the directory's mode is %#o", got)
		}
		for name, want := range map[string][3]uint32{
			"team/new": {1000, 50, 0o400}, "team/fifo": {1000, 50, 0o600}, "team/hard": {2000, 2000, 0o600}, "team/mine": {1000, 60, 0o640},
		} {
			var st unix.Stat_t
			r.must(unix.Lstat(r.path(name), &st))
			if got := [3]uint32{st.Uid, st.Gid, st.Mode & 0o7777}; got != want {
				t.Errorf("%s: %d, want %d", name, got, want)
			}
		}
	})
}

// TestOwnerFromTheBeginning: what is made is never somebody else's, and given away then.
func TestOwnerFromTheBeginning(t *testing.T) {
	eachCredWay(t, Config{}, func(t *testing.T, r *rig) {
		// Without the right to chown, nobody can give files away.
		for _, set := range []*[2]unix.CapUserData{&r.fs.creds.caps.with, &r.fs.creds.caps.without} {
			set[0].Effective &^= 1 << unix.CAP_CHOWN
		}
		r.fs.creds.caps.apply(false)
		owner := uint32(3000)
		for name, make := range map[string]func(name ninep.Name) error{
			"file": func(n ninep.Name) error { _, err := r.walk().Create(r.c, n, excl, 0o600, owner+1); return err },
			"dir":  func(n ninep.Name) error { _, err := r.root.Mkdir(r.c, n, 0o700, owner+1); return err },
			"node": func(n ninep.Name) error {
				_, err := r.root.Mknod(r.c, n, unix.S_IFREG|0o600, 0, 0, owner+1)
				return err
			},
			"symlink": func(n ninep.Name) error { _, err := r.root.Symlink(r.c, n, ninep.Name("x"), owner+1); return err },
		} {
			owner++
			r.c.UID = owner
			r.must(make(ninep.Name(name)))
			var st unix.Stat_t
			r.must(unix.Lstat(r.path(name), &st))
			if st.Uid != owner || st.Gid != owner+1 {
				t.Errorf("%s: %d:%d, want %d:%d", name, st.Uid, st.Gid, owner, owner+1)
			}
		}
		r.c.UID = 5
		r.want(r.walk("file").SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetUID, UID: 5}), unix.EPERM)
	})
}

// TestDefaultACL: a directory's ACL for what is made in it decides, and no umask.
func TestDefaultACL(t *testing.T) {
	eachCredWay(t, Config{}, func(t *testing.T, r *rig) {
		r.owned("d", unix.S_IFDIR|0o777, 0, 0)
		d := r.walk("d")
		if err := d.SetXattr(r.c, xattrACLDefault, acl(1001, 60), 0); err == unix.EOPNOTSUPP {
			t.Skip("needs a file system with ACLs")
		} else {
			r.must(err)
		}
		_, err := r.walk("d").Create(r.c, ninep.Name("f"), excl, 0o666, 1000)
		r.must(err)
		_, err = d.Mkdir(r.c, ninep.Name("d"), 0o777, 1000)
		r.must(err)
		_, err = d.Mknod(r.c, ninep.Name("n"), unix.S_IFREG|0o640, 0, 0, 1000)
		r.must(err)
		for name, want := range map[string]uint32{"d/f": 0o664, "d/d": 0o664, "d/n": 0o640} {
			if got := r.mode(name); got != want {
				t.Errorf("%s: mode %#o, want %#o", name, got, want)
			}
			v, err := r.walk(strings.Split(name, "/")...).GetXattr(r.c, ninep.Name(xattrACLAccess))
			if err != nil || !bytes.Contains(v, acl(1001, 60)[12:20]) {
				t.Errorf("%s: ACL %x, %v", name, v, err)
			}
		}
		if v, err := r.walk("d", "d").GetXattr(r.c, ninep.Name(xattrACLDefault)); err != nil || !bytes.Equal(v, acl(1001, 60)) {
			t.Errorf("the default ACL below is %x, %v", v, err)
		}
	})
}

// TestProtectedSysctls: the kernel's extra checks in sticky directories, which no
// capability lifts, are for programs that may be led astray.
func TestProtectedSysctls(t *testing.T) {
	eachCredWay(t, Config{}, func(t *testing.T, r *rig) {
		for sysctl, least := range map[string]int{"protected_regular": 2, "protected_fifos": 1, "protected_hardlinks": 1} {
			content, err := os.ReadFile("/proc/sys/fs/" + sysctl)
			r.must(err)
			value := 0
			_, err = fmt.Sscan(string(content), &value)
			r.must(err)
			if value < least {
				t.Logf("this kernel has fs.%s = %d: not tested", sysctl, value)
			}
		}
		for _, mode := range []uint32{0o1777, 0o1770} {
			dir := fmt.Sprintf("%o", mode)
			r.owned(dir, unix.S_IFDIR|mode, 2000, 50)
			r.owned(dir+"/file", 0o666, 3000, 3000)
			r.must(unix.Mkfifo(r.path(dir, "fifo"), 0o666))
			_, err := r.walk(dir).Create(r.c, ninep.Name("file"), unix.O_RDWR|unix.O_CREAT|lTruncated, 0o600, 1000)
			r.must(err)
			_, err = r.walk(dir).Create(r.c, ninep.Name("fifo"), unix.O_RDWR|unix.O_CREAT, 0o600, 1000)
			r.want(err, unix.ENXIO) // as every fifo
			r.must(r.walk(dir).Link(r.c, r.walk(dir, "file"), ninep.Name("hard")))
			r.must(r.walk(dir).Link(r.c, r.walk(dir, "fifo"), ninep.Name("hardfifo")))
		}
	})
}

// TestReservedBlocks: of a file system's space, the guest's users get what the host's do.
func TestReservedBlocks(t *testing.T) {
	privileged(t)
	const size = 16 << 20
	r := newRigAt(t, newFileSystem(t, "ext4", size, "mkfs.ext4", "-q", "-F", "-m", "40", "-O", "^has_journal"), Config{})
	r.must(os.Chmod(r.dir, 0o777))
	r.c.UID = 1000
	f := r.walk()
	_, err := f.Create(r.c, ninep.Name("f"), excl, 0o600, 1000)
	r.must(err)
	data := make([]byte, 64<<10)
	wrote := 0
	for err == nil {
		var n int
		n, err = f.Write(r.c, vec(data, len(data)), uint64(wrote))
		wrote += n
	}
	r.want(err, unix.ENOSPC)
	if wrote > size*6/10 || wrote < size/4 {
		t.Errorf("%d bytes could be written, of %d of which 40 %% are reserved", wrote, size)
	}
}
