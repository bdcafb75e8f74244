// SPDX-License-Identifier: Apache-2.0

package virtio9p_test

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/virtio9p"
)

func getattrMsg(tag uint16) []byte {
	return msg(tGetattr, tag).u32(rootFid).u64(uint64(ninep.AttrBasic)).bytes()
}

func fsyncMsg(tag uint16) []byte { return msg(tFsync, tag).u32(rootFid).u32(0).bytes() }

func lockMsg(tag uint16) []byte {
	return msg(tLock, tag).u32(rootFid).u8(1).u32(ninep.LockFlagBlock).u64(0).u64(0).u32(77).str("guest").bytes()
}

func flushMsg(tag, old uint16) []byte { return msg(tFlush, tag).u16(old).bytes() }

func TestConfigSpaceHoldsTag(t *testing.T) {
	r := newRig(t, &fake{})
	p := make([]byte, 20)
	r.dev.ReadConfig(p, 0)
	if n := binary.LittleEndian.Uint16(p); n != 5 || string(p[2:7]) != "share" {
		t.Errorf("configuration space %q, want length 5 and share", p)
	}
	for i, b := range p[7:] {
		if b != 0 {
			t.Errorf("byte %d after the tag is %#x, want 0", i, b)
		}
	}
	one := make([]byte, 1)
	r.dev.ReadConfig(one, 3)
	if one[0] != 'h' {
		t.Errorf("byte 3 is %q, want h", one)
	}
	r.dev.ReadConfig(one, 1<<31)
	if one[0] != 0 {
		t.Errorf("a byte far past the end is %#x, want 0", one[0])
	}
}

