// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// ready returns l as a request that is ready to wait: flock(2) without LOCK_NB and
// fcntl(F_SETLKW) send all of theirs so.
func ready(l *ninep.Lock) *ninep.Lock {
	l.Flags = ninep.LockFlagBlock
	return l
}

// guests returns two rigs on one directory with the file f.
func guests(t *testing.T) (a, b *rig) {
	a = newRig(t)
	a.put("f", "data")
	return a, newRigAt(t, a.dir, Config{})
}

// held fails unless, to guest r, the file g is locked by another guest.
func (r *rig) held(g *file, typ ninep.LockType, want bool) {
	r.Helper()
	status := granted
	if want {
		status = blocked
	}
	r.tryLock(g, lock("probe", 99, typ, 0, 0), status)
	r.tryLock(g, lock("probe", 99, un, 0, 0), granted)
}

// TestFlockOfAShell is "exec 9>f; flock 9", and later "flock -u 9": the processes that
// lock and unlock exit at once, and when a process that has the file open exits, Linux
// unlocks the whole file in its name.
func TestFlockOfAShell(t *testing.T) {
	for name, c := range map[string]struct {
		flags uint32
		typ   ninep.LockType
		other ninep.LockType // what another guest cannot have
	}{
		"9>f exclusive": {unix.O_WRONLY, wr, rd},
		"9>f shared":    {unix.O_WRONLY, rd, wr},
		"9<f exclusive": {unix.O_RDONLY, wr, rd},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := guests(t)
			f, g := a.open(c.flags, "f"), b.open(unix.O_RDWR, "f")
			a.tryLock(f, ready(lock("a", 10, c.typ, 0, 0)), granted)
			a.tryLock(f, lock("a", 10, un, 0, 0), granted) // flock(1) exits
			b.held(g, c.other, true)
			a.tryLock(f, lock("a", 11, un, 0, 0), granted) // so does some other child
			b.held(g, c.other, true)
			a.tryLock(f, ready(lock("a", 12, un, 0, 0)), granted) // flock -u
			b.held(g, c.other, false)
			a.tryLock(f, lock("a", 12, un, 0, 0), granted)

			// flock(1) has inherited another descriptor of the file, too.
			f3 := a.open(c.flags, "f")
			a.tryLock(f3, ready(lock("a", 13, c.typ, 0, 0)), granted)
			a.tryLock(f, lock("a", 13, un, 0, 0), granted)
			a.tryLock(f3, lock("a", 13, un, 0, 0), granted)
			b.held(g, c.other, true)
			a.tryLock(f, ready(lock("a", 14, un, 0, 0)), granted) // not that one
			b.held(g, c.other, true)
			a.tryLock(f3, ready(lock("a", 14, un, 0, 0)), granted)
			b.held(g, c.other, false)

			// Again, and the shell exits.
			f2, _, err := a.walkFrom(a.root, "f")
			a.must(err)
			_, err = f2.Open(a.c, c.flags)
			a.must(err)
			a.tryLock(f2, ready(lock("a", 20, c.typ, 0, 0)), granted)
			a.tryLock(f2, lock("a", 20, un, 0, 0), granted)
			b.held(g, c.other, true)
			a.tryLock(f2, lock("a", 9, un, 0, 0), granted)
			f2.Close(nil)
			b.held(g, c.other, false)
		})
	}
}

