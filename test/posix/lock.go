// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

func locks(t *T) {
	t.must("chmod", t.root.chmod(".", 0o777))
	t.group("record", func(t *T) { recordLocks(t, unix.F_SETLK, unix.F_GETLK) })
	t.group("open file description", func(t *T) { recordLocks(t, unix.F_OFD_SETLK, unix.F_OFD_GETLK) })
	t.group("waiting", lockWaits)
	t.group("whose", lockOwners)
	t.group("whole files", flocks)
}

var lockNames = map[int16]string{unix.F_RDLCK: "r", unix.F_WRLCK: "w", unix.F_UNLCK: "u"}

// recordLocks are between two processes; then the matrix of types and ranges.
func recordLocks(t *T, setlk, getlk int) {
	t.file("f", "0123456789", 0o666)
	a, e := t.alice.open("f", unix.O_RDWR, 0)
	t.must("open", e)
	b, e := t.bob.open("f", unix.O_RDWR, 0)
	t.must("open", e)
	defer t.alice.close(a)
	defer t.bob.close(b)
	do := func(c *caller, fd, cmd int, typ int16, start, length int64) result {
		return c.do(call{Op: "fcntl-lock", FD: fd, Flags: cmd, Lock: unix.Flock_t{Type: typ, Start: start, Len: length}})
	}
	set := func(c *caller, fd int, typ int16, start, length int64) unix.Errno {
		return do(c, fd, setlk, typ, start, length).Errno
	}
	unlock := func() {
		t.must("unlock", set(t.alice, a, unix.F_UNLCK, 0, 0))
		t.must("unlock", set(t.bob, b, unix.F_UNLCK, 0, 0))
	}
	for _, held := range []int16{unix.F_RDLCK, unix.F_WRLCK} {
		for _, asked := range []int16{unix.F_RDLCK, unix.F_WRLCK} {
			for _, r := range []struct{ start, length int64 }{{10, 10}, {0, 10}, {0, 11}, {19, 1}, {20, 5}, {0, 0}, {15, 0}, {20, 0}, {12, 3}, {30, -15}} {
				what := fmt.Sprintf("%s held, %s at %d+%d", lockNames[held], lockNames[asked], r.start, r.length)
				t.must("lock", set(t.alice, a, held, 10, 10))
				start, end := r.start, r.start+r.length
				if r.length == 0 {
					end = 1 << 62
				} else if r.length < 0 {
					start, end = end, start
				}
				conflict := (held == unix.F_WRLCK || asked == unix.F_WRLCK) && start < 20 && end > 10
				want, seen := unix.Errno(0), "u"
				if conflict {
					pid := t.alice.pid
					if setlk == unix.F_OFD_SETLK {
						pid = -1
					}
					want, seen = unix.EAGAIN, fmt.Sprint(lockNames[held], " 10 10 ", pid)
				}
				got := do(t.bob, b, getlk, asked, r.start, r.length)
				shown := lockNames[got.Lock.Type]
				if shown != "u" {
					shown = fmt.Sprint(shown, " ", got.Lock.Start, " ", got.Lock.Len, " ", got.Lock.Pid)
				}
				t.is(what+", who", text(got.Errno)+" "+shown, "OK "+seen)
				t.is(what, set(t.bob, b, asked, r.start, r.length), want)
				unlock()
			}
		}
	}
	t.must("lock", set(t.alice, a, unix.F_WRLCK, 0, 100))
	t.is("split", set(t.alice, a, unix.F_UNLCK, 40, 20), unix.Errno(0))
	t.is("split, the middle", set(t.bob, b, unix.F_WRLCK, 40, 20), unix.Errno(0))
	t.is("split, before", set(t.bob, b, unix.F_WRLCK, 39, 1), unix.EAGAIN)
	t.is("split, behind", set(t.bob, b, unix.F_WRLCK, 60, 1), unix.EAGAIN)
	t.is("downgrade", set(t.alice, a, unix.F_RDLCK, 0, 40), unix.Errno(0))
	t.is("downgrade, shared", set(t.bob, b, unix.F_RDLCK, 0, 40), unix.Errno(0))
	t.is("upgrade of a shared one", set(t.alice, a, unix.F_WRLCK, 0, 40), unix.EAGAIN)
	unlock()
	reader, e := t.alice.open("f", unix.O_RDONLY, 0)
	t.must("open", e)
	t.is("write lock of one for reading", set(t.alice, reader, unix.F_WRLCK, 0, 1), unix.EBADF)
	t.is("read lock of one for reading", set(t.alice, reader, unix.F_RDLCK, 0, 1), unix.Errno(0))
	t.alice.close(reader)
	t.is("unknown type", set(t.alice, a, 99, 0, 1), unix.EINVAL)
	t.is("negative start", set(t.alice, a, unix.F_RDLCK, -1, 1), unix.EINVAL)
	t.is("to before the start", set(t.alice, a, unix.F_RDLCK, 5, -6), unix.EINVAL)
	t.is("beyond the end of the file", set(t.alice, a, unix.F_WRLCK, 1<<40, 10), unix.Errno(0))
	t.is("is held there", set(t.bob, b, unix.F_WRLCK, 1<<40, 1), unix.EAGAIN)
	t.is("the largest range", set(t.alice, a, unix.F_WRLCK, 1<<63-1, 1), unix.Errno(0))
	t.is("too large a range", set(t.alice, a, unix.F_WRLCK, 1<<63-1, 2), unix.EOVERFLOW)
	unlock()
	dir, e := t.alice.open(".", unix.O_RDONLY, 0)
	t.must("open", e)
	t.is("a folder", set(t.alice, dir, unix.F_RDLCK, 0, 1), unix.Errno(0))
	t.alice.close(dir)
}

