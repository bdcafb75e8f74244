// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/ninetest"
	"vhost-user-9p/test/leaks"
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
	fds := len(leaks.Descriptors())
	f, _, err := r.walkFrom(r.root, "f")
	r.must(err)
	_, err = f.Open(r.c, unix.O_RDWR)
	r.must(err)
	other := r.open(unix.O_RDWR, "f")
	// A flock is taken under one process and left under another.
	r.tryLock(f, lock("a", 1, wr, 0, 0), granted)
	r.tryLock(f, lock("a", 2, un, 0, 0), granted)
	r.tryLock(other, lock("b", 1, wr, 0, 0), blocked)
	f.Close(nil)
	r.tryLock(other, lock("b", 1, wr, 0, 0), granted)

	// One process, two fids: the lock stays until both are gone.
	g, _, err := r.walkFrom(r.root, "f")
	r.must(err)
	_, err = g.Open(r.c, unix.O_RDWR)
	r.must(err)
	r.tryLock(g, lock("b", 1, wr, 0, 0), granted)
	g.Close(nil)
	r.tryLock(other, lock("c", 1, rd, 0, 0), blocked)

	// Whoever has no lock has no descriptor either.
	r.tryLock(other, lock("b", 1, un, 0, 0), granted)
	for i := range uint32(20) {
		r.tryLock(other, lock("p", i, wr, 0, 1), granted)
		r.tryLock(other, lock("p", i, un, 0, 1), granted)
		r.tryLock(other, lock("p", i, un, 0, 1), granted)
	}
	if s := r.fs.Stats(); s.LockedFiles != 0 || s.LockOwners != 0 || s.Locks != 0 {
		t.Errorf("left over: %+v", s)
	}
	if n := len(leaks.Descriptors()) - fds; n != 2 {
		t.Errorf("%d descriptors, not 2", n)
	}
	r.tryLock(other, lock("b", 1, wr, 0, 0), granted)
	r.fs.Reset()
	r.tryLock(other, lock("c", 1, wr, 0, 0), granted)
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

// client is a session with an FS, from the other side, of whose requests some may wait.
func client(t *testing.T, dir string, waiting int) *guest {
	t.Helper()
	r := newRigAt(t, dir, Config{})
	s := ninep.NewSession(ninep.Config{Backend: r.fs})
	s.LimitWaiting(waiting)
	l := ninetest.NewLocal(s, 0)
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
	return &guest{c, r.fs}
}

// guest is a client with a daemon of its own.
type guest struct {
	*ninetest.Client
	fs *FS
}

// wait returns when so many requests wait for a lock.
func (g *guest) wait(t *testing.T, requests int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); g.fs.Stats().LockWaiters != requests; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d requests wait for a lock, want %d", g.fs.Stats().LockWaiters, requests)
		}
	}
}

