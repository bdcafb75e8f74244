// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/virtqueue"
	"vhost-user-9p/virtqueue/virtqtest"
)

// watchdog is how long both sides may stand still before a wake-up counts as lost.
const watchdog = 10 * time.Second

// TestRoundTrips lets chains go round between a driver and a device that sleep on real
// eventfds whenever they may, 200,000 in all. A wake-up that is lost stops both for good.
func TestRoundTrips(t *testing.T) {
	const total = 200_000
	type run struct{ depth, size, workers int }
	runs := []run{
		{1, 1, 0}, {1, 64, 0}, {2, 2, 0}, {16, 16, 0}, {64, 64, 0},
		{1, 64, 2}, {4, 8, 2}, {16, 64, 4}, {64, 64, 8}, {100, 128, 16},
	}
	// Threads asleep in a system call hold a processor of the Go scheduler for some time.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	bothWays(t, func(t *testing.T, features virtqueue.Features) {
		for _, run := range runs {
			t.Run(fmt.Sprintf("depth=%d/size=%d/workers=%d", run.depth, run.size, run.workers), func(t *testing.T) {
				t.Parallel() // mostly asleep
				run.size = ringSize(features, run.size)
				n := total / (2 * len(runs))
				r := newRing(t, setup{size: run.size, features: features, start: uint16(-n / 2)})
				kickFd := eventfd(t)
				setKick(t, r.q, kickFd)
				roundTrips(t, r, kickFd, n, run.depth, run.workers)
			})
		}
	})
}

func roundTrips(t *testing.T, r *ring, kickFd, n, depth, workers int) {
	var stop atomic.Bool
	var device sync.WaitGroup
	device.Go(func() { serveUntil(t, r.q, &stop, workers) })
	defer device.Wait() // before the queue is closed, whatever happens
	defer r.q.Kick()
	defer stop.Store(true)

	sent, received, unasked := 0, 0, 0
	request := func(slot int) virtqtest.Buf { return virtqtest.Buf{Addr: r.data + uint64(slot)*64, Len: 8} }
	reply := func(slot int) virtqtest.Buf { return virtqtest.Buf{Addr: r.data + uint64(slot)*64 + 32, Len: 16} }
	table := func(slot int) uint64 { return r.data + 64<<10 + uint64(slot)*32 }
	type flight struct{ number, slot int }
	flights := map[uint16]flight{}
	var slots []int
	for i := range depth {
		slots = append(slots, i)
	}
	var event [8]byte
	began := time.Now()
	for received < n {
		for sent < n && len(slots) > 0 && r.drv.Free() > 0 {
			slot := slots[len(slots)-1]
			slots = slots[:len(slots)-1]
			binary.LittleEndian.PutUint64(r.bytes(request(slot).Addr, 8), uint64(sent))
			out, in := []virtqtest.Buf{request(slot)}, []virtqtest.Buf{reply(slot)}
			var head uint16
			if sent%3 > 0 && r.drv.Free() >= 2 {
				head = r.drv.Add(out, in)
			} else {
				head = r.drv.AddIndirect(table(slot), out, in)
			}
			flights[head] = flight{sent, slot}
			sent++
			unasked++
			if unasked == 3 || sent == n || len(slots) == 0 || r.drv.Free() == 0 {
				unasked = 0
				if r.drv.NeedKick() {
					kick(t, kickFd)
				}
			}
		}
		for {
			head, written, ok := r.drv.Take()
			if !ok {
				break
			}
			f, ok := flights[head]
			delete(flights, head)
			got := binary.LittleEndian.Uint64(r.bytes(reply(f.slot).Addr, 8))
			if !ok || written != 8 || got != ^uint64(f.number) {
				t.Fatalf("head %d: in flight %v, %d bytes written, reply %#x to number %d", head, ok, written, got, f.number)
			}
			slots = append(slots, f.slot)
			received++
		}
		if received == n || sent < n && len(slots) > 0 || r.drv.EnableInterrupts() {
			continue
		}
		p := []unix.PollFd{{Fd: int32(r.call), Events: unix.POLLIN}}
		for {
			ready, err := unix.Poll(p, int(watchdog/time.Millisecond))
			if err == unix.EINTR {
				continue
			}
			if err != nil || ready == 0 {
				t.Fatalf("a wake-up was lost (%v): %d sent, %d received; available index %d", err, sent, received, r.drv.AvailIdx())
			}
			break
		}
		_, _ = unix.Read(r.call, event[:])
		r.drv.DisableInterrupts()
	}
	if s := r.q.Stats(); testing.Verbose() {
		t.Logf("%v per round trip, %d kicks and %d interrupts for %d of them",
			time.Since(began)/time.Duration(n), s.Kicks.Load(), s.Interrupts.Load(), n)
	}
}