// TestUnlockByFcntl: of locks that may be fcntl's, the unlocking is believed.
func TestUnlockByFcntl(t *testing.T) {
	for name, between := range map[string]func(a *rig, f *file){
		"O_RDWR": nil,
		"O_WRONLY, written": func(a *rig, f *file) {
			a.write(f, 0, "x")
		},
		"O_WRONLY, held for long": func(a *rig, f *file) {
			f.open.locks.Load().owners[0].since = time.Now().Add(-2 * flockExit)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := guests(t)
			flags := uint32(unix.O_WRONLY)
			if between == nil {
				flags = unix.O_RDWR
			}
			f, g := a.open(flags, "f"), b.open(unix.O_RDWR, "f")
			a.tryLock(f, lock("a", 1, wr, 0, 0), granted)
			b.held(g, rd, true)
			if between != nil {
				between(a, f)
			}
			a.tryLock(f, lock("a", 1, un, 0, 0), granted)
			b.held(g, rd, false)
		})
	}

	// A part of the file cannot be flock's.
	a, b := guests(t)
	f, g := a.open(unix.O_WRONLY, "f"), b.open(unix.O_RDWR, "f")
	a.tryLock(f, lock("a", 1, wr, 0, 10), granted)
	a.tryLock(f, lock("a", 1, un, 0, 0), granted)
	b.held(g, rd, false)

	// A process that goes on was not flock(1): what it had dropped is dropped when it
	// asks for something else, and next time at once.
	a.tryLock(f, lock("a", 1, wr, 0, 0), granted)
	a.tryLock(f, lock("a", 1, un, 0, 0), granted)
	b.held(g, rd, true)
	a.tryLock(f, lock("a", 1, wr, 5, 1), granted)
	b.tryLock(g, lock("b", 1, wr, 0, 5), granted)
	b.tryLock(g, lock("b", 1, un, 0, 0), granted)
	a.tryLock(f, lock("a", 1, wr, 0, 0), granted)
	a.tryLock(f, lock("a", 1, un, 0, 0), granted)
	b.held(g, rd, false)
}

// TestDoubtfulLockGivesWay: between the processes of one guest its kernel decides, so a
// request that reaches the daemon shows that the lock is gone.
func TestDoubtfulLockGivesWay(t *testing.T) {
	a, b := guests(t)
	f, f2, g := a.open(unix.O_WRONLY, "f"), a.open(unix.O_RDWR, "f"), b.open(unix.O_RDWR, "f")
	a.tryLock(f, lock("a", 1, wr, 0, 0), granted)
	a.tryLock(f2, lock("a", 2, wr, 0, 5), blocked)
	a.tryLock(f, lock("a", 1, un, 0, 0), granted)
	a.must(f2.GetLock(a.c, lock("a", 3, wr, 0, 0)))
	a.tryLock(f2, lock("a", 2, wr, 0, 5), granted)
	b.tryLock(g, lock("b", 1, wr, 5, 1), granted)
	b.tryLock(g, lock("b", 1, wr, 4, 1), blocked)
}

// TestFlockChangesHands: a child that has inherited the open file changes the lock.
func TestFlockChangesHands(t *testing.T) {
	a, b := guests(t)
	f, f2, g := a.open(unix.O_RDWR, "f"), a.open(unix.O_RDWR, "f"), b.open(unix.O_RDWR, "f")
	a.tryLock(f, ready(lock("a", 1, rd, 0, 0)), granted)
	b.held(g, rd, false)
	a.tryLock(f, ready(lock("a", 2, wr, 0, 0)), granted)
	b.held(g, rd, true)
	a.tryLock(f2, lock("a", 3, wr, 0, 0), blocked) // another open file
	a.tryLock(f, lock("c", 3, wr, 0, 0), blocked)  // another client
	a.tryLock(f, lock("a", 3, wr, 0, 10), blocked) // not flock

	// Had it been fcntl's, the first process would be on the way to unlock.
	a.tryLock(f, ready(lock("a", 1, un, 0, 0)), granted)
	b.held(g, rd, true)
	a.tryLock(f, lock("a", 1, un, 0, 0), granted)
	b.held(g, rd, true)
	a.tryLock(f, ready(lock("a", 4, un, 0, 0)), granted)
	b.held(g, rd, false)

	// A change that another guest stands in the way of changes nothing.
	a.tryLock(f, ready(lock("a", 1, rd, 0, 0)), granted)
	b.tryLock(g, lock("b", 1, rd, 0, 0), granted)
	a.tryLock(f, lock("a", 2, wr, 0, 0), blocked)
	b.tryLock(g, lock("b", 1, wr, 0, 0), blocked)
	b.tryLock(g, lock("b", 1, un, 0, 0), granted)
	b.held(g, wr, true)
	b.held(g, rd, false)
}

