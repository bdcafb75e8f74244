// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"encoding/binary"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

func parseRanges(t testing.TB, text string) []IDRange {
	t.Helper()
	r, err := ParseIDRanges(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestParseIDRanges(t *testing.T) {
	for text, say := range map[string]string{
		"":                       `"" is not GUEST:HOST:COUNT`,
		"0":                      `"0" is not GUEST:HOST:COUNT`,
		"0:1":                    `"0:1" is not`,
		"0:1:2:3":                `"0:1:2:3" is not`,
		"0:1:x":                  `"0:1:x" is not`,
		"0:1:-1":                 `"0:1:-1" is not`,
		"0:1: 1":                 `"0:1: 1" is not`,
		"0:1:1,":                 `"" is not`,
		"0:4294967296:1":         `"0:4294967296:1" is not`,
		"0:1:0":                  `0:1:0 is empty`,
		"0:1:4294967295":         `0:1:4294967295 goes beyond the last ID, 4294967294`,
		"4294967295:0:1":         `4294967295:0:1 goes beyond`,
		"0:4294967295:1":         `0:4294967295:1 goes beyond`,
		"4294967290:0:6":         `4294967290:0:6 goes beyond`,
		"0:0:10,5:100:1":         `0:0:10 and 5:100:1 overlap in the guest's IDs`,
		"5:100:1,0:0:10":         `0:0:10 and 5:100:1 overlap in the guest's IDs`,
		"7:0:1,7:1:1":            `overlap in the guest's IDs`,
		"0:100:10,1000:109:1":    `0:100:10 and 1000:109:1 overlap in the host's IDs`,
		"0:0:4294967295,1:1:1":   `overlap in the guest's IDs`,
		"1:1000:1,0:1000:1":      `overlap in the host's IDs`,
		"0:4294967294:1,9:1:2:3": `"9:1:2:3" is not`,
	} {
		if r, err := ParseIDRanges(text); err == nil || !strings.HasPrefix(err.Error(), say) && !strings.HasSuffix(err.Error(), say) {
			t.Errorf("%q: %v, %v, want %s", text, r, err, say)
		}
	}
	for _, text := range []string{"0:0:4294967295", "4294967294:4294967294:1", "0:100000:65536,65536:0:1000", "0:10:10,10:0:10"} {
		if _, err := ParseIDRanges(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestIDs(t *testing.T) {
	const none = noID
	for _, c := range []struct {
		m    IDMap
		want [][3]uint32 // guest's ID, host's for an owner, what the guest sees of the guest's number on the host
	}{
		{IDMap{}, [][3]uint32{{0, 0, 0}, {1000, 1000, 1000}, {4294967294, 4294967294, 4294967294}}},
		{
			IDMap{Ranges: parseRanges(t, "0:100000:1000,1000:1000:1,5000:0:2")},
			[][3]uint32{
				{0, 100000, 5000}, {1, 100001, 5001}, {2, 100002, overflowID}, {999, 100999, overflowID}, {1000, 1000, 1000},
				{1001, none, overflowID}, {5000, 0, overflowID}, {5001, 1, overflowID}, {5002, none, overflowID},
				{100000, none, 0}, {100999, none, 999}, {101000, none, overflowID}, {65534, none, overflowID}, {4294967294, none, overflowID},
			},
		},
		{
			IDMap{Squash: true, SquashTo: 1000},
			[][3]uint32{{0, 1000, 0}, {1000, 1000, 1000}, {7, 1000, 7}, {4294967294, 1000, 4294967294}},
		},
		{
			IDMap{Ranges: parseRanges(t, "0:1000:1"), Squash: true, SquashTo: 1000},
			[][3]uint32{{0, 1000, overflowID}, {5, 1000, overflowID}, {1000, 1000, 0}},
		},
		{
			IDMap{Ranges: parseRanges(t, "0:0:4294967295"), Squash: true, SquashTo: 1},
			[][3]uint32{{0, 0, 0}, {4294967294, 4294967294, 4294967294}},
		},
	} {
		m := newIDs(&c.m)
		for _, w := range c.want {
			host, ok := m.toHost(w[0])
			if !ok {
				host = none
			}
			if shown := m.toGuest(w[0]); host != w[1] || shown != w[2] {
				t.Errorf("%+v: %d is %d on the host, shown for the host's is %d; want %d and %d", c.m, w[0], host, shown, w[1], w[2])
			}
		}
	}
}

// TestMappedOwners goes through all that has an owner.
func TestMappedOwners(t *testing.T) {
	privileged(t)
	needCaps(t, unix.CAP_MKNOD)
	for name, c := range map[string]struct {
		uids, gids IDMap
		host       [2]uint32 // on the host, of what 5:6 of the guest makes
		guest      [2]uint32 // in the guest
		refused    bool      // 50:60 and nobody make nothing
		others     [2]uint32 // in the guest, of a file of 70:80 on the host
	}{
		"mapped": {
			IDMap{Ranges: parseRanges(t, "0:100000:10")}, IDMap{Ranges: parseRanges(t, "0:200000:10")},
			[2]uint32{100005, 200006}, [2]uint32{5, 6}, true, [2]uint32{overflowID, overflowID},
		},
		"squashed": {
			IDMap{Squash: true, SquashTo: 3000}, IDMap{Squash: true, SquashTo: 4000},
			[2]uint32{3000, 4000}, [2]uint32{3000, 4000}, false, [2]uint32{70, 80},
		},
		"squashed and shown as root's": {
			IDMap{Squash: true, SquashTo: 3000, Ranges: parseRanges(t, "0:3000:1")},
			IDMap{Squash: true, SquashTo: 4000, Ranges: parseRanges(t, "0:4000:1")},
			[2]uint32{3000, 4000}, [2]uint32{0, 0}, false, [2]uint32{overflowID, overflowID},
		},
		"one of them": {
			IDMap{Ranges: parseRanges(t, "0:100000:10")}, IDMap{},
			[2]uint32{100005, 6}, [2]uint32{5, 6}, true, [2]uint32{overflowID, 80},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRigAt(t, t.TempDir(), Config{UIDs: c.uids, GIDs: c.gids})
			check := func(name string) {
				t.Helper()
				var st unix.Stat_t
				r.must(unix.Lstat(r.path(name), &st))
				if got := [2]uint32{st.Uid, st.Gid}; got != c.host {
					t.Errorf("%s: %v on the host, want %v", name, got, c.host)
				}
				if a := r.attr(r.walk(name)); a.UID != c.guest[0] || a.GID != c.guest[1] {
					t.Errorf("%s: %d:%d in the guest, want %v", name, a.UID, a.GID, c.guest)
				}
			}
			r.c.UID = 5
			makeAll := func(n string, gid uint32, want unix.Errno) {
				t.Helper()
				_, err := r.walk().Create(r.c, ninep.Name("file"+n), excl, 0o644, gid)
				errs := []error{err}
				_, err = r.root.Mkdir(r.c, ninep.Name("dir"+n), 0o755, gid)
				errs = append(errs, err)
				_, err = r.root.Mknod(r.c, ninep.Name("node"+n), unix.S_IFCHR|0o644, 1, 3, gid)
				errs = append(errs, err)
				_, err = r.root.Symlink(r.c, ninep.Name("link"+n), ninep.Name("target"), gid)
				for _, err := range append(errs, err) {
					r.outcome(err, want)
				}
			}
			makeAll("", 6, 0)
			for _, name := range []string{"file", "dir", "node", "link"} {
				check(name)
			}

			// A file of the host's is given to the user, and owners stay that nobody names.
			r.owned("given", 0o644, 70, 80)
			f := r.walk("given")
			if a := r.attr(f); a.UID != c.others[0] || a.GID != c.others[1] {
				t.Errorf("another's file is shown as %d:%d's, want %v", a.UID, a.GID, c.others)
			}
			r.must(f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetUID, UID: 5, GID: 77}))
			r.must(f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetUID | ninep.SetGID, UID: noID, GID: 6}))
			check("given")

			if !c.refused {
				r.c.UID = 50
				makeAll("2", 60, 0)
				check("file2")
				r.c.UID = noID
				makeAll("3", noID, 0)
				check("dir3")
				return
			}
			r.want(f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetUID, UID: 50}), unix.EOVERFLOW)
			r.c.UID = 50
			makeAll("2", 6, unix.EOVERFLOW)
			// The daemon's own user is none of the guest's.
			r.c.UID = noID
			makeAll("2", 6, unix.EOVERFLOW)
			if left, err := filepath.Glob(r.path("*2")); err != nil || len(left) > 0 {
				t.Errorf("made all the same: %q, %v", left, err)
			}
		})
	}
}

