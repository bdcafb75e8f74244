// SPDX-License-Identifier: Apache-2.0

package virtio9p

import (
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"vhost-user-9p/ninep"
	"vhost-user-9p/virtqueue"
)

const (
	// worthHelp is how long the requests that are left must take, in nanoseconds, for
	// another thread to be woken for them: more than it takes to wake one.
	worthHelp = 250_000
	// maxAsleep is how many threads come to wait for the kick: one more than needed, so that
	// who finds that its operation blocks need not wake another to take over. The kernel
	// wakes the one that came last.
	maxAsleep = 2
	// timeSlice is how long, in nanoseconds, a thread that always finds work keeps its P before
	// it has Go's scheduler begin a new time slice. After 10 ms the scheduler's monitor would
	// take the P away in the middle of a system call, and then look every 20 us for more.
	timeSlice = 8_000_000
	// slowCost is the time of an operation, in nanoseconds, from which on a thread that
	// has nothing to do asks for kicks, although another one that works will look at
	// the ring when it is done.
	slowCost = 50_000
)

// service is one queue being served, from Start to Stop.
type service struct {
	d       *Device
	q       *virtqueue.Queue
	session *ninep.Session
	log     *slog.Logger

	maxRunning, maxThreads int

	// The session's lock, which is the queue's too, orders everything about who does what; it
	// guards the fields from here on but for monitor. Chains are taken under it, so that the
	// session hears of requests in the order of the ring.
	stopping bool
	looking  bool      // somebody looks at the ring until a request comes
	asleep   int       // workers that wait for the kick: maxAsleep, one more after looking in vain
	kicks    bool      // whether the driver is to kick
	coming   int       // workers that will look at the ring in a moment: roused, started, telling the driver
	idle     []*worker // parked, the last one first
	roused   *worker   // no longer, and to be woken by unlock; others by its roused
	workers  []*worker
	running  int        // workers that execute, but for those found to take long
	long     int        // workers found to take long, but not to wait: they need a processor
	inFlight int        // requests taken and not yet given back
	crowded  bool       // a request was there beside another one; the monitor clears it
	free     []*request // for use
	resumed  []*request // to be executed once more, before others
	drained  sync.Cond  // workers or inFlight went down
	seen     counters   // what the queue's counters stood at when last collected

	cost   int64 // what an operation takes of late, in nanoseconds
	teller teller

	// poll is for when nothing is in flight, behind for when something is that takes long:
	// it may be that, that the driver waits for.
	poll, behind poller

	monitor monitor
}

func newService(d *Device, q *virtqueue.Queue) *service {
	s := &service{
		d:          d,
		q:          q,
		session:    d.cfg.Session,
		log:        d.log,
		maxRunning: d.cfg.Running,
		maxThreads: min(d.cfg.MaxThreads, q.Size()),
		poll:       poller{max: int64(d.cfg.Poll)},
		behind:     poller{max: int64(d.cfg.Poll)},
	}
	q.SetLock(s.session)
	s.drained.L = s.session
	s.session.LimitWaiting(q.Size() / 4)
	q.OnTrouble(
		func(head uint16, err error) {
			// The guest can cause this at will: one line a second, the counter has them all.
			if now := ninep.Nanotime(); now-d.lastBad >= int64(time.Second) || d.lastBad == 0 {
				d.lastBad = now
				s.log.Warn("malformed descriptor chain given back", "head", head, "error", err)
			}
		},
		func(err error) {
			d.stats.BrokenQueues.Add(1)
			s.log.Error("queue is broken until the guest resets the device", "error", err)
		})
	return s
}

func (s *service) start() {
	s.monitor.start(s)
	s.session.Lock()
	defer s.unlock()
	s.spawn()
}

// stop returns when everything that was taken has been given back, and no thread of ours
// is left on the queue.
func (s *service) stop() {
	s.session.Lock()
	s.stopping = true
	for _, w := range s.idle {
		w.parked.wake()
	}
	s.idle = nil
	s.session.Unlock()
	s.q.Kick()

	s.session.Drain()

	s.session.Lock()
	for len(s.workers) > 0 || s.inFlight > 0 {
		s.drained.Wait()
	}
	for _, r := range s.free {
		s.session.FreeCall(r.call)
	}
	s.free = nil
	s.session.Unlock()
	s.monitor.stop()
	s.collect()
}

// unlock unlocks the session, and then wakes whom rouse has picked. A thread that is woken may
// take the processor at once, and would find it locked: and a goroutine that owns its
// thread and waits for a lock costs Go's scheduler four more switches.
func (s *service) unlock() {
	w := s.roused
	s.roused = nil
	s.session.Unlock()
	for w != nil {
		next := w.roused
		w.roused = nil
		w.parked.wake()
		w = next
	}
}

