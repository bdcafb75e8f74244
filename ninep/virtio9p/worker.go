// SPDX-License-Identifier: Apache-2.0

package virtio9p

import (
	"errors"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/virtqueue"
)

// keepIdle is the number of parked workers that are kept for the next burst.
const keepIdle = 16

// errGuestMemory is why a queue breaks whose memory the front end has cut off.
var errGuestMemory = errors.New("guest memory is gone")

// request is one chain in flight.
type request struct {
	call   *ninep.Call
	chain  virtqueue.Chain
	worker *worker // that executes it
}

// worker is one thread that serves the queue.
type worker struct {
	s      *service
	thread ninep.Thread
	tid    int // of the kernel
	parked parking

	// Under service.mu.
	running bool    // counted in service.running
	long    bool    // counted in service.long
	stuck   bool    // the monitor found the present operation to take long
	roused  *worker // see service.roused
	coming  bool    // counted in service.coming
	since   int64   // when it took the present request, by ninep.Nanotime

	// now is the clock as this thread last read it, by ninep.Nanotime; 0: too long ago.
	now int64
	// left is how many requests waited when it took the present one.
	left int64
	// scheduled is when its time slice began, by ninep.Nanotime.
	scheduled int64
}

// run is the worker's life. It ends, and its thread with it, when the queue stops: a
// thread may have taken on a guest user's credentials, and is never given back.
func (w *worker) run() {
	runtime.LockOSThread()
	debug.SetPanicOnFault(true)
	s := w.s
	w.tid = unix.Gettid() // for who sees, under service.mu, that it executes
	var r *request
	for {
		r = w.next(r)
		if r == nil {
			s.leave(w)
			return
		}
		if !w.execute(r) {
			r = nil // it belongs to whoever answers it
		}
	}
}

// next gives the memory of the last request back, if any, and returns the next one to
// execute, or nil when the worker is to end: the queue stops, or enough others
// are idle.
func (w *worker) next(last *request) *request {
	w.s.mu.Lock()
	r := w.nextLocked(last)
	w.s.unlock()
	return r
}

// nextLocked is next. Preconditions: service.mu is held.
func (w *worker) nextLocked(last *request) *request {
	s := w.s
	w.come()
	if last != nil {
		if w.running || w.stuck {
			s.measure(last) // not one that said that it would block
		}
		s.release(last)
	}
	w.setRunning(false)
	w.setLong(false)
	w.stuck = false
	for {
		r := s.takeResumed()
		switch {
		case r != nil:
		case s.stopping:
			s.flush()
			return nil
		case s.running+s.long > s.maxRunning && len(s.idle) < keepIdle:
			s.park(w) // they would take the processors from one another
			continue
		case s.q.Seen() > 0 && w.clock()-w.scheduled > timeSlice:
			w.newSlice() // else it is time for it in wait, when nobody waits for a reply
			continue
		default:
			r = s.pop(w)
		}
		if r != nil {
			w.setRunning(true)
			w.since = w.clock()
			s.helpMore(w)
			return r
		}
		switch attended := s.attended(); {
		case s.teller.any():
			w.soonBack(s.flush)
		case s.asleep < maxAsleep && attended:
			s.sleep(w)
		case s.asleep < maxAsleep:
			s.wait(w)
		case !attended && !s.kicks && s.enableKick():
			s.disableKick() // one came just now
		case len(s.idle) >= keepIdle:
			return nil
		default:
			s.park(w)
		}
	}
}

// away runs what may take long, a system call, without service.mu. Preconditions: service.mu is
// held.
func (w *worker) away(f func()) {
	w.s.unlock()
	f()
	w.s.mu.Lock()
	w.now = 0
}

// soonBack is away for a moment only, even if the driver takes this processor meanwhile: who finds
// then that its operation blocks need not have another worker look at the ring. Preconditions:
// service.mu is held.
func (w *worker) soonBack(f func()) {
	w.s.coming++
	w.away(f)
	w.s.coming--
}

// newSlice has Go's scheduler begin a new time slice. Preconditions: service.mu is held.
func (w *worker) newSlice() {
	w.soonBack(runtime.Gosched)
	w.scheduled = w.clock()
}

// come is called when a worker has come that may have been roused or started.
func (w *worker) come() {
	mark(&w.coming, &w.s.coming, false)
}

func (w *worker) setRunning(v bool) { mark(&w.running, &w.s.running, v) }

func (w *worker) setLong(v bool) { mark(&w.long, &w.s.long, v) }

// mark sets a mark of which it is counted how many workers have it.
func mark(has *bool, count *int, v bool) {
	if *has == v {
		return
	}
	*has = v
	if v {
		*count++
	} else {
		*count--
	}
}

// execute runs one request and publishes its reply. It returns false if the reply comes
// later, from elsewhere, with the request.
func (w *worker) execute(r *request) (done bool) {
	s := w.s
	if s.teller.due(w.clock(), s.cost.Load(), w.left) {
		s.flush()
	}
	r.call.Thread, r.worker = &w.thread, w
	n := s.session.Serve(r.call)
	w.now = 0
	switch n {
	case ninep.Deferred:
		return false
	case ninep.Fault:
		s.q.Break(errGuestMemory)
		s.session.End(r.call)
	default:
		w.now = r.call.Ended
		s.publish(r, n)
		s.session.End(r.call)
	}
	return true
}

// clock returns the time, which it does not ask for anew if this thread just has.
func (w *worker) clock() int64 {
	if w.now == 0 {
		w.now = ninep.Nanotime()
	}
	return w.now
}