func (r *rig) outcome(err error, want unix.Errno) {
	r.Helper()
	if want == 0 {
		r.must(err)
		return
	}
	r.want(err, want)
}

// TestMappedRoot: it is the guest's root that leaves set-id bits, whoever that is here.
func TestMappedRoot(t *testing.T) {
	privileged(t)
	r := newRigAt(t, t.TempDir(), Config{UIDs: IDMap{Ranges: parseRanges(t, "0:100000:10,1000:0:1")}})
	r.owned("f", 0o4755, 100000, 0)
	r.c.UID = 0
	r.write(r.open(unix.O_WRONLY, "f"), 0, "r")
	if got := r.mode("f"); got != 0o4755 {
		t.Errorf("%#o after the guest's root has written", got)
	}
	r.c.UID = 1000
	r.write(r.open(unix.O_WRONLY, "f"), 0, "u")
	if got := r.mode("f"); got != 0o755 {
		t.Errorf("%#o after the host's root has written", got)
	}
}

// acl returns the value of an ACL with an entry for a user and one for a group.
func acl(uid, gid uint32) []byte {
	v := binary.LittleEndian.AppendUint32(nil, aclVersion)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{0x01, 6, noID}, {aclUser, 4, uid}, {0x04, 4, noID}, {aclGroup, 6, gid}, {0x10, 6, noID}, {0x20, 4, noID}} {
		v = binary.LittleEndian.AppendUint16(v, e.tag)
		v = binary.LittleEndian.AppendUint16(v, e.perm)
		v = binary.LittleEndian.AppendUint32(v, e.id)
	}
	return v
}

