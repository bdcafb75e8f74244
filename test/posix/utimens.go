// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

var (
	nowTime = unix.Timespec{Nsec: unix.UTIME_NOW}
	omitted = unix.Timespec{Nsec: unix.UTIME_OMIT}
)

func utimes(t *T) {
	for _, k := range kinds {
		t.group(k.name, func(t *T) {
			f := t.path("f")
			t.a(k, f, t.alice, 0o644)
			set := func(times ...unix.Timespec) unix.Errno { return t.root.utimens(f, unix.AT_SYMLINK_NOFOLLOW, times...) }
			times := func() string {
				st := t.lstat(f)
				return fmt.Sprint(st.Atim, st.Mtim)
			}
			for _, c := range [][2]int64{{1, 2}, {1 << 31, 1<<31 - 1}, {1<<32 + 5, 1 << 33}, {-1, -2}, {-1 << 31, 0}, {1234567890, 987654321}} {
				a, m := unix.Timespec{Sec: c[0]}, unix.Timespec{Sec: c[1]}
				t.is(fmt.Sprint(c), set(a, m), unix.Errno(0))
				t.is(fmt.Sprint(c, " gives"), times(), fmt.Sprint(a, m))
			}
			a, m := unix.Timespec{Sec: 1000, Nsec: 123456789}, unix.Timespec{Sec: 2000, Nsec: 999999999}
			t.is("nanoseconds", set(a, m), unix.Errno(0))
			t.is("nanoseconds give", times(), fmt.Sprint(a, m))
			a, m = unix.Timespec{Sec: 1000}, unix.Timespec{Sec: 2000}
			t.must("utimensat", set(a, m))
			t.moves("both omitted", func() unix.Errno { return set(omitted, omitted) }, 0, track{f, ""})
			t.moves("access alone", func() unix.Errno { return set(unix.Timespec{Sec: 3000}, omitted) }, 0, track{f, "ac"}, track{t.dir, ""})
			t.moves("modification alone", func() unix.Errno { return set(omitted, unix.Timespec{Sec: 4000}) }, 0, track{f, "mc"})
			t.is("alone gives", times(), fmt.Sprint(unix.Timespec{Sec: 3000}, unix.Timespec{Sec: 4000}))
			t.moves("the same", func() unix.Errno { return set(unix.Timespec{Sec: 3000}, unix.Timespec{Sec: 4000}) }, 0, track{f, "c"})
			isNow := func(ts unix.Timespec) bool { return time.Since(time.Unix(ts.Unix())).Abs() < time.Minute }
			t.is("now", set(nowTime, nowTime), unix.Errno(0))
			st := t.lstat(f)
			t.is("now gives", fmt.Sprint(isNow(st.Atim), isNow(st.Mtim)), "true true")
			t.must("utimensat", set(a, m))
			t.is("access now, modification omitted", set(nowTime, omitted), unix.Errno(0))
			st = t.lstat(f)
			t.is("access now, modification omitted, gives", fmt.Sprint(isNow(st.Atim), st.Mtim == m), "true true")
			t.must("utimensat", set(a, m))
			t.is("access given, modification now", set(a, nowTime), unix.Errno(0))
			st = t.lstat(f)
			t.is("access given, modification now, gives", fmt.Sprint(st.Atim == a, isNow(st.Mtim)), "true true")
			t.must("utimensat", set(a, m))
			t.is("NULL", t.root.utimens(f, unix.AT_SYMLINK_NOFOLLOW), unix.Errno(0))
			st = t.lstat(f)
			t.is("NULL gives", fmt.Sprint(isNow(st.Atim), isNow(st.Mtim)), "true true")
			for _, nsec := range []int64{-1, 1e9, 1 << 40} {
				t.refuses(fmt.Sprint("nanoseconds ", nsec), unix.EINVAL, func() unix.Errno { return set(a, unix.Timespec{Nsec: nsec}) }, f)
			}
			if k == symlink {
				return
			}
			t.must("symlink", t.root.symlink("f", t.path("s")))
			t.moves("a symlink", func() unix.Errno { return t.root.utimens(t.path("s"), unix.AT_SYMLINK_NOFOLLOW, a, m) }, 0, track{t.path("s"), "amc"}, track{f, ""})
			t.moves("through a symlink", func() unix.Errno { return t.root.utimens(t.path("s"), 0, a, m) }, 0, track{f, "amc"})
			utimesOf(t, k)
		})
	}
	t.group("descriptor", func(t *T) {
		for _, k := range []kind{regular, directory} {
			t.a(k, t.path(k.name), t.root, 0o644)
			fd := t.open(t.path(k.name), unix.O_RDONLY)
			a, m := unix.Timespec{Sec: 1000}, unix.Timespec{Sec: 2000}
			t.is(k.name, t.root.do(call{Op: "utimensat", FD: fd, Times: []unix.Timespec{a, m}, Flags: unix.AT_EMPTY_PATH}).Errno, unix.Errno(0))
			st := t.fstat(fd)
			t.is(k.name+" gives", fmt.Sprint(st.Atim, st.Mtim), fmt.Sprint(a, m))
			t.root.close(fd)
		}
		t.is("not open", t.root.do(call{Op: "utimensat", FD: 999, Flags: unix.AT_EMPTY_PATH}).Errno, unix.EBADF)
		t.is("unknown flags", t.root.utimens(t.path("regular"), 1<<20), unix.EINVAL)
	})
}

// utimesOf: the owner sets any times; who may write, the present alone.
func utimesOf(t *T, k kind) {
	f := t.path("of")
	t.a(k, f, t.alice, 0o400)
	a, m := unix.Timespec{Sec: 1000}, unix.Timespec{Sec: 2000}
	for _, c := range []struct {
		name  string
		times []unix.Timespec
		want  unix.Errno // of one who may write, but is not the owner
	}{
		{"given", []unix.Timespec{a, m}, unix.EPERM},
		{"NULL", nil, 0},
		{"now", []unix.Timespec{nowTime, nowTime}, 0},
		{"access now alone", []unix.Timespec{nowTime, omitted}, unix.EPERM},
		{"modification now alone", []unix.Timespec{omitted, nowTime}, unix.EPERM},
		{"omitted", []unix.Timespec{omitted, omitted}, 0},
		{"given and now", []unix.Timespec{a, nowTime}, unix.EPERM},
	} {
		t.must("chmod", t.root.chmod(f, 0o400))
		t.is(c.name+", by the owner", t.alice.utimens(f, 0, c.times...), unix.Errno(0))
		denied := c.want
		if denied == 0 && c.name != "omitted" {
			denied = unix.EACCES
		}
		if denied != 0 {
			t.refuses(c.name+", by another", denied, func() unix.Errno { return t.bob.utimens(f, 0, c.times...) }, f)
		}
		t.must("chmod", t.root.chmod(f, 0o666))
		t.is(c.name+", by another who may write", t.bob.utimens(f, 0, c.times...), c.want)
	}
}