// spawn starts one more worker. Preconditions: the session is locked.
func (s *service) spawn() {
	w := &worker{s: s}
	mark(&w.coming, &s.coming, true)
	s.workers = append(s.workers, w)
	s.d.stats.Threads.Add(1)
	go w.run()
}

// leave removes a worker that ends.
func (s *service) leave(w *worker) {
	s.session.Lock()
	defer s.unlock()
	for i := range s.workers {
		if s.workers[i] == w {
			s.workers[i] = s.workers[len(s.workers)-1]
			s.workers = s.workers[:len(s.workers)-1]
			break
		}
	}
	s.d.stats.Threads.Add(-1)
	s.drained.Broadcast()
	if s.stopping && s.asleep > 0 {
		s.q.Kick() // it wakes one at a time
	}
}

// pop takes the next chain off the ring and makes its tag known. It returns nil if there
// is none. Preconditions: the session is locked.
func (s *service) pop(w *worker) *request {
	r := s.acquire()
	if ok, _ := s.q.Pop(&r.chain); !ok { // a broken queue has none
		s.free = append(s.free, r)
		return nil
	}
	s.inFlight++
	c := r.call
	c.In, c.InLen = r.chain.Readable, r.chain.ReadLen
	c.Out, c.OutLen = r.chain.Writable, r.chain.WriteLen
	c.Began = w.clock()
	s.session.BeginLocked(c)
	return r
}

// started returns the number of operations begun.
func (s *service) started() uint64 {
	s.session.Lock()
	defer s.unlock()
	return s.q.Chains()
}

// acquire returns memory for one request. Preconditions: the session is locked.
func (s *service) acquire() *request {
	if n := len(s.free); n > 0 {
		r := s.free[n-1]
		s.free = s.free[:n-1]
		return r
	}
	r := &request{call: s.session.NewCall()}
	r.call.Transport = s
	r.call.Cookie = r
	return r
}

// measure takes account of how long a request took, from when it was taken.
// Preconditions: the session is locked.
func (s *service) measure(r *request) {
	// One that took much longer than others had lost its processor, more likely than not.
	took := min(r.call.Ended-r.call.Began, 4*s.cost+2_000)
	s.cost += (took - s.cost) / 8
}

// release takes back the memory of a request that has been answered. Preconditions: the session
// is locked.
func (s *service) release(r *request) {
	s.free = append(s.free, r)
	if s.inFlight--; s.stopping {
		s.drained.Broadcast()
	}
}

// helpMore wakes or starts another worker when so much is left, after w took a request, that it
// is worth it. Preconditions: the session is locked.
func (s *service) helpMore(w *worker) {
	s.monitor.poke()
	w.left = int64(s.q.Seen())
	if w.left > 0 || s.inFlight > 1 {
		s.crowded = true
	}
	if s.running+s.long < s.maxRunning && w.left*s.cost >= worthHelp {
		s.help()
	}
}

// attended reports whether somebody looks at the ring, or executes and is soon done.
// Preconditions: the session is locked.
func (s *service) attended() bool {
	return s.looking || s.running > 0 && s.cost < slowCost
}

// help sees to it that another thread looks at the ring. Preconditions: the session is locked.
func (s *service) help() {
	switch {
	case s.stopping || s.q.Broken() || s.looking || s.coming > 0:
	case s.asleep > 0:
		// The driver kicks for the first chain that comes after it was asked to.
		if !s.kicks && s.enableKick() {
			s.q.Kick()
		}
	default:
		s.rouse()
	}
}

// rouse has a parked worker, or a new one, look for work. It reports false if there is
// none, and may be no more. Preconditions: the session is locked.
func (s *service) rouse() bool {
	if n := len(s.idle); n > 0 {
		w := s.idle[n-1]
		s.idle = s.idle[:n-1]
		w.roused, s.roused = s.roused, w
		mark(&w.coming, &s.coming, true)
		return true
	}
	if len(s.workers) < s.maxThreads {
		s.spawn()
		return true
	}
	return false
}

// enableKick asks for kicks and reports whether a chain came before that took effect.
// Preconditions: the session is locked.
func (s *service) enableKick() (pending bool) {
	s.kicks = true
	return s.q.EnableKick()
}

// disableKick asks for no kicks: somebody looks at the ring without. Preconditions: the session
// is locked.
func (s *service) disableKick() {
	s.kicks = false
	s.q.DisableKick()
}

