// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"bufio"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/ninetest"
)

func lock(client string, proc uint32, typ ninep.LockType, start, length uint64) *ninep.Lock {
	return &ninep.Lock{Type: typ, Start: start, Length: length, ProcID: proc, ClientID: ninep.Name(client)}
}

func (r *rig) tryLock(f *file, l *ninep.Lock, want ninep.LockStatus) {
	r.Helper()
	got, err := f.Lock(r.c, l)
	r.must(err)
	if got != want {
		r.Fatalf("lock %+v: %d, want %d", l, got, want)
	}
}

const (
	rd = ninep.LockRead
	wr = ninep.LockWrite
	un = ninep.LockUnlock

	granted = ninep.LockSuccess
	blocked = ninep.LockBlocked
)

func TestLocksBetweenGuests(t *testing.T) {
	a := newRig(t)
	b := newRigAt(t, a.dir, Config{})
	a.put("f", "data")
	f, g := a.open(unix.O_RDWR, "f"), b.open(unix.O_RDWR, "f")
	a.tryLock(f, lock("a", 1, wr, 10, 10), granted)
	b.tryLock(g, lock("a", 1, wr, 15, 1), blocked) // of another guest, whatever it says
	b.tryLock(g, lock("b", 1, rd, 0, 10), granted)
	l := lock("b", 2, wr, 0, 10)
	b.must(g.GetLock(b.c, l))
	if l.Type != rd || l.Start != 0 || l.Length != 10 || string(l.ClientID) != "b" || l.ProcID != 1 {
		t.Errorf("held is %+v", l)
	}
	a.tryLock(f, lock("a", 1, rd, 0, 0), granted)
	b.tryLock(g, lock("b", 1, wr, 0, 1), blocked)
	l = lock("b", 1, wr, 0, 0)
	b.must(g.GetLock(b.c, l))
	if l.Type != rd || string(l.ClientID) != "host" {
		t.Errorf("held is %+v", l)
	}
	a.tryLock(f, lock("a", 1, un, 0, 0), granted)
	b.must(g.GetLock(b.c, lock("b", 1, wr, 0, 0)))
	b.tryLock(g, lock("b", 1, wr, 0, 0), granted)
}

func TestLocksGoWithTheFid(t *testing.T) {
	r := newRig(t)
	r.put("f", "")
	fds := len(openFDs())
	f, _, err := r.walkFrom(r.root, "f")
	r.must(err)
	_, err = f.Open(r.c, unix.O_RDWR)
	r.must(err)
	other := r.open(unix.O_RDWR, "f")
	// A flock is taken under one process and left under another.
	r.tryLock(f, lock("a", 1, wr, 0, 0), granted)
	r.tryLock(f, lock("a", 2, un, 0, 0), granted)
	r.tryLock(other, lock("b", 1, wr, 0, 0), blocked)
	f.Close()
	r.tryLock(other, lock("b", 1, wr, 0, 0), granted)

	// One process, two fids: the lock stays until both are gone.
	g, _, err := r.walkFrom(r.root, "f")
	r.must(err)
	_, err = g.Open(r.c, unix.O_RDWR)
	r.must(err)
	r.tryLock(g, lock("b", 1, wr, 0, 0), granted)
	g.Close()
	r.tryLock(other, lock("c", 1, rd, 0, 0), blocked)

	// Whoever has no lock has no descriptor either.
	r.tryLock(other, lock("b", 1, un, 0, 0), granted)
	for i := range uint32(20) {
		r.tryLock(other, lock("p", i, wr, 0, 1), granted)
		r.tryLock(other, lock("p", i, un, 0, 1), granted)
		r.tryLock(other, lock("p", i, un, 0, 1), granted)
	}
	if n := len(r.fs.locks.owners); n != 0 || len(other.open.owners) != 0 {
		t.Errorf("%d owners, %d of the fid", n, len(other.open.owners))
	}
	if n := len(openFDs()) - fds; n != 2 {
		t.Errorf("%d descriptors, not 2", n)
	}
	r.tryLock(other, lock("b", 1, wr, 0, 0), granted)
	r.fs.Reset()
	r.tryLock(other, lock("c", 1, wr, 0, 0), granted)
}