// The front end changes everything that it may change, while chains go round: memory, the
// log, the kick and call fds. The call fd is absent for some of the time; the driver learns
// of what it missed when there is one again.
func TestRoundTripsUnderChange(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	bothWays(t, func(t *testing.T, features virtqueue.Features) {
		r := newRing(t, setup{size: 64, features: features, start: 0xf000})
		kickFd := eventfd(t)
		setKick(t, r.q, kickFd)
		logs := newGuest(t, page)
		var stop atomic.Bool
		var control sync.WaitGroup
		changes := 0
		control.Go(func() {
			for !stop.Load() {
				changes++
				switch rand.IntN(4) {
				case 0:
					if m, err := virtqueue.NewMemory(r.mapped.Regions()); err == nil {
						r.q.SetMemory(m)
						m.Unref()
					}
				case 1:
					if l, err := virtqueue.MapLog(logs.fd, page, 0); err == nil {
						r.q.SetUsedLog(rand.IntN(2) == 0, guestBase)
						r.q.SetLog(l)
						l.Unref()
					}
					if rand.IntN(2) == 0 {
						r.q.SetLog(nil)
					}
				case 2:
					r.q.SetCall(-1)
					time.Sleep(20 * time.Microsecond)
					r.q.SetCall(r.call)
				case 3:
					if rand.IntN(2) == 0 {
						_ = r.q.SetKick(-1)
						time.Sleep(20 * time.Microsecond)
					}
					_ = r.q.SetKick(kickFd)
				}
				time.Sleep(50 * time.Microsecond)
			}
		})
		defer control.Wait()
		defer stop.Store(true)
		roundTrips(t, r, kickFd, 20_000, 16, 4)
		stop.Store(true)
		if control.Wait(); changes < 50 {
			t.Errorf("only %d changes", changes)
		}
	})
}

// serveUntil is a device: one thread that takes chains and, with workers, others that
// answer them, in whatever order.
func serveUntil(t *testing.T, q *virtqueue.Queue, stop *atomic.Bool, workers int) {
	answer := func(c *virtqueue.Chain) {
		if c.ReadLen != 8 || c.WriteLen != 16 {
			t.Errorf("a chain of %d and %d bytes", c.ReadLen, c.WriteLen)
			return
		}
		number := binary.LittleEndian.Uint64(virtqueue.Bytes(&c.Readable[0]))
		binary.LittleEndian.PutUint64(virtqueue.Bytes(&c.Writable[0]), ^number)
		q.Lock()
		q.Push(c, 8)
		q.Unlock()
	}
	free := sync.Pool{New: func() any { return new(virtqueue.Chain) }}
	work := make(chan *virtqueue.Chain, q.Size())
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for c := range work {
				switch rand.IntN(128) { // let others overtake
				case 0:
					time.Sleep(time.Microsecond)
				case 1, 2, 3, 4, 5, 6, 7, 8:
					runtime.Gosched()
				}
				answer(c)
				q.Notify()
				free.Put(c)
			}
		})
	}
	defer wg.Wait()
	defer close(work)
	for !stop.Load() {
		c := free.Get().(*virtqueue.Chain)
		q.Lock()
		ok, err := q.Pop(c)
		q.Unlock()
		switch {
		case err != nil:
			t.Error(err)
			return
		case ok && workers > 0:
			work <- c
			continue
		case ok:
			answer(c)
			free.Put(c)
			continue
		}
		free.Put(c)
		if workers == 0 {
			q.Notify() // of all that was there
		}
		q.Lock()
		pending := q.EnableKick()
		q.Unlock()
		if !pending {
			q.Wait(forever)
		}
		q.Lock()
		q.DisableKick()
		q.Unlock()
	}
}

// Many threads give back what one took, in an order of their own. Each chain is used once,
// with its length.
func TestPushOutOfOrder(t *testing.T) { layouts(t, testPushOutOfOrder) }

func testPushOutOfOrder(t *testing.T, layout virtqueue.Features) {
	const size, threads, rounds = 256, 16, 40
	r := newRing(t, setup{size: size, features: layout | virtqueue.FeatureEventIdx, start: 0xff80})
	buf := buffers(r.data, 1)
	for round := range rounds {
		want := map[uint16]uint32{}
		var chains []*virtqueue.Chain
		for i := range size {
			want[r.drv.Add(nil, buf)] = uint32(round*size+i) & 0xfff
		}
		for range size {
			chains = append(chains, r.pop())
		}
		rand.Shuffle(size, func(i, j int) { chains[i], chains[j] = chains[j], chains[i] })
		r.drv.EnableInterrupts()
		events(t, r.call)
		var wg sync.WaitGroup
		for k := range threads {
			wg.Go(func() {
				for i := k; i < size; i += threads {
					r.q.Lock()
					r.q.Push(chains[i], int(want[chains[i].Head()]))
					r.q.Unlock()
					r.q.Notify()
				}
			})
		}
		wg.Wait()
		if n := events(t, r.call); n != 1 {
			t.Errorf("the driver asked for one notification and got %d", n)
		}
		for range size {
			head, written, ok := r.drv.Take()
			if n, out := want[head]; !ok || !out || n != written {
				t.Fatalf("used: %v, head %d (in flight: %v), %d bytes, want %d", ok, head, out, written, n)
			}
			delete(want, head)
		}
		r.takeNone()
	}
}