func lockWaits(t *T) {
	t.file("f", "0123456789", 0o666)
	a, e := t.alice.open("f", unix.O_RDWR, 0)
	t.must("open", e)
	b, e := t.bob.open("f", unix.O_RDWR, 0)
	t.must("open", e)
	lock := func(typ int16) unix.Flock_t { return unix.Flock_t{Type: typ, Start: 0, Len: 10} }
	for _, how := range []struct {
		name      string
		set, wait call
		unlock    call
	}{
		{"record", call{Op: "fcntl-lock", Flags: unix.F_SETLK, Lock: lock(unix.F_WRLCK)}, call{Op: "fcntl-lock", Flags: unix.F_SETLKW, Lock: lock(unix.F_WRLCK)},
			call{Op: "fcntl-lock", Flags: unix.F_SETLK, Lock: lock(unix.F_UNLCK)}},
		{"open file description", call{Op: "fcntl-lock", Flags: unix.F_OFD_SETLK, Lock: lock(unix.F_WRLCK)}, call{Op: "fcntl-lock", Flags: unix.F_OFD_SETLKW, Lock: lock(unix.F_WRLCK)},
			call{Op: "fcntl-lock", Flags: unix.F_OFD_SETLK, Lock: lock(unix.F_UNLCK)}},
		{"whole file", call{Op: "flock", Flags: unix.LOCK_EX}, call{Op: "flock", Flags: unix.LOCK_EX}, call{Op: "flock", Flags: unix.LOCK_UN}},
	} {
		how.set.FD, how.wait.FD, how.unlock.FD = a, b, a
		t.is(how.name+", held", t.alice.do(how.set).Errno, unix.Errno(0))
		t.bob.start(how.wait)
		time.Sleep(50 * time.Millisecond)
		began := time.Now()
		t.is(how.name+", released", t.alice.do(how.unlock).Errno, unix.Errno(0))
		t.is(how.name+", granted", t.bob.wait().Errno, unix.Errno(0))
		t.is(how.name+", at once", time.Since(began) < 3*time.Second, true)
		how.unlock.FD = b
		t.is(how.name+", released again", t.bob.do(how.unlock).Errno, unix.Errno(0))
	}
	t.alice.close(a)
	t.bob.close(b)
}