func TestLockOfReadOnlyFile(t *testing.T) {
	r := newRig(t)
	r.put("f", "")
	f := r.open(unix.O_RDONLY, "f")
	r.tryLock(f, lock("a", 1, wr, 0, 0), granted) // flock(2) can
	r.tryLock(f, lock("a", 1, un, 0, 0), granted)

	ro := newRigAt(t, r.dir, Config{ReadOnly: true})
	g := ro.open(unix.O_RDONLY, "f")
	ro.tryLock(g, lock("a", 1, rd, 0, 0), granted)
	_, err := g.Lock(ro.c, lock("a", 1, wr, 0, 0))
	ro.want(err, unix.EBADF)
	r.tryLock(f, lock("a", 1, wr, 0, 0), blocked)
}

// Locks on the host: by fcntl(2) of another process.
func TestLocksAgainstTheHost(t *testing.T) {
	r := newRig(t)
	r.put("f", "0123456789")
	f := r.open(unix.O_RDWR, "f")

	stop, pid := hostLock(t, r.path("f"), "lock 3 4")
	l := lock("a", 1, wr, 0, 0)
	r.must(f.GetLock(r.c, l))
	if l.Type != wr || l.Start != 3 || l.Length != 4 || l.ProcID != uint32(pid) || string(l.ClientID) != "host" {
		t.Errorf("held is %+v", l)
	}
	r.tryLock(f, lock("a", 1, rd, 6, 1), blocked)
	r.tryLock(f, lock("a", 1, wr, 0, 3), granted)
	stop()
	r.tryLock(f, lock("a", 1, wr, 0, 0), granted)
	stop, _ = hostLock(t, r.path("f"), "refused 3 4")
	stop()
}

const lockHelperEnv = "HOSTFS_LOCK_HELPER"

// lockHelper is another process: it takes a lock, or expects not to get it, says
// so, and waits.
func lockHelper(spec string) int {
	var what, path string
	fl := unix.Flock_t{Type: unix.F_WRLCK}
	if _, err := fmt.Sscan(spec, &what, &fl.Start, &fl.Len, &path); err != nil {
		fmt.Println(err)
		return 1
	}
	fd, err := unix.Open(path, unix.O_RDWR, 0)
	if err == nil {
		err = unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &fl)
	}
	switch {
	case what == "lock" && err == nil, what == "refused" && err == unix.EAGAIN:
		fmt.Println("ready")
	default:
		fmt.Println(err)
		return 1
	}
	_, _ = os.Stdin.Read(make([]byte, 1))
	return 0
}

func hostLock(t *testing.T, path, spec string) (stop func(), pid int) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), lockHelperEnv+"="+spec+" "+path)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	stop = func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
	if strings.TrimSpace(line) != "ready" {
		stop()
		t.Fatalf("helper says %q", line)
	}
	return stop, cmd.Process.Pid
}

// client is a session with an FS, from the other side.
func client(t *testing.T, dir string, cfg Config) *ninetest.Client {
	t.Helper()
	r := newRigAt(t, dir, cfg)
	l := ninetest.NewLocal(ninep.NewSession(ninep.Config{Backend: r.fs}), 0)
	c := ninetest.NewClient(l)
	t.Cleanup(func() {
		_, _, err := c.Version(8192, "9P2000.L") // clunks all
		r.must(err)
		l.Close()
	})
	_, _, err := c.Version(64<<10, "9P2000.L")
	r.must(err)
	_, err = c.Attach(0, 0, "")
	r.must(err)
	return c
}

func openFID(t *testing.T, c *ninetest.Client, name string) uint32 {
	t.Helper()
	fid, err := c.WalkTo(0, name)
	if err == nil {
		_, _, err = c.Lopen(fid, unix.O_RDWR)
	}
	if err != nil {
		t.Fatal(err)
	}
	return fid
}