// TestFlockOnTheHost: a lock on the whole file is one of flock(2) there, too.
func TestFlockOnTheHost(t *testing.T) {
	r := newRig(t)
	r.put("f", "data")
	f := r.open(unix.O_RDWR, "f")
	host, err := os.Open(r.path("f"))
	r.must(err)
	defer host.Close()
	hostFlock := func(how int, want error) {
		t.Helper()
		if err := unix.Flock(int(host.Fd()), how|unix.LOCK_NB); err != want {
			t.Fatalf("flock: %v, want %v", err, want)
		}
	}
	r.tryLock(f, lock("a", 1, wr, 0, 0), granted)
	hostFlock(unix.LOCK_SH, unix.EWOULDBLOCK)
	r.tryLock(f, lock("a", 1, rd, 0, 0), granted)
	hostFlock(unix.LOCK_EX, unix.EWOULDBLOCK)
	hostFlock(unix.LOCK_SH, nil)

	// Refused, and what was there stays.
	r.tryLock(f, lock("a", 1, wr, 0, 0), blocked)
	hostFlock(unix.LOCK_EX, unix.EWOULDBLOCK)
	other := newRigAt(t, r.dir, Config{})
	g := other.open(unix.O_RDWR, "f")
	other.held(g, wr, true)
	other.held(g, rd, false)

	hostFlock(unix.LOCK_SH, nil) // lost by the change that failed
	r.tryLock(f, lock("a", 1, un, 0, 0), granted)
	hostFlock(unix.LOCK_EX, nil)
	r.tryLock(f, lock("a", 1, rd, 0, 0), blocked)
	r.tryLock(f, lock("a", 1, wr, 0, 10), granted) // a part is not flock's
	hostFlock(unix.LOCK_UN, nil)
	r.tryLock(f, lock("a", 2, wr, 10, 0), granted)
	hostFlock(unix.LOCK_EX, nil)
}

// TestLocksWithoutWriting: flock(2) needs no right to write.
func TestLocksWithoutWriting(t *testing.T) {
	r := newRig(t)
	r.put("f", "")
	r.mkdir("d")
	f := r.open(unix.O_RDONLY, "f")
	r.tryLock(f, ready(lock("a", 1, wr, 0, 0)), granted)
	r.tryLock(f, ready(lock("a", 1, un, 0, 0)), granted)

	ro, ro2 := newRigAt(t, r.dir, Config{ReadOnly: true}), newRigAt(t, r.dir, Config{ReadOnly: true})
	g, h := ro.open(unix.O_RDONLY, "f"), ro2.open(unix.O_RDONLY, "f")
	ro.tryLock(g, ready(lock("a", 1, wr, 0, 0)), granted)
	ro.tryLock(ro.open(unix.O_RDONLY, "f"), lock("a", 2, rd, 0, 0), blocked)
	ro2.tryLock(h, lock("b", 1, wr, 0, 0), blocked)
	ro2.tryLock(h, lock("b", 1, rd, 0, 0), blocked)
	r.tryLock(f, lock("c", 1, wr, 0, 0), blocked)
	ro.tryLock(g, ready(lock("a", 1, un, 0, 0)), granted)
	ro2.tryLock(h, lock("b", 1, rd, 0, 0), granted)
	ro.tryLock(g, lock("a", 1, rd, 0, 0), granted)
	ro.tryLock(g, lock("a", 1, wr, 0, 0), blocked)

	d, d2 := r.open(unix.O_RDONLY, "d"), r.open(unix.O_RDONLY, "d")
	r.tryLock(d, ready(lock("a", 1, wr, 0, 0)), granted)
	r.tryLock(d2, lock("a", 2, rd, 0, 0), blocked)
	r.tryLock(d, ready(lock("a", 1, un, 0, 0)), granted)
	r.tryLock(d2, lock("a", 2, wr, 0, 0), granted)
}