func TestConfigIsChecked(t *testing.T) {
	s := ninep.NewSession(ninep.Config{Backend: &fake{}})
	for name, cfg := range map[string]virtio9p.Config{
		"no session":  {Tag: "x"},
		"empty tag":   {Session: s},
		"long tag":    {Session: s, Tag: strings.Repeat("x", 255)},
		"few threads": {Session: s, Tag: "x", MaxThreads: -1},
	} {
		if _, err := virtio9p.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// One request at a time is served by one thread, without any other being started.
func TestOneAtATimeIsOneThread(t *testing.T) {
	threads := map[int]bool{}
	r := newRig(t, &fake{getattr: func(*ninep.Call) error { threads[unix.Gettid()] = true; return nil }})
	r.attach()
	for range 2000 {
		expect(t, r.roundTrip(getattrMsg(1)), tGetattr)
	}
	// A machine that does not let the thread run for milliseconds looks like an operation
	// that blocks, and then another thread is right.
	stats := r.dev.Stats()
	want := 1 + int64(stats.Stuck.Load())
	if n := int64(len(threads)); n > want {
		t.Errorf("%d threads served requests that came one at a time, want %d", n, want)
	}
	if n := stats.Threads.Load(); n > want {
		t.Errorf("%d worker threads, want %d", n, want)
	}
}

// Operations that say that they block, one at a time, are executed by the same thread: the
// one that takes over meanwhile has nothing to do.
func TestBlockingOneAtATimeStaysOnOneThread(t *testing.T) {
	const requests = 2000
	var last, changes atomic.Int64
	r := newRig(t, &fake{getattr: func(c *ninep.Call) error {
		c.Transport.WillBlock(c)
		if tid := int64(unix.Gettid()); last.Swap(tid) != tid {
			changes.Add(1)
		}
		return nil
	}})
	r.attach()
	for range requests {
		expect(t, r.roundTrip(getattrMsg(1)), tGetattr)
		// A request that comes before the thread waits again is rightly the other's.
		untilAsleep(t, last.Load())
	}
	// The runtime interrupts a thread that waits now and then, and another is the last then.
	if n := changes.Load(); n > requests/20 {
		t.Errorf("%d requests changed threads %d times", requests, n)
	}
	// One executes, two wait; and each time that none did when it was to take over another
	// was started.
	if n := r.dev.Stats().Threads.Load(); n > 8 {
		t.Errorf("%d worker threads, want 8 at most", n)
	}
}

// Operations that block and others in turn, one at a time, are executed by two threads: one that
// has just told the driver of a reply will see to the ring while the next request blocks.
func TestBlockingInTurnTakesTwoThreads(t *testing.T) {
	const requests = 4000
	var by []int
	// A thread that loses its processor while it executes looks like one that blocks: on a busy
	// machine it is tried again.
	for range 5 {
		by = inTurn(t, requests)
		if len(by) <= 2 || by[2] < requests/20 {
			return
		}
	}
	t.Errorf("%v requests were executed by a thread each, want nearly all by two", by)
}

// inTurn makes requests of which every second blocks, one at a time, and returns how many of them
// each thread executed, the largest number first.
func inTurn(t *testing.T, requests int) []int {
	var mu sync.Mutex
	executed := map[int]int{}
	n := 0
	r := newRig(t, &fake{getattr: func(c *ninep.Call) error {
		mu.Lock()
		executed[unix.Gettid()]++
		n++
		blocks := n%2 == 0
		mu.Unlock()
		if blocks {
			c.Transport.WillBlock(c)
			time.Sleep(50 * time.Microsecond)
		}
		return nil
	}})
	r.attach()
	for range requests {
		expect(t, r.roundTrip(getattrMsg(1)), tGetattr)
	}
	mu.Lock()
	defer mu.Unlock()
	return slices.SortedFunc(maps.Values(executed), func(a, b int) int { return b - a })
}

// untilAsleep waits until a thread of this process sleeps in the kernel.
func untilAsleep(t *testing.T, tid int64) {
	t.Helper()
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); {
		stat, err := os.ReadFile("/proc/self/task/" + strconv.FormatInt(tid, 10) + "/stat")
		check(t, err)
		// TID (name) state ...
		if state := stat[bytes.LastIndexByte(stat, ')')+1:]; bytes.HasPrefix(state, []byte(" S")) {
			return
		}
	}
	t.Fatalf("thread %d does not go to sleep within %v", tid, timeout)
}

// Operations that block without notice run side by side, as many as there are.
func TestManyRunInParallel(t *testing.T) {
	g := newGate()
	r := newRig(t, &fake{getattr: func(*ninep.Call) error { g.pass(); return nil }})
	defer g.release()
	r.attach()
	const n = 16
	for i := range n {
		r.send(i, getattrMsg(uint16(i)))
	}
	for i := range n {
		select {
		case <-g.entered:
		case <-time.After(timeout):
			t.Fatalf("only %d of %d operations began while the others block", i, n)
		}
	}
	g.release()
	for range n {
		slot, length := r.wait()
		expect(t, r.reply(slot, length), tGetattr)
	}
	if r.dev.Stats().Stuck.Load() == 0 {
		t.Error("the monitor found nothing stuck")
	}
}

// compute needs a processor for so long, in the kernel.
func compute(d time.Duration) {
	var buf [64 << 10]byte
	var began, now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &began)
	for end := began.Nano() + int64(d); now.Nano() < end; {
		_, _ = unix.Getrandom(buf[:], 0)
		_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now)
	}
}

// Operations that take long without waiting do not run side by side in more threads than there
// are to be, but for one, which is for others: they would only take the processors from one
// another, and all of them would be late.
func TestLongOperationsTakeOneMoreThread(t *testing.T) {
	const running, want = 2, 3
	// A thread from which Go's scheduler has just taken its P waits indeed, and so, for the device,
	// does one that gets no processor for 100 ms: it is tried again.
	got := int64(0)
	for try := 0; try < 20 && got != want; try++ {
		got = sideBySide(t, running)
	}
	if got != want {
		t.Errorf("%d operations ran side by side, want %d", got, want)
	}
}

// sideBySide returns how many of 16 operations that need a processor for 8 ms were in progress at
// the same time.
func sideBySide(t *testing.T, running int) int64 {
	const n = 16
	var atWork, most atomic.Int64
	r := newRigConfig(t, virtio9p.Config{Tag: "share", Running: running, Session: ninep.NewSession(ninep.Config{
		Backend: &fake{getattr: func(*ninep.Call) error {
			now := atWork.Add(1)
			for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
			}
			compute(8 * time.Millisecond)
			atWork.Add(-1)
			return nil
		}},
	})})
	r.attach()
	for i := range n {
		r.send(i, getattrMsg(uint16(i)))
	}
	for range n {
		slot, length := r.wait()
		expect(t, r.reply(slot, length), tGetattr)
	}
	return most.Load()
}

