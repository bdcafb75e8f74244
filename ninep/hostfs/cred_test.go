// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"fmt"
	"math/bits"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// needCaps skips the test without the capabilities.
func needCaps(t testing.TB, caps ...int) {
	t.Helper()
	effective := effectiveCaps(t)
	for _, c := range caps {
		if effective>>c&1 == 0 {
			t.Skipf("needs %s", capName(c))
		}
	}
}

// effectiveCaps are those of the thread.
func effectiveCaps(t testing.TB) uint64 {
	t.Helper()
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		t.Fatal(err)
	}
	return uint64(data[0].Effective) | uint64(data[1].Effective)<<32
}

func capName(c int) string {
	names := map[int]string{
		unix.CAP_CHOWN: "CAP_CHOWN", unix.CAP_DAC_OVERRIDE: "CAP_DAC_OVERRIDE", unix.CAP_FOWNER: "CAP_FOWNER",
		unix.CAP_FSETID: "CAP_FSETID", unix.CAP_MKNOD: "CAP_MKNOD", unix.CAP_SETGID: "CAP_SETGID",
		unix.CAP_SETFCAP: "CAP_SETFCAP",
		unix.CAP_SETPCAP: "CAP_SETPCAP", unix.CAP_SETUID: "CAP_SETUID", unix.CAP_SYS_ADMIN: "CAP_SYS_ADMIN",
	}
	if n := names[c]; n != "" {
		return n
	}
	return fmt.Sprintf("capability %d (bit %d)", c, bits.Len(uint(c)))
}

// fsIDs are those of the thread.
func fsIDs() (uid, gid uint32) {
	u, _, _ := unix.RawSyscall(unix.SYS_SETFSUID, uintptr(^uint32(0)), 0, 0)
	g, _, _ := unix.RawSyscall(unix.SYS_SETFSGID, uintptr(^uint32(0)), 0, 0)
	return uint32(u), uint32(g)
}

func TestCredentialsStayWhereTheyDoNotMatter(t *testing.T) {
	needCaps(t, unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_SETPCAP)
	r := newRig(t)
	before := effectiveCaps(t)
	mkdir := func(name string, uid, gid uint32) {
		t.Helper()
		r.c.UID = uid
		_, err := r.root.Mkdir(r.c, ninep.Name(name), 0o700, gid)
		r.must(err)
		if a := r.attr(r.walk(name)); a.UID != uid || a.GID != gid {
			t.Errorf("%s: owner %d:%d", name, a.UID, a.GID)
		}
	}
	now := func(uid, gid uint32) {
		t.Helper()
		if u, g := fsIDs(); u != uid || g != gid {
			t.Errorf("thread is %d:%d, want %d:%d", u, g, uid, gid)
		}
	}
	if r.root.n.traits&anyUser == 0 {
		t.Skip("needs a local file system")
	}
	mkdir("a", 1000, 1001)
	now(1000, 1001)
	if effectiveCaps(t) != before {
		t.Error("capabilities have changed")
	}
	r.must(r.walk("a").SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetUID | ninep.SetGID, UID: 5, GID: 5}))
	mkdir("b", 1000, 1002)
	mkdir("c", 2000, 1002)
	now(2000, 1002)
	mkdir("d", 0, 0)
	now(0, 0)
	mkdir("e", 0, 7)
	now(0, 7)

	// Where a server may judge by the user, the thread is the process's again.
	mkdir("f", 1000, 1000)
	f := r.walk("f")
	r.root.n.traits, f.n.traits = 0, 0
	r.attr(f)
	now(0, 0)
	mkdir("g", 1000, 1000)
	now(0, 0)
	r.root.n.traits = anyUser
}

// Without CAP_SETPCAP the kernel takes capabilities out of effect with the user, and
// they are given back.
func TestCredentialsWithoutKeptCaps(t *testing.T) {
	needCaps(t, unix.CAP_SETUID, unix.CAP_SETGID)
	r := newRig(t)
	threadOf(r.c).cred.capsTried = true
	before := effectiveCaps(t)
	for _, id := range []uint32{1234, 0, 5678} {
		r.c.UID = id
		name := fmt.Sprint(id)
		_, err := r.root.Mkdir(r.c, ninep.Name(name), 0o700, id+1)
		r.must(err)
		if a := r.attr(r.walk(name)); a.UID != id || a.GID != id+1 {
			t.Errorf("owner %d:%d, want %d:%d", a.UID, a.GID, id, id+1)
		}
		if got := effectiveCaps(t); got != before {
			t.Errorf("as %d: capabilities %x, not %x", id, got, before)
		}
	}
}

// An unprivileged daemon makes all objects its own.
func TestUnprivileged(t *testing.T) {
	r := newUnprivilegedRig(t, Config{}, func(string) {})
	r.c.UID = 1000
	f := r.walk()
	_, err := f.Create(r.c, ninep.Name("f"), excl, 0o444, 1000)
	r.must(err)
	r.write(f, 0, "data") // as it was opened for that
	r.must(f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetSize, Size: 2}))
	if a := r.attr(f); a.UID != 4321 || a.GID != 4321 || a.Mode&0o777 != 0o444 || a.Size != 2 {
		t.Errorf("got %+v", a)
	}
	r.want(r.walk("f").SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetSize}), unix.EACCES)
	// Not permitted before, but with what is asked for.
	r.must(r.walk("f").SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetSize | ninep.SetMode, Mode: 0o644, Size: 1}))
	if a := r.attr(f); a.Mode&0o777 != 0o644 || a.Size != 1 {
		t.Errorf("got %+v", a)
	}
	r.must(r.root.Link(r.c, f, ninep.Name("g")))
	r.want(f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetUID, UID: 1000}), unix.EPERM)
	_, err = r.root.Mkdir(r.c, ninep.Name("dir"), 0o500, 1000)
	r.must(err)
	d := r.open(unix.O_RDONLY, "dir")
	if n := len(r.list(d, 4096)); n != 2 {
		t.Errorf("%d entries", n)
	}
	// Reading takes no more than the right to read.
	r.must(d.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetMode, Mode: 0o400}))
	r.open(unix.O_RDONLY, "dir")
	_, err = r.root.Mknod(r.c, ninep.Name("dev"), unix.S_IFCHR|0o600, 1, 3, 0)
	r.want(err, unix.EPERM)
}