// lockOwners: a process's record locks go with any close of the file, those of an open
// file description with its last.
func lockOwners(t *T) {
	t.file("f", "0123456789", 0o666)
	first, second := t.open("f", unix.O_RDWR), t.open("f", unix.O_RDWR)
	b, e := t.bob.open("f", unix.O_RDWR, 0)
	t.must("open", e)
	set := func(c *caller, fd, cmd int, typ int16) unix.Errno {
		return c.do(call{Op: "fcntl-lock", FD: fd, Flags: cmd, Lock: unix.Flock_t{Type: typ, Start: 0, Len: 10}}).Errno
	}
	t.is("record lock", set(t.root, first, unix.F_SETLK, unix.F_WRLCK), unix.Errno(0))
	t.is("by another descriptor of the process", set(t.root, second, unix.F_SETLK, unix.F_WRLCK), unix.Errno(0))
	t.is("another process", set(t.bob, b, unix.F_SETLK, unix.F_WRLCK), unix.EAGAIN)
	t.root.close(second)
	t.is("another process, after any close", set(t.bob, b, unix.F_SETLK, unix.F_WRLCK), unix.Errno(0))
	t.must("unlock", set(t.bob, b, unix.F_SETLK, unix.F_UNLCK))
	second = t.open("f", unix.O_RDWR)
	t.is("description lock", set(t.root, first, unix.F_OFD_SETLK, unix.F_WRLCK), unix.Errno(0))
	t.is("another description of the process", set(t.root, second, unix.F_OFD_SETLK, unix.F_WRLCK), unix.EAGAIN)
	t.is("another process's record lock", set(t.bob, b, unix.F_SETLK, unix.F_WRLCK), unix.EAGAIN)
	dup := int(t.root.do(call{Op: "dup", FD: first}).N)
	t.root.close(second)
	t.root.close(first)
	t.is("a duplicate holds it", set(t.bob, b, unix.F_SETLK, unix.F_WRLCK), unix.EAGAIN)
	t.root.close(dup)
	t.is("the last close", set(t.bob, b, unix.F_SETLK, unix.F_WRLCK), unix.Errno(0))
	t.bob.close(b)
}

func flocks(t *T) {
	t.file("f", "0123456789", 0o666)
	a, e := t.alice.open("f", unix.O_RDONLY, 0)
	t.must("open", e)
	b, e := t.bob.open("f", unix.O_RDWR, 0)
	t.must("open", e)
	flock := func(c *caller, fd, how int) unix.Errno {
		return c.do(call{Op: "flock", FD: fd, Flags: how | unix.LOCK_NB}).Errno
	}
	t.is("shared", flock(t.alice, a, unix.LOCK_SH), unix.Errno(0))
	t.is("shared with another", flock(t.bob, b, unix.LOCK_SH), unix.Errno(0))
	t.is("exclusive where shared", flock(t.bob, b, unix.LOCK_EX), unix.EAGAIN)
	t.is("released", flock(t.bob, b, unix.LOCK_UN), unix.Errno(0))
	t.is("exclusive, of one for reading", flock(t.alice, a, unix.LOCK_EX), unix.Errno(0))
	t.is("shared where exclusive", flock(t.bob, b, unix.LOCK_SH), unix.EAGAIN)
	t.is("another description of the process", func() unix.Errno {
		fd, e := t.alice.open("f", unix.O_RDWR, 0)
		t.must("open", e)
		defer t.alice.close(fd)
		return flock(t.alice, fd, unix.LOCK_EX)
	}(), unix.EAGAIN)
	dup := int(t.alice.do(call{Op: "dup", FD: a}).N)
	t.alice.close(a)
	t.is("a duplicate holds it", flock(t.bob, b, unix.LOCK_EX), unix.EAGAIN)
	t.alice.close(dup)
	t.is("the last close", flock(t.bob, b, unix.LOCK_EX), unix.Errno(0))
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	t.is("a record lock of the same process", t.bob.do(call{Op: "fcntl-lock", FD: b, Flags: unix.F_SETLK, Lock: lock}).Errno, unix.Errno(0))
	a, e = t.alice.open("f", unix.O_RDWR, 0)
	t.must("open", e)
	t.must("flock", flock(t.bob, b, unix.LOCK_UN))
	t.is("where another has a record lock", flock(t.alice, a, unix.LOCK_EX), unix.Errno(0))
	t.alice.close(a)
	t.bob.close(b)
	for _, k := range []kind{directory, fifo} {
		t.a(k, k.name, t.root, 0o666)
		fd := t.open(k.name, unix.O_RDONLY|unix.O_NONBLOCK)
		t.is("of a "+k.name, flock(t.root, fd, unix.LOCK_EX), unix.Errno(0))
		t.root.close(fd)
	}
}