// Operations that take long without waiting do not hold up others, one that takes the place of the
// first at once, and others after a tenth of a second, however many there are.
func TestLongOperationsHoldUpNobody(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			r := newRigConfig(t, virtio9p.Config{Tag: "share", Running: 1, Session: ninep.NewSession(ninep.Config{
				Backend: &fake{
					getattr: func(*ninep.Call) error { return nil },
					sync:    func(*ninep.Call) error { compute(time.Second); return nil },
				},
			})})
			r.attach()
			r.open(rootFid, 0)
			for i := range n {
				r.send(1+i, fsyncMsg(uint16(1+i)))
			}
			for range 10 {
				expect(t, r.roundTrip(getattrMsg(9)), tGetattr) // which fails if it is another reply that comes
			}
			for range n {
				slot, length := r.wait()
				expect(t, r.reply(slot, length), tFsync)
			}
		})
	}
}

// An operation that says that it blocks holds up nobody, and neither does one that does
// not say so.
func TestBlockedHoldsUpNobody(t *testing.T) {
	for _, announced := range []bool{true, false} {
		t.Run("announced="+strconv.FormatBool(announced), func(t *testing.T) {
			g := newGate()
			r := newRig(t, &fake{sync: func(c *ninep.Call) error {
				if announced {
					c.Transport.WillBlock(c)
				}
				g.pass()
				return nil
			}})
			defer g.release()
			r.attach()
			r.open(rootFid, 0)
			r.send(1, fsyncMsg(9))
			<-g.entered
			for range 1000 {
				expect(t, r.roundTrip(getattrMsg(1)), tGetattr)
			}
			g.release()
			slot, n := r.wait()
			if slot != 1 {
				t.Fatalf("slot %d came back, want 1", slot)
			}
			expect(t, r.reply(slot, n), tFsync)
		})
	}
}

// Stop returns only when what was taken has been answered, and the answer is on the ring.
func TestStopDrains(t *testing.T) { layouts(t, testStopDrains) }

func testStopDrains(t *testing.T, newRig rigMaker) {
	g := newGate()
	r := newRig(t, &fake{getattr: func(*ninep.Call) error { g.pass(); return nil }})
	defer g.release()
	r.attach()
	r.send(3, getattrMsg(3))
	<-g.entered
	var stopped atomic.Bool
	done := make(chan uint32)
	go func() {
		next := r.stop()
		stopped.Store(true)
		done <- next
	}()
	time.Sleep(50 * time.Millisecond)
	if stopped.Load() {
		t.Fatal("Stop returned while an operation was running")
	}
	g.release()
	next := <-done
	slot, n, ok := r.drv.Take()
	if !ok || slot/2 != 3 {
		t.Fatalf("after Stop the ring holds (%d, %v), want the reply of slot 3", slot/2, ok)
	}
	expect(t, r.reply(3, n), tGetattr)
	// Nothing is looked at while stopped, and everything afterwards; the session goes on.
	r.busy--
	r.send(4, getattrMsg(4))
	r.none(50 * time.Millisecond)
	r.resume(next)
	slotAfter, n := r.wait()
	if slotAfter != 4 {
		t.Fatalf("slot %d came back, want 4", slotAfter)
	}
	expect(t, r.reply(4, n), tGetattr)
}

// A worker that looks at the ring when the queue is to stop ends as well, although the kick that
// stops it has woken another one.
func TestStopWhileOneLooks(t *testing.T) {
	r := newRigConfig(t, virtio9p.Config{
		Tag:  "share",
		Poll: time.Second,
		Session: ninep.NewSession(ninep.Config{Logger: slog.New(slog.DiscardHandler), Backend: &fake{getattr: func(c *ninep.Call) error {
			c.Transport.WillBlock(c) // a second worker waits for the kick
			return nil
		}}}),
	})
	r.attach()
	for range 300 {
		for range 20 { // until it looks for as long as it takes
			expect(t, r.roundTrip(getattrMsg(1)), tGetattr)
		}
		stopped := make(chan uint32)
		go func() { stopped <- r.stop() }()
		select {
		case base := <-stopped:
			r.resume(base)
		case <-time.After(timeout):
			r.queue.Kick()
			<-stopped
			t.Fatal("the queue does not stop")
		}
	}
}

// A guest may be stopped and continued for ever.
func TestStopLeavesNothingBehind(t *testing.T) { layouts(t, testStopLeavesNothingBehind) }