func startLock(t *testing.T, c *ninetest.Client, fid uint32, l *ninep.Lock) *ninetest.Request {
	t.Helper()
	l.Flags = ninep.LockFlagBlock
	q, err := c.Start(&ninep.Tlock{FID: fid, Lock: *l})
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func waitLock(t *testing.T, q *ninetest.Request, want ninep.LockStatus) time.Duration {
	t.Helper()
	start := time.Now()
	var rep ninep.Rlock
	if err := q.Wait(&rep); err != nil || rep.Status != want {
		t.Fatalf("status %d, %v, want %d", rep.Status, err, want)
	}
	return time.Since(start)
}

// A lock that another guest or the host drops is noticed soon, one that this guest
// drops at once.
func TestBlockingLocks(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/f", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	a, b := client(t, dir, Config{}), client(t, dir, Config{})
	f, g := openFID(t, a, "f"), openFID(t, b, "f")
	if st, err := a.Lock(f, *lock("a", 1, wr, 0, 0)); st != granted || err != nil {
		t.Fatal(st, err)
	}
	here := startLock(t, a, f, lock("a", 2, wr, 0, 10))
	there := startLock(t, b, g, lock("b", 1, wr, 20, 10))
	time.Sleep(100 * time.Millisecond)
	if st, err := a.Lock(f, *lock("a", 1, un, 0, 0)); st != granted || err != nil {
		t.Fatal(st, err)
	}
	waitLock(t, here, granted)
	if d := waitLock(t, there, granted); d > time.Second {
		t.Errorf("waited %v", d)
	}

	stop, _ := hostLock(t, dir+"/f", "lock 100 1")
	q := startLock(t, a, f, lock("a", 1, rd, 100, 1))
	time.Sleep(50 * time.Millisecond)
	stop()
	waitLock(t, q, granted)
}

func TestBlockingLocksAreBounded(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/f", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c := client(t, dir, Config{MaxLockWaiters: 2})
	f := openFID(t, c, "f")
	if st, err := c.Lock(f, *lock("a", 1, wr, 0, 0)); st != granted || err != nil {
		t.Fatal(st, err)
	}
	q1 := startLock(t, c, f, lock("a", 2, wr, 0, 1))
	time.Sleep(20 * time.Millisecond)
	q2 := startLock(t, c, f, lock("a", 3, wr, 5, 1))
	time.Sleep(20 * time.Millisecond)
	waitLock(t, startLock(t, c, f, lock("a", 4, wr, 9, 1)), blocked)
	if st, err := c.Lock(f, *lock("a", 1, un, 0, 0)); st != granted || err != nil {
		t.Fatal(st, err)
	}
	waitLock(t, q1, granted)
	waitLock(t, q2, granted)
	// There is room again.
	q := startLock(t, c, f, lock("a", 4, wr, 0, 1))
	time.Sleep(20 * time.Millisecond)
	if st, err := c.Lock(f, *lock("a", 2, un, 0, 0)); st != granted || err != nil {
		t.Fatal(st, err)
	}
	waitLock(t, q, granted)
}

// A waiter that is flushed, or whose session begins anew, leaves nothing behind.
func TestBlockingLockCancelled(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/f", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r := newRigAt(t, dir, Config{})
	held := r.open(unix.O_RDWR, "f")
	r.tryLock(held, lock("x", 1, wr, 0, 0), granted)

	c := client(t, dir, Config{})
	f := openFID(t, c, "f")
	q := startLock(t, c, f, lock("a", 1, wr, 0, 0))
	time.Sleep(20 * time.Millisecond)
	if err := c.Flush(q.Tag); err != nil {
		t.Fatal(err)
	}
	q = startLock(t, c, f, lock("a", 2, wr, 0, 0))
	time.Sleep(20 * time.Millisecond)
	if _, _, err := c.Version(8192, "9P2000.L"); err != nil {
		t.Fatal(err)
	}
	_ = q
	r.tryLock(held, lock("x", 1, un, 0, 0), granted)
	time.Sleep(50 * time.Millisecond)
	r.tryLock(held, lock("y", 1, wr, 0, 0), granted)
}

func TestSetSpan(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const size = 40
	for range 200 {
		var spans []lockSpan
		var model [size]int16
		for i := range model {
			model[i] = unix.F_UNLCK
		}
		for range 30 {
			start := rng.Int64N(size)
			end := start + rng.Int64N(size-start)
			typ := []int16{unix.F_RDLCK, unix.F_WRLCK, unix.F_UNLCK}[rng.IntN(3)]
			spans = setSpan(spans, lockSpan{start, end, typ})
			for i := start; i <= end; i++ {
				model[i] = typ
			}
			for i := range int64(size) {
				got := int16(unix.F_UNLCK)
				for _, s := range spans {
					if s.start <= i && i <= s.end {
						got = s.typ
					}
				}
				if got != model[i] {
					t.Fatalf("byte %d of %+v: %d, want %d", i, spans, got, model[i])
				}
			}
			for i := 1; i < len(spans); i++ {
				if a, b := spans[i-1], spans[i]; b.start <= a.end || b.start == a.end+1 && a.typ == b.typ {
					t.Fatalf("not merged: %+v", spans)
				}
			}
		}
	}
	all := setSpan(nil, lockSpan{0, math.MaxInt64, unix.F_WRLCK})
	got := setSpan(all, lockSpan{5, math.MaxInt64, unix.F_UNLCK})
	if len(got) != 1 || got[0] != (lockSpan{0, 4, unix.F_WRLCK}) {
		t.Errorf("got %+v", got)
	}
}