// hostXattr returns what the host has.
func (r *rig) hostXattr(path, name string) string {
	r.Helper()
	buf := make([]byte, maxXattr)
	n, err := unix.Getxattr(path, name, buf)
	r.must(err)
	return string(buf[:n])
}

func TestMappedACLs(t *testing.T) {
	privileged(t)
	r := newRigAt(t, t.TempDir(), Config{
		UIDs: IDMap{Ranges: parseRanges(t, "0:100000:10"), Squash: true, SquashTo: 9},
		GIDs: IDMap{Ranges: parseRanges(t, "0:200000:10")},
	})
	r.mkdir("d")
	d := r.walk("d")
	for _, name := range []string{xattrACLAccess, xattrACLDefault} {
		given := acl(1, 2)
		r.must(d.SetXattr(r.c, name, given, 0))
		if got := r.hostXattr(r.path("d"), name); got != string(acl(100001, 200002)) {
			t.Errorf("%s on the host: %x", name, got)
		}
		if string(given) != string(acl(1, 2)) {
			t.Error("the caller's value has changed")
		}
		if v, err := d.GetXattr(r.c, ninep.Name(name)); err != nil || string(v) != string(acl(1, 2)) {
			t.Errorf("%s in the guest: %x, %v", name, v, err)
		}
		// Squashed, an entry would mean all users.
		r.want(d.SetXattr(r.c, name, acl(10, 2), 0), unix.EOVERFLOW)
		r.want(d.SetXattr(r.c, name, acl(1, 10), 0), unix.EOVERFLOW)
		r.must(unix.Setxattr(r.path("d"), name, acl(100002, 7), 0))
		if v, err := d.GetXattr(r.c, ninep.Name(name)); err != nil || string(v) != string(acl(2, overflowID)) {
			t.Errorf("%s with a group that the guest lacks: %x, %v", name, v, err)
		}
	}
	// What is no ACL is for the kernel to refuse.
	for _, bad := range []string{"\x02\x00", "\x02\x00\x00\x00\x02\x00", "\x03\x00\x00\x00\x01\x00\x06\x00\xff\xff\xff\xff"} {
		if err := d.SetXattr(r.c, xattrACLAccess, []byte(bad), 0); err != unix.EINVAL && err != unix.EOPNOTSUPP {
			t.Errorf("%x: %v", bad, err)
		}
	}
}