func testStopLeavesNothingBehind(t *testing.T, newRig rigMaker) {
	r := newRig(t, &fake{})
	r.attach()
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	cycle := func() {
		r.resume(r.stop())
		expect(t, r.roundTrip(getattrMsg(1)), tGetattr)
	}
	for range 20 {
		cycle()
	}
	before := heap()
	const cycles = 300
	for range cycles {
		cycle()
	}
	if after := heap(); after > before+cycles<<10 {
		t.Errorf("%d stops leave %d bytes behind", cycles, after-before)
	}
	if n := r.dev.Stats().Threads.Load(); n > 2 {
		t.Errorf("%d worker threads are left", n)
	}
}

// A lock that waits uses no thread, is answered BLOCKED by a stop, and not lost.
func TestStopAnswersWaitingLocks(t *testing.T) {
	r := newRig(t, &fake{lock: func(c *ninep.Call) (ninep.LockStatus, error) {
		c.Defer(func() { c.FinishLock(ninep.LockBlocked, nil) })
		return 0, nil
	}})
	r.attach()
	r.open(rootFid, 0)
	r.send(5, lockMsg(5))
	r.none(20 * time.Millisecond)
	next := r.stop()
	head, n, ok := r.drv.Take()
	if !ok || head/2 != 5 {
		t.Fatal("the waiting lock was not answered by the stop")
	}
	if st := expect(t, r.reply(5, n), tLock)[0]; st != byte(ninep.LockBlocked) {
		t.Errorf("lock status %d, want BLOCKED", st)
	}
	r.busy--
	r.resume(next)
	expect(t, r.roundTrip(getattrMsg(1)), tGetattr)
}

// A quarter of the ring may wait for locks, so that there is room for who will unlock.
func TestWaitingLocksLeaveRoom(t *testing.T) {
	r := newRig(t, &fake{lock: func(c *ninep.Call) (ninep.LockStatus, error) {
		c.Defer(func() { c.FinishLock(ninep.LockBlocked, nil) })
		return ninep.LockBlocked, nil
	}})
	r.attach()
	r.open(rootFid, 0)
	for i := range ringSize / 4 {
		r.send(i, lockMsg(uint16(i)))
	}
	r.none(50 * time.Millisecond)
	r.send(ringSize/4, lockMsg(ringSize/4))
	slot, n := r.wait()
	if slot != ringSize/4 {
		t.Fatalf("slot %d came back", slot)
	}
	if st := expect(t, r.reply(slot, n), tLock)[0]; st != byte(ninep.LockBlocked) {
		t.Errorf("lock status %d, want BLOCKED", st)
	}
	r.none(20 * time.Millisecond)
}

// A flushed request is given back before the Rflush, with its reply if it was running.
func TestFlushComesAfterRunningRequest(t *testing.T) {
	g := newGate()
	r := newRig(t, &fake{getattr: func(*ninep.Call) error { g.pass(); return nil }})
	defer g.release()
	r.attach()
	r.send(1, getattrMsg(7))
	<-g.entered
	r.send(2, flushMsg(8, 7))
	r.none(20 * time.Millisecond)
	g.release()
	slot, n := r.wait()
	if slot != 1 {
		t.Fatalf("slot %d came back first, want the flushed request", slot)
	}
	expect(t, r.reply(slot, n), tGetattr)
	slot, n = r.wait()
	if slot != 2 {
		t.Fatalf("slot %d came back second, want the flush", slot)
	}
	expect(t, r.reply(slot, n), tFlush)
}

// A flushed lock that waits is given back without a reply: it had no effect.
func TestFlushCancelsWaitingLock(t *testing.T) {
	r := newRig(t, &fake{lock: func(c *ninep.Call) (ninep.LockStatus, error) {
		c.Defer(func() { c.FinishLock(ninep.LockBlocked, nil) })
		return 0, nil
	}})
	r.attach()
	r.open(rootFid, 0)
	r.send(1, lockMsg(7))
	r.none(20 * time.Millisecond)
	r.send(2, flushMsg(8, 7))
	if slot, n := r.wait(); slot != 1 || n != 0 {
		t.Fatalf("slot %d came back first with %d bytes, want the lock with none", slot, n)
	}
	slot, n := r.wait()
	if slot != 2 {
		t.Fatalf("slot %d came back, want the flush", slot)
	}
	expect(t, r.reply(slot, n), tFlush)
}

