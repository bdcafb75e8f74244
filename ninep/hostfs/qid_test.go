// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"fmt"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

func TestQIDVersion(t *testing.T) {
	r := newRig(t)
	r.put("f", "1")
	f := r.open(unix.O_RDWR, "f")
	seen := map[uint32]string{}
	next := func(what string) {
		t.Helper()
		time.Sleep(2 * tick)
		v := r.attr(f).QID.Version
		if v == 0 || seen[v] != "" {
			t.Errorf("%s: version %d, before %v", what, v, seen)
		}
		seen[v] = what
	}
	next("new")
	r.write(f, 0, "2")
	next("written")
	r.must(os.Chmod(r.path("f"), 0o600))
	next("chmod")
	r.must(os.Chtimes(r.path("f"), time.Unix(1, 0), time.Unix(1, 0)))
	next("utimes")
	r.must(os.Rename(r.path("f"), r.path("g")))
	next("renamed")
	r.must(unix.Setxattr(r.path("g"), "user.x", []byte("1"), 0))
	next("xattr")
	r.must(os.Link(r.path("g"), r.path("h")))
	next("linked")
	a := r.attr(f).QID
	r.read(f, 0, 1)
	if b := r.attr(f).QID; a != b {
		t.Errorf("reading made %v of %v", b, a)
	}
	// Another run, another FS.
	other := newRigAt(t, r.dir, Config{})
	if b := other.attr(other.walk("g")).QID.Version; b != a.Version {
		t.Errorf("version is %d after a restart, was %d", b, a.Version)
	}
	// All messages tell the same one.
	g, q, err := r.walkFrom(r.root, "g")
	r.must(err)
	defer g.Close(nil)
	if q != a {
		t.Errorf("walk: %v, getattr: %v", q, a)
	}
	if q, err = g.Open(r.c, unix.O_RDONLY); err != nil || q != a {
		t.Errorf("open: %v, %v, getattr: %v", q, err, a)
	}
}

// A directory's version changes with its entries.
func TestQIDVersionOfDirectory(t *testing.T) {
	r := newRig(t)
	r.mkdir("d")
	d := r.walk("d")
	seen := map[uint32]bool{}
	for i, change := range []func(){
		func() {},
		func() { r.put("d/f", "") },
		func() { r.must(os.Rename(r.path("d", "f"), r.path("d", "g"))) },
		func() { r.must(os.Remove(r.path("d", "g"))) },
		func() { r.must(os.Chmod(r.path("d"), 0o700)) },
	} {
		change()
		v := r.attr(d).QID.Version
		if v == 0 || seen[v] {
			t.Errorf("version %d after change %d, before %v", v, i, seen)
		}
		seen[v] = true
		time.Sleep(2 * tick)
		seen[r.attr(d).QID.Version] = true
	}
}

// needExactTimes skips where the change time of what is written twice in a tick can stay
// the same.
func needExactTimes(t *testing.T, r *rig) {
	t.Helper()
	if r.root.n.traits&exactTimes == 0 {
		t.Skip("needs multigrain timestamps: Linux 6.13 and ext4, xfs, btrfs or tmpfs")
	}
}

// Each change is seen that follows a look, however soon, also if the size stays.
func TestEachChangeIsSeen(t *testing.T) {
	r := newRig(t)
	needExactTimes(t, r)
	r.put("f", "1")
	r.mkdir("d")
	f, d := r.open(unix.O_RDWR, "f"), r.walk("d")
	const mask = ninep.AttrBasic | ninep.AttrDataVersion
	var a ninep.Attr
	r.must(f.GetAttr(r.c, mask, &a))
	if a.Valid&ninep.AttrDataVersion == 0 {
		t.Error("no data version")
	}
	versions, dirVersions := map[uint32]bool{a.QID.Version: true}, map[uint32]bool{r.attr(d).QID.Version: true}
	began := time.Now()
	const changes = 300
	for i := range changes {
		before := a.DataVersion
		r.write(f, 0, fmt.Sprint(i%10))
		r.must(f.GetAttr(r.c, mask, &a))
		if a.DataVersion <= before {
			t.Fatalf("data version %d after %d", a.DataVersion, before)
		}
		versions[a.QID.Version] = true
		r.put("d/f", "")
		r.must(os.Remove(r.path("d", "f")))
		dirVersions[r.attr(d).QID.Version] = true
	}
	if len(versions) != changes+1 || len(dirVersions) != changes+1 {
		t.Errorf("%d changes (in %v) have made %d versions of the file, %d of the directory",
			changes, time.Since(began), len(versions), len(dirVersions))
	}
}

