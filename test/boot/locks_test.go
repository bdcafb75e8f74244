// SPDX-License-Identifier: Apache-2.0

//go:build boot

package boot

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/rig"
)

// lockRig is two guests that share a folder, each with a daemon, and the host.
type lockRig struct {
	*testing.T
	export string
	a, b   *orders
}

func newLockRig(t *testing.T) *lockRig {
	export := rig.Export(t)
	r := &lockRig{T: t, export: export}
	r.a = orderGuest(t, rig.UML, "a", rig.StartDaemon(t, export), rig.GuestConfig{Mem: "512M"})
	r.b = orderGuest(t, rig.UML, "b", rig.StartDaemon(t, export), rig.GuestConfig{Mem: "512M"})
	return r
}

// free fails unless the lock on a file can be had, or not, by the other guest, by
// flock(2) on the host and by fcntl(2) there.
func (r *lockRig) free(name string, want bool) {
	r.Helper()
	byGuest := r.b.try("flock -n %s true", name) == 0
	byFlock, byFcntl := hostLocks(r.T, filepath.Join(r.export, name))
	if byGuest != want || byFlock != want || byFcntl != want {
		r.Errorf("%s can be locked: by the other guest %v, on the host by flock %v and by fcntl %v; want %v",
			name, byGuest, byFlock, byFcntl, want)
	}
}

// hostLocks reports which exclusive locks a program on the host can have.
func hostLocks(t *testing.T, path string) (byFlock, byFcntl bool) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	byFlock = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
	byFcntl = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}) == nil
	return byFlock, byFcntl
}

func TestUMLLocksOfTwoGuests(t *testing.T) {
	if rig.Peer() {
		t.Skip("missing capability: locks that leave the server")
	}
	r := newLockRig(t)
	a, b := r.a, r.b
	for _, name := range []string{"f", "g"} {
		write(t, strings.Repeat("x", 1000), r.export, name)
	}

	part := func(name string, f func()) {
		began := time.Now()
		f()
		t.Logf("%s: %.1f s", name, time.Since(began).Seconds())
	}
	part("flock of a shell", func() {
		for _, redirection := range []string{"9>f", "9>>f", "9<f"} {
			a.do("exec %s; flock 9", redirection)
			r.free("f", false)
			a.do("true 9>&9; (sleep 0.01)") // children that close it
			time.Sleep(time.Second)
			r.free("f", false)
			a.do("flock -u 9")
			r.free("f", true)
			a.do("flock 9")
			r.free("f", false)
			a.do("exec 9>&-")
			r.free("f", true)
		}
		a.do("exec 9>f; flock -s 9")
		if b.try("flock -n -s f true") != 0 || b.try("flock -n f true") == 0 {
			t.Error("a shared lock is not shared")
		}
		if a.try("flock -n 9") != 0 { // by another process: the lock is changed
			t.Error("a lock could not be made exclusive")
		}
		r.free("f", false)
		a.do("exec 9>&-")
		a.do("( flock 9; touch has; until test -e go; do sleep 0.1; done ) 9>f & until test -e has; do sleep 0.1; done")
		r.free("f", false)
		a.do("touch go; wait")
		r.free("f", true)
		a.do("flock f true")
		r.free("f", true)
	})

	part("fcntl", func() {
		la := a.locker("f")
		lb := b.locker("f")
		defer la.end()
		defer lb.end()
		la.do("set w 0 0", "ok")
		r.free("f", false)
		lb.do("set w 5 5", "busy")
		lb.do("get w 5 5", "w 0 0 0") // another daemon's guest
		la.do("set u 0 0", "ok")
		r.free("f", true)
		lb.do("set w 5 5", "ok")
		la.do("set r 0 5", "ok")
		la.do("set r 0 6", "busy")
		la.do("get w 0 0", "w 5 5 0")
		// One process of the guest and another one.
		lc := a.locker("f")
		defer lc.end()
		lc.do("set w 20 5", "ok")
		la.do("get w 20 100", fmt.Sprintf("w 20 5 %s", lc.pid))
	})
	r.free("f", true)

	part("waiting", func() {
		a.do("exec 9>f; flock 9")
		began := time.Now()
		wait := b.start("flock f true")
		time.Sleep(500 * time.Millisecond)
		a.do("flock -u 9")
		released := time.Now()
		if _, status := wait(); status != 0 {
			t.Errorf("waiting for the lock: status %d", status)
		}
		if d := time.Since(released); d > 5*time.Second {
			t.Errorf("granted %v after the release", d)
		}
		t.Logf("granted %v after the order to wait", time.Since(began))

		// The host holds it, by flock and by fcntl.
		for _, lock := range []func(fd int) error{
			func(fd int) error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) },
			func(fd int) error {
				return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Start: 10, Len: 1})
			},
		} {
			f, err := os.OpenFile(filepath.Join(r.export, "f"), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			rig.Eventually(t, 10*time.Second, func() error { return lock(int(f.Fd())) })
			if b.try("flock -n f true") == 0 {
				t.Error("the host's lock is not seen")
			}
			wait := b.start("flock f true")
			time.Sleep(300 * time.Millisecond)
			f.Close()
			released := time.Now()
			if _, status := wait(); status != 0 {
				t.Errorf("waiting for the host's lock: status %d", status)
			}
			if d := time.Since(released); d > 5*time.Second {
				t.Errorf("granted %v after the host's release", d)
			}
		}

		// Whoever is killed while it waits has nothing, and is gone at once.
		a.do("exec 9>f; flock 9")
		b.do("flock f sleep 1000 & waiter=$!; (sleep 0.5); kill -9 $waiter; wait $waiter; test $? = 137")
		a.do("exec 9>&-")
		r.free("f", true)
	})

	part("sqlite", func() {
		const transactions = 60
		a.do(`sqlite3 -batch -bail db 'PRAGMA journal_mode=DELETE; CREATE TABLE counter (value); INSERT INTO counter VALUES (0)'`)
		count := fmt.Sprintf(`for n in $(seq %d); do
			echo 'BEGIN IMMEDIATE; UPDATE counter SET value = value + 1; COMMIT;'
		done | sqlite3 -batch -bail -cmd '.timeout 60000' db`, transactions)
		wa, wb := a.start("%s", count), b.start("%s", count)
		for _, wait := range []func() (string, int){wa, wb} {
			if out, status := wait(); status != 0 {
				t.Errorf("status %d: %s", status, out)
			}
		}
		for _, g := range []*orders{a, b} {
			if got := g.do(`sqlite3 -batch -bail db 'PRAGMA integrity_check; SELECT value FROM counter'`); got != fmt.Sprintf("ok\n%d", 2*transactions) {
				t.Errorf("the database says %q", got)
			}
		}
	})

	part("the end of a guest", func() {
		a.do("exec 9>f; flock 9")
		wait := b.start("flock f true")
		time.Sleep(200 * time.Millisecond)
		a.Kill()
		if _, status := wait(); status != 0 {
			t.Errorf("waiting for the lock: status %d", status)
		}
		b.do("exec 8>g; flock 8")
		if byFlock, byFcntl := hostLocks(t, filepath.Join(r.export, "g")); byFlock || byFcntl {
			t.Error("a held lock can be had")
		}
		b.Kill()
		rig.Eventually(t, 10*time.Second, func() error {
			if byFlock, byFcntl := hostLocks(t, filepath.Join(r.export, "g")); !byFlock || !byFcntl {
				return fmt.Errorf("a lock has outlived its guest")
			}
			return nil
		})
	})
}