func capsOf(rev uint32, root ...uint32) string {
	v := binary.LittleEndian.AppendUint32(nil, rev|1)
	for _, n := range append([]uint32{0x400, 0, 0, 0}, root...) {
		v = binary.LittleEndian.AppendUint32(v, n)
	}
	return string(v)
}

// TestMappedCapabilities: what the guest's root gives to a program holds for that root's
// counterpart, and not for the host's.
func TestMappedCapabilities(t *testing.T) {
	privileged(t)
	r := newRigAt(t, t.TempDir(), Config{UIDs: IDMap{Ranges: parseRanges(t, "0:100000:10,20:0:1")}})
	r.put("f", "")
	f := r.walk("f")
	for _, c := range []struct{ guest, host string }{
		{capsOf(capRevision2), capsOf(capRevision3, 100000)},
		{capsOf(capRevision3, 5), capsOf(capRevision3, 100005)},
		{capsOf(capRevision3, 20), capsOf(capRevision2)},
	} {
		r.must(f.SetXattr(r.c, capXattr, []byte(c.guest), 0))
		if got := r.hostXattr(r.path("f"), capXattr); got != c.host {
			t.Errorf("%x on the host: %x, want %x", c.guest, got, c.host)
		}
		if v, err := f.GetXattr(r.c, ninep.Name(capXattr)); err != nil || string(v) != c.guest {
			t.Errorf("in the guest: %x, %v, want %x", v, err, c.guest)
		}
	}
	r.want(f.SetXattr(r.c, capXattr, []byte(capsOf(capRevision3, 10)), 0), unix.EOVERFLOW)
	r.want(f.SetXattr(r.c, capXattr, []byte("bad"), 0), unix.EINVAL)
	r.must(unix.Setxattr(r.path("f"), capXattr, []byte(capsOf(capRevision3, 7)), 0))
	if v, err := f.GetXattr(r.c, ninep.Name(capXattr)); err != nil || string(v) != capsOf(capRevision3, overflowID) {
		t.Errorf("of another's root: %x, %v", v, err)
	}
}

// TestSquashWithoutRoot: a daemon that is nobody special serves a guest that believes to
// own everything as root.
func TestSquashWithoutRoot(t *testing.T) {
	m := IDMap{Ranges: parseRanges(t, "0:4321:1"), Squash: true, SquashTo: 4321}
	r := newUnprivilegedRig(t, Config{UIDs: m, GIDs: m}, func(string) {})
	r.c.UID = 1000
	_, err := r.root.Mkdir(r.c, ninep.Name("d"), 0o755, 1000)
	r.must(err)
	d := r.walk("d")
	r.must(d.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetUID | ninep.SetGID, UID: 33, GID: 44}))
	if a := r.attr(d); a.UID != 0 || a.GID != 0 {
		t.Errorf("shown as %d:%d's", a.UID, a.GID)
	}
}