// Where changes can share a change time, a version that was given while that was so is
// not given again.
func TestProvisionalVersion(t *testing.T) {
	now := func(age time.Duration) unix.Statx_t {
		at := time.Now().Add(-age)
		return unix.Statx_t{
			Size:  5,
			Ctime: unix.StatxTimestamp{Sec: at.Unix(), Nsec: uint32(at.Nanosecond()) | 1},
		}
	}
	for name, c := range map[string]struct {
		traits      traits
		age         time.Duration
		noNanos     bool
		provisional bool
	}{
		"exact times":                  {ownClock | exactTimes, 0, false, false},
		"whole seconds, exact or not":  {ownClock | exactTimes, time.Second / 2, true, true},
		"within a tick":                {ownClock, tick / 2, false, true},
		"after a tick":                 {ownClock, 2 * tick, false, false},
		"within a second, whole ones":  {ownClock, time.Second / 2, true, true},
		"another clock, within a tick": {0, tick / 2, false, true},
		"another clock, a second ago":  {0, time.Second, false, true},
		"another clock, ahead":         {0, -time.Second, false, true},
		"another clock, long ago":      {0, time.Minute, false, false},
	} {
		stx := now(c.age)
		if c.noNanos {
			stx.Ctime.Nsec = 0
		}
		first := c.traits.qidVersion(&stx)
		if again := c.traits.qidVersion(&stx); again != first {
			t.Errorf("%s: version %d, then %d, of the same", name, first, again)
		}
		ns, _ := c.traits.changeTime(&stx)
		final := versionOf(ns, stx.Size, false)
		if (first != final) != c.provisional {
			t.Errorf("%s: version %d, later %d", name, first, final)
		}
	}

	// The same on a file.
	r := newRig(t)
	r.put("f", "1")
	f := r.open(unix.O_RDWR, "f")
	f.n.traits &^= exactTimes
	var a ninep.Attr
	r.must(f.GetAttr(r.c, ninep.AttrBasic|ninep.AttrDataVersion, &a))
	if a.Valid&ninep.AttrDataVersion != 0 || a.DataVersion != 0 {
		t.Errorf("a data version, %d, made of a clock in ticks", a.DataVersion)
	}
	seen := map[uint32]bool{}
	for began := time.Now(); time.Since(began) < 3*tick; {
		r.write(f, 0, "2")
		seen[r.attr(f).QID.Version] = true
	}
	r.write(f, 0, "3")
	time.Sleep(2 * tick)
	v := r.attr(f).QID.Version
	if seen[v] {
		t.Error("what was seen before the last change has the version that it has now")
	}
	if r.attr(f).QID.Version != v {
		t.Error("the version does not stay")
	}
}

func TestReleaseAtLeast(t *testing.T) {
	for release, want := range map[string]bool{
		"6.13.0": true, "6.13-rc1": true, "6.13": true, "6.18.44-fc-v445": true, "7.0.1": true, "10.1": true,
		"6.12.99": false, "6.1.0-13-amd64": false, "5.15.0": false, "": false, "x": false, "6": false, "6.x": false,
	} {
		if got := releaseAtLeast(release, 6, 13); got != want {
			t.Errorf("%q: %v", release, got)
		}
	}
}