func TestMalformedMessages(t *testing.T) {
	r := newRig(t, &fake{})
	r.attach()
	for name, b := range map[string][]byte{
		"size beyond the buffer": {0xff, 0xff, 0xff, 0x7f, tGetattr, 1, 0},
		"size below the header":  {3, 0, 0, 0, tGetattr, 1, 0},
		"empty body":             msg(tGetattr, 1).bytes(),
		"string beyond the end":  msg(tWalk, 1).u32(rootFid).u32(5).u16(1).u16(0xffff).bytes(),
		"unknown type":           msg(250, 1).bytes(),
		"reply type":             msg(tGetattr+1, 1).bytes(),
	} {
		got := r.roundTrip(b)
		if len(got) != 11 || got[4] != tRlerror {
			t.Errorf("%s: reply % x, want an Rlerror", name, got)
		}
	}
	expect(t, r.roundTrip(getattrMsg(1)), tGetattr)
}

// A panic in the backend costs the request.
func TestPanicIsEIO(t *testing.T) {
	r := newRig(t, &fake{getattr: func(*ninep.Call) error { panic("a bug") }})
	r.attach()
	got := r.roundTrip(getattrMsg(1))
	if got[4] != tRlerror || binary.LittleEndian.Uint32(got[7:]) != uint32(unix.EIO) {
		t.Errorf("reply % x, want Rlerror EIO", got)
	}
	expect(t, r.roundTrip(msg(tClunk, 1).u32(rootFid).bytes()), tClunk)
}

// The front end can cut off the memory that it shares. The queue is given up, the process
// goes on, and so does the device on new memory.
func TestTruncatedMemoryBreaksTheQueue(t *testing.T) {
	for name, size := range map[string]int64{"buffers gone": 64 << 10, "ring gone": 0} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, &fake{})
			r.attach()
			errFd := check1(t, func() (int, error) { return unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC) })
			defer func() { _ = unix.Close(errFd) }()
			r.queue.SetErr(errFd)
			if size > 0 {
				r.drv.AddHead(0)
			}
			check(t, unix.Ftruncate(r.memfd, size))
			one := [8]byte{1}
			_, _ = unix.Write(r.kick, one[:])
			p := [1]unix.PollFd{{Fd: int32(errFd), Events: unix.POLLIN}}
			if n, _ := unix.Poll(p[:], int(timeout.Milliseconds())); n != 1 {
				t.Fatal("the error eventfd was not signalled")
			}
			if !r.queue.Broken() {
				t.Error("the queue is not broken")
			}
			r.stop()
			if n := r.dev.Stats().BrokenQueues.Load(); n != 1 {
				t.Errorf("%d broken queues counted, want 1", n)
			}
			check(t, unix.Ftruncate(r.memfd, memSize))
			r.start()
			expect(t, r.roundTrip(getattrMsg(1)), tGetattr)
		})
	}
}

// An idle device does not wake up: neither for the ring nor to look after its workers.
func TestIdleDoesNotWake(t *testing.T) {
	r := newRig(t, &fake{})
	r.attach()
	for range 100 {
		expect(t, r.roundTrip(getattrMsg(1)), tGetattr)
	}
	time.Sleep(50 * time.Millisecond) // the monitor goes to sleep
	kicks, switches := r.dev.Stats().Kicks.Load(), voluntarySwitches(t)
	time.Sleep(500 * time.Millisecond)
	if n := r.dev.Stats().Kicks.Load() - kicks; n != 0 {
		t.Errorf("the queue woke up %d times while idle", n)
	}
	// The runtime's own threads and this goroutine's timer may wake now and then.
	if n := voluntarySwitches(t) - switches; n > 100 {
		t.Errorf("the process woke up %d times in half a second of idleness", n)
	}
}

// voluntarySwitches sums up the voluntary context switches of the process's threads.
func voluntarySwitches(t *testing.T) (sum int) {
	t.Helper()
	dir := check1(t, func() ([]os.DirEntry, error) { return os.ReadDir("/proc/self/task") })
	for _, e := range dir {
		b, err := os.ReadFile("/proc/self/task/" + e.Name() + "/status")
		if err != nil {
			continue // ended meanwhile
		}
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
				n, _ := strconv.Atoi(strings.TrimSpace(v))
				sum += n
			}
		}
	}
	return sum
}