// wait waits for a request, or the kick. Preconditions: the session is locked, s.attended is false,
// fewer than maxAsleep are asleep.
func (s *service) wait(w *worker) {
	if w.clock()-w.scheduled > timeSlice {
		w.newSlice()
		return // something may have come
	}
	if p := s.poller(); p.max > 0 {
		empty := w.clock()
		defer func() { p.adapt(w.clock() - empty) }()
		if p.window > 0 && (s.look(w, empty+p.window) || s.stopping) {
			return // at a stop too: its kick may have woken another worker
		}
	}
	if s.enableKick() {
		s.disableKick()
		return // one came just now
	}
	s.sleep(w)
}

// sleep waits for the kick, which the driver has been asked for, or will be by somebody else when
// there is need. Preconditions: the session is locked.
func (s *service) sleep(w *worker) {
	began := w.clock()
	s.asleep++
	w.away(func() { s.q.Wait(-1) })
	s.asleep--
	if now := w.clock(); now-began > timeSlice {
		w.scheduled = now // Go sees to threads that wait for so long
	}
	s.disableKick()
}

// park puts a worker to sleep until there is something for it. Preconditions: the session is
// locked.
func (s *service) park(w *worker) {
	s.idle = append(s.idle, w)
	w.away(w.parked.sleep)
	w.come()
}

// flush tells the driver of the replies that it has not been told of.
func (s *service) flush() {
	s.session.Lock()
	call := s.takeCall()
	s.unlock()
	s.makeCall(call)
}

// takeCall says how the driver is to be told of the replies that it has not been told of, which
// makeCall does when the session is not locked. Preconditions: the session is locked.
func (s *service) takeCall() call {
	if !s.teller.any() {
		return callNone
	}
	return s.teller.take(s.q.CallWanted())
}

func (s *service) makeCall(c call) {
	if c != callNone {
		s.teller.tell(c, s.q.Call)
	}
}

// publish gives a chain back with a reply of n bytes, which can be ninep.Fault. Preconditions: the
// session is locked.
func (s *service) publish(r *request, n int) {
	if n == ninep.Fault {
		s.q.Break(errGuestMemory)
		return
	}
	s.q.Push(&r.chain, n)
	s.teller.add(r.call.Ended)
}

// WillBlock implements ninep.Transport: others take over the ring.
func (s *service) WillBlock(c *ninep.Call) {
	s.flush()
	s.d.stats.Blocked.Add(1)
	s.session.Lock()
	defer s.unlock()
	s.blocked(c.Cookie.(*request).worker)
}

// blocked counts a worker as not running, and sees to it that the ring is looked at.
// Preconditions: the session is locked.
func (s *service) blocked(w *worker) {
	if w.running || w.long {
		w.setRunning(false)
		w.setLong(false)
		s.handOver()
	}
}

// handOver sees to it that another worker looks at the ring after one was found to take long,
// unless so many are at work that it would only take a processor from them.
// Preconditions: the session is locked.
func (s *service) handOver() {
	if s.running+s.long <= s.maxRunning {
		s.help()
	}
}

// Resume implements ninep.Transport: some worker executes the request.
func (s *service) Resume(c *ninep.Call) {
	s.session.Lock()
	defer s.unlock()
	s.resumed = append(s.resumed, c.Cookie.(*request))
	if !s.rouse() {
		// Whoever is done next sees it; or waits for the kick.
		s.q.Kick()
	}
}

// takeResumed returns a request that is to be executed once more, nil if there is none.
// Preconditions: the session is locked.
func (s *service) takeResumed() *request {
	if len(s.resumed) == 0 {
		return nil
	}
	r := s.resumed[0]
	s.resumed = append(s.resumed[:0], s.resumed[1:]...)
	return r
}

// Complete implements ninep.Transport: the reply of a deferred request is ready.
func (s *service) Complete(c *ninep.Call, n int) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // the goroutine may be anyone's
	r := c.Cookie.(*request)
	s.session.Lock()
	s.publish(r, n)
	call := s.takeCall()
	more := s.session.EndLocked(c)
	s.unlock()
	s.makeCall(call)
	if more {
		s.session.EndRest(c)
	}
	s.session.Lock()
	defer s.unlock()
	s.release(r)
}

// counters are the queue's, as numbers.
type counters struct{ chains, bad, kicks, interrupts uint64 }

// collect adds what the queue counted since the last time to the device's counters.
func (s *service) collect() {
	s.session.Lock()
	defer s.unlock()
	qs, ds := s.q.Stats(), &s.d.stats
	now := counters{s.q.Chains(), qs.BadChains.Load(), qs.Kicks.Load(), qs.Interrupts.Load()}
	ds.Chains.Add(now.chains - s.seen.chains)
	ds.BadChains.Add(now.bad - s.seen.bad)
	ds.Kicks.Add(now.kicks - s.seen.kicks)
	ds.Interrupts.Add(now.interrupts - s.seen.interrupts)
	ds.InFlight.Store(int64(s.inFlight))
	s.seen = now
}