// guestLocker is a process in a guest that takes and drops locks; see lockChild of the
// test program.
type guestLocker struct {
	o    *orders
	name string
	n    int
	pid  string
}

func (o *orders) locker(file string) *guestLocker {
	o.t.Helper()
	l := &guestLocker{o: o, name: fmt.Sprintf("locker%d", o.n)}
	l.pid = o.do(`exec {%[1]s}> >(exec "$guest" lockchild %[2]s >/tmp/%[1]s); echo $!`, l.name, file)
	return l
}

func (l *guestLocker) do(order, want string) {
	l.o.t.Helper()
	l.n++
	got := l.o.do(`echo %[1]s >&$%[2]s; until [ "$(wc -l </tmp/%[2]s)" = %[3]d ]; do sleep 0.01; done; tail -n 1 /tmp/%[2]s`,
		order, l.name, l.n)
	if got != want {
		l.o.t.Errorf("%s in guest %s: %q, want %q", order, filepath.Base(l.o.dir), got, want)
	}
}

func (l *guestLocker) end() { l.o.do("exec {%s}>&-", l.name) }

// TestUMLLocksOfReadOnlyShare: flock(2) is not writing.
func TestUMLLocksOfReadOnlyShare(t *testing.T) {
	if rig.Peer() {
		t.Skip("missing capability: locks that leave the server")
	}
	export := rig.Export(t)
	write(t, "", export, "f")
	write(t, "", export, "g")
	d := rig.StartDaemon(t, export, "--readonly")
	g := rig.UML(t, d, rig.GuestConfig{Mem: "512M", Script: `
exec 8<f 9<f
flock 8
! flock -n 9 || exit 1
! flock -n f true || exit 1
flock -n g true
echo locked
sleep 2
flock -u 8
flock -n 9
flock -n . true
`})
	g.WaitFor("locked", 1, time.Minute)
	if byFlock, byFcntl := hostLocks(t, filepath.Join(export, "f")); byFlock || byFcntl {
		t.Errorf("the host can lock: by flock %v, by fcntl %v", byFlock, byFcntl)
	}
	g.Wait(time.Minute)
}

// TestQEMUFlockOfAShell: also where the guest is slow.
func TestQEMUFlockOfAShell(t *testing.T) {
	if rig.Peer() {
		t.Skip("missing capability: locks that leave the server")
	}
	export := rig.Export(t)
	write(t, "", export, "f")
	d := rig.StartDaemon(t, export)
	o := orderGuest(t, rig.QEMU, "a", d, rig.GuestConfig{})
	check := func(want bool) {
		t.Helper()
		byFlock, byFcntl := hostLocks(t, filepath.Join(export, "f"))
		if byFlock != want || byFcntl != want {
			t.Errorf("the host can lock: by flock %v, by fcntl %v; want %v", byFlock, byFcntl, want)
		}
	}
	for range 5 {
		o.do("exec 9>f; flock 9")
		check(false)
		o.do("flock -u 9")
		check(true)
		o.do("flock 9; exec 9>&-")
		check(true)
	}
}
