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

	// Under the session's lock.
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
	w.tid = unix.Gettid() // for who sees, under the session's lock, that it executes
	var r *request
	n := ninep.Deferred
	for {
		r = w.next(r, n)
		if r == nil {
			s.leave(w)
			return
		}
		r.call.Thread, r.worker = &w.thread, w
		n = s.session.Serve(r.call)
	}
}

// next publishes the reply of n bytes to the last request, unless that is ninep.Deferred: it
// belongs to whoever answers it then. It returns the next one to execute, or nil when the worker is
// to end: the queue stops, or enough others are idle.
func (w *worker) next(last *request, n int) *request {
	s := w.s
	s.session.Lock()
	w.come()
	w.now = 0
	if n != ninep.Deferred {
		w.done(last, n)
	}
	r := w.take()
	call := callNone
	if r != nil && s.teller.due(w.clock(), s.cost, w.left) {
		call = s.takeCall()
	}
	s.unlock()
	s.makeCall(call)
	return r
}

// done is the end of a request. Preconditions: the session is locked.
func (w *worker) done(r *request, n int) {
	s := w.s
	s.publish(r, n)
	if s.session.EndLocked(r.call) {
		w.away(func() { s.session.EndRest(r.call) })
	}
	w.now = r.call.Ended
	if w.running || w.stuck {
		s.measure(r) // not one that said that it would block
	}
	s.release(r)
}

// take returns the next request to execute, as next does. Preconditions: the session is locked.
func (w *worker) take() *request {
	s := w.s
	w.setRunning(false)
	w.setLong(false)
	w.stuck = false
	for {
		r := s.takeResumed()
		switch {
		case r != nil:
		case s.stopping:
			w.away(s.flush)
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
			if call := s.takeCall(); call != callNone {
				w.soonBack(func() { s.makeCall(call) })
			}
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

// away runs what may take long, a system call, while the session is not locked. Preconditions: it
// is.
func (w *worker) away(f func()) {
	w.s.unlock()
	f()
	w.s.session.Lock()
	w.now = 0
}

// soonBack is away for a moment only, even if the driver takes this processor meanwhile: who finds
// then that its operation blocks need not have another worker look at the ring. Preconditions:
// the session is locked.
func (w *worker) soonBack(f func()) {
	w.s.coming++
	w.away(f)
	w.s.coming--
}

// newSlice has Go's scheduler begin a new time slice. Preconditions: the session is locked.
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

// clock returns the time, which it does not ask for anew if this thread just has.
func (w *worker) clock() int64 {
	if w.now == 0 {
		w.now = ninep.Nanotime()
	}
	return w.now
}