func openFID(t *testing.T, c *guest, name string) uint32 {
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

func startLock(t *testing.T, c *guest, fid uint32, l *ninep.Lock) *ninetest.Request {
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
	a, b := client(t, dir, 32), client(t, dir, 32)
	f, g := openFID(t, a, "f"), openFID(t, b, "f")
	if st, err := a.Lock(f, *lock("a", 1, wr, 0, 0)); st != granted || err != nil {
		t.Fatal(st, err)
	}
	here := startLock(t, a, f, lock("a", 2, wr, 0, 10))
	there := startLock(t, b, g, lock("b", 1, wr, 20, 10))
	a.wait(t, 1)
	b.wait(t, 1)
	time.Sleep(100 * time.Millisecond) // it is tried less often by now
	if st, err := a.Lock(f, *lock("a", 1, un, 0, 0)); st != granted || err != nil {
		t.Fatal(st, err)
	}
	unlockedHere, unlockedThere := waitLock(t, here, granted), waitLock(t, there, granted)
	t.Logf("waited %v for what was unlocked here, %v for what another daemon's guest has unlocked", unlockedHere, unlockedThere)
	if unlockedHere > time.Second || unlockedThere > time.Second {
		t.Error("too long")
	}

	stop, _ := hostLock(t, dir+"/f", "lock 100 1")
	q := startLock(t, a, f, lock("a", 1, rd, 100, 1))
	a.wait(t, 1)
	stop()
	waitLock(t, q, granted)
}

func TestBlockingLocksAreBounded(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/f", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c := client(t, dir, 2)
	f := openFID(t, c, "f")
	if st, err := c.Lock(f, *lock("a", 1, wr, 0, 0)); st != granted || err != nil {
		t.Fatal(st, err)
	}
	q1 := startLock(t, c, f, lock("a", 2, wr, 0, 1))
	c.wait(t, 1)
	q2 := startLock(t, c, f, lock("a", 3, wr, 5, 1))
	c.wait(t, 2)
	waitLock(t, startLock(t, c, f, lock("a", 4, wr, 9, 1)), blocked)
	if st, err := c.Lock(f, *lock("a", 1, un, 0, 0)); st != granted || err != nil {
		t.Fatal(st, err)
	}
	waitLock(t, q1, granted)
	waitLock(t, q2, granted)
	// There is room again.
	q := startLock(t, c, f, lock("a", 4, wr, 0, 1))
	c.wait(t, 1)
	if st, err := c.Lock(f, *lock("a", 2, un, 0, 0)); st != granted || err != nil {
		t.Fatal(st, err)
	}
	waitLock(t, q, granted)
}

// Two guests that wait for each other wait until somebody gives up, and their daemons go
// on with everything else.
func TestGuestsThatWaitForEachOther(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/f", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	a, b := client(t, dir, 32), client(t, dir, 32)
	f, g := openFID(t, a, "f"), openFID(t, b, "f")
	take := func(c *guest, fid uint32, l *ninep.Lock, want ninep.LockStatus) {
		t.Helper()
		if st, err := c.Lock(fid, *l); st != want || err != nil {
			t.Fatal(st, err)
		}
	}
	take(a, f, lock("a", 1, wr, 0, 1), granted)
	take(b, g, lock("b", 1, wr, 1, 1), granted)
	qa := startLock(t, a, f, lock("a", 1, wr, 1, 1))
	qb := startLock(t, b, g, lock("b", 1, wr, 0, 1))
	a.wait(t, 1)
	b.wait(t, 1)
	take(a, f, lock("a", 2, wr, 5, 1), granted)
	take(b, g, lock("b", 2, wr, 5, 1), blocked)
	if err := a.Flush(qa.Tag); err != nil { // its process was killed
		t.Fatal(err)
	}
	if err := qa.Wait(&ninep.Rlock{}); err != ninetest.ErrNoReply {
		t.Fatalf("flushed request ended with %v", err)
	}
	take(a, f, lock("a", 1, un, 0, 0), granted)
	waitLock(t, qb, granted)
	take(b, g, lock("b", 1, un, 0, 0), granted)
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

	c := client(t, dir, 32)
	f := openFID(t, c, "f")
	q := startLock(t, c, f, lock("a", 1, wr, 0, 0))
	c.wait(t, 1)
	if err := c.Flush(q.Tag); err != nil {
		t.Fatal(err)
	}
	q = startLock(t, c, f, lock("a", 2, wr, 0, 0))
	c.wait(t, 1)
	if _, _, err := c.Version(8192, "9P2000.L"); err != nil {
		t.Fatal(err)
	}
	_ = q
	r.tryLock(held, lock("x", 1, un, 0, 0), granted)
	time.Sleep(50 * time.Millisecond)
	r.tryLock(held, lock("y", 1, wr, 0, 0), granted)
}

// TestLocksAreBounded: in files, each of which takes a descriptor, and in ranges, each of
// which takes memory of the kernel.
func TestLocksAreBounded(t *testing.T) {
	dir := t.TempDir()
	r := newRigAt(t, dir, Config{MaxLockedFiles: 2})
	var files []*file
	for _, name := range []string{"a", "b", "c"} {
		r.put(name, "")
		files = append(files, r.open(unix.O_RDWR, name))
	}
	refused := func(f *file, l *ninep.Lock) {
		t.Helper()
		if status, err := f.Lock(r.c, l); err != unix.ENOLCK {
			t.Fatalf("%d, %v", status, err)
		}
	}
	r.tryLock(files[0], lock("a", 1, wr, 0, 0), granted)
	r.tryLock(files[1], lock("a", 1, wr, 0, 0), granted)
	refused(files[2], lock("a", 1, wr, 0, 0))
	r.want(files[2].GetLock(r.c, lock("a", 1, wr, 0, 0)), unix.ENOLCK)
	r.tryLock(files[0], lock("b", 2, rd, 0, 0), blocked) // it is there already
	r.tryLock(files[0], lock("a", 1, un, 0, 0), granted)
	r.tryLock(files[2], lock("a", 1, wr, 0, 0), granted)
	r.tryLock(files[2], lock("a", 1, un, 0, 0), granted)
	for i := range uint64(maxFileLocks) {
		r.tryLock(files[0], lock("a", uint32(i%3), wr, 2*i, 1), granted)
	}
	refused(files[0], lock("a", 1, rd, 2*maxFileLocks, 1))
	r.tryLock(files[0], lock("a", 1, wr, 2, 1), granted) // it has that
	r.tryLock(files[0], lock("a", 1, un, 2, 1), granted)
	r.tryLock(files[0], lock("a", 1, rd, 2*maxFileLocks, 1), granted)
}

// TestLocksAsOneTable compares what two guests with several processes each get from
// their daemons with what one table of locks would say, byte by byte.
func TestLocksAsOneTable(t *testing.T) {
	const size, procs = 24, 3
	a, b := guests(t)
	host, err := os.OpenFile(a.path("f"), os.O_RDWR, 0)
	a.must(err)
	defer host.Close()
	type process struct {
		r    *rig
		f    *file
		id   string
		proc uint32
		has  [size]ninep.LockType
	}
	var all []*process
	for _, r := range []*rig{a, b} {
		for i := range uint32(procs) {
			p := &process{r: r, f: r.open(unix.O_RDWR, "f"), id: fmt.Sprintf("%p", r), proc: i}
			for j := range p.has {
				p.has[j] = un
			}
			all = append(all, p)
		}
	}
	rng := rand.New(rand.NewPCG(5, 6))
	tried := map[ninep.LockStatus]int{}
	for range 5000 {
		p := all[rng.IntN(len(all))]
		start := rng.IntN(size)
		end := start + rng.IntN(min(size-start, 1+rng.IntN(size)))
		typ := []ninep.LockType{rd, wr, un}[rng.IntN(3)]
		l := lock(p.id, p.proc, typ, uint64(start), uint64(end-start+1))
		if end == size-1 {
			l.Length = 0 // the last one stands for all that follow
		}
		want := granted
		for _, other := range all {
			for i := start; i <= end && other != p && typ != un; i++ {
				if other.has[i] == wr || typ == wr && other.has[i] == rd {
					want = blocked
				}
			}
		}
		ask := *l
		if ask.Type == un {
			ask.Type = wr
		}
		p.r.tryLock(p.f, l, want)
		tried[want]++
		if want == granted {
			for i := start; i <= end; i++ {
				p.has[i] = typ
			}
		}
		// The host sees neither more nor less.
		i := rng.IntN(size)
		fl := unix.Flock_t{Type: unix.F_WRLCK, Start: int64(i), Len: 1}
		a.must(unix.FcntlFlock(host.Fd(), unix.F_OFD_GETLK, &fl))
		seen, has := un, un
		switch fl.Type {
		case unix.F_RDLCK:
			seen = rd
		case unix.F_WRLCK:
			seen = wr
		}
		for _, p := range all {
			if p.has[i] != un {
				has = p.has[i]
			}
		}
		if seen != has {
			t.Fatalf("byte %d: the host sees %d, not %d", i, seen, has)
		}
		// Whoever asks learns of one that is in the way, and its range.
		p.r.must(p.f.GetLock(p.r.c, &ask))
		inTheWay := false
		for _, other := range all {
			for i := start; i <= end && other != p; i++ {
				if other.has[i] == wr || l.Type != rd && other.has[i] == rd {
					inTheWay = true
				}
			}
		}
		if inTheWay != (ask.Type != un) {
			t.Fatalf("asked about %+v: %+v", l, ask)
		}
	}
	if tried[granted] < 500 || tried[blocked] < 500 {
		t.Errorf("a poor test: %v", tried)
	}
}
