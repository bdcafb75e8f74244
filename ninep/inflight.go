// SPDX-License-Identifier: Apache-2.0

package ninep

import "iter"

// flushList is a queue of calls, linked by their park.next.
type flushList struct{ head, tail *Call }

func (l *flushList) push(c *Call) {
	if l.head == nil {
		l.head = c
	} else {
		l.tail.state.park.next = c
	}
	l.tail = c
}

func (l *flushList) pop() *Call {
	c := l.head
	if c != nil {
		l.head = c.state.park.next
		c.state.park.next = nil
	}
	return c
}

// markFlushed finds the request that a Tflush of number seq means by tag, among
// those that came before it, and marks it. It returns nil if that has ended. Where
// two have the tag, which no client should let happen, the younger one is meant.
//
// Preconditions: s.mu is held.
func (s *Session) markFlushed(tag uint16, seq uint64) (target *Call) {
	for c := range s.inFlight() {
		if st := &c.state; st.tag == tag && st.seq < seq && (target == nil || st.seq > target.state.seq) {
			target = c
		}
	}
	if target != nil {
		target.state.park.flushed.Store(true)
	}
	return target
}

// inFlight returns the calls that have begun and not ended: there is no table of tags, which each
// request would have to enter.
//
// Preconditions: s.mu is held.
func (s *Session) inFlight() iter.Seq[*Call] {
	return func(yield func(*Call) bool) {
		s.callsMu.Lock()
		defer s.callsMu.Unlock()
		for _, c := range s.calls {
			if c.state.park.busy && !yield(c) {
				return
			}
		}
	}
}

// lastBegun returns the number of the last request that has begun.
func (s *Session) lastBegun() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun
}

// parkFlush is the rest of a Tflush. Its reply waits until the old request's is on
// its way, or is certain not to come. From the unlocking of s.mu on, c may be
// completed by another thread: it is not touched any more.
func (s *Session) parkFlush(c *Call) int {
	st := &c.state
	s.mu.Lock()
	target := s.markFlushed(st.oldTag, st.seq)
	if target == nil {
		s.mu.Unlock()
		return c.ended(s.guarded(c, func() int { n, _ := c.sendEmpty(); return n }))
	}
	target.state.park.flushers.push(c)
	cancel := target.state.park.takeCancel()
	s.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	return Deferred
}

// EndRest is the rest of EndLocked, when s is not locked: it completes the Tflushes that waited for the
// request, and ends the fid that it was the last to use. The transport must not hold a lock that
// Transport.Complete takes.
func (s *Session) EndRest(c *Call) {
	if f := c.state.ending; f != nil {
		c.state.ending = nil
		s.end(nil, f)
	}
	s.mu.Lock()
	waiting := c.state.park.flushers
	c.state.park.flushers = flushList{}
	c.state.park.flushed.Store(false)
	s.mu.Unlock()
	for f := waiting.pop(); f != nil; f = waiting.pop() {
		n := f.ended(s.guarded(f, func() int { n, _ := f.sendEmpty(); return n }))
		f.Transport.Complete(f, n)
	}
}

// takeCancel returns the function by which to end the wait of a call, nil if it
// does not wait or was told before.
//
// Preconditions: Session.mu is held.
func (p *parking) takeCancel() func() {
	if p.state != parked {
		return nil
	}
	cancel := p.cancel
	p.cancel = nil
	return cancel
}

// Defer tells the session that the operation on c's thread is not finished: the
// handler's results are ignored. The backend ends the request with one of the
// Finish methods, once, from any goroutine, even before the method that called
// Defer has returned.
//
// If the request is flushed, or the session drains, cancel is called, at most
// once, from any goroutine. It makes the backend call the Finish method without
// delay (inside cancel or soon after): with LockBlocked, unless the lock has been
// taken in the meantime.
//
// Defer reports false, and does nothing, if as many requests wait already as may
// (LimitWaiting).
func (c *Call) Defer(cancel func()) bool {
	s, p := c.state.sess, &c.state.park
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting >= s.maxWaiting {
		return false
	}
	s.waiting++
	c.state.asked = true
	p.state, p.cancel = parkAsked, cancel
	return true
}

// LimitWaiting bounds how many requests may be deferred at a time. A transport that has
// a queue lets it be a part of that, for those that wait are in the way of others. A
// new session has DefaultMaxWaiting.
func (s *Session) LimitWaiting(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.maxWaiting = n
}

// FinishLock answers a deferred Tlock. c is not to be used after. The caller must
// not hold a lock that Transport.Complete or File.Close takes.
func (c *Call) FinishLock(status LockStatus, err error) {
	s, p := c.state.sess, &c.state.park
	s.mu.Lock()
	switch p.state {
	case parkAsked:
		// Serve will find the answer when it comes to wait.
		p.state, p.status, p.err = parkEarly, status, err
		s.waiting--
		s.mu.Unlock()
		return
	case parked:
		s.waiting--
	default:
		s.mu.Unlock()
		s.log.Error("lock answered twice")
		return
	}
	p.state, p.cancel = parkNone, nil
	s.parked.Add(-1)
	// A request that had no effect needs no answer if it was flushed, and then
	// gets none: for the client an answer to a flushed request is one more case.
	silent := err == nil && status == LockBlocked && p.flushed.Load()
	s.mu.Unlock()

	n := 0
	if !silent {
		n = s.guarded(c, func() int { return s.answerLock(c, status, err) })
	}
	p.fid = nil
	c.Transport.Complete(c, c.ended(n))
}

// answerLock writes the reply to a Tlock.
func (s *Session) answerLock(c *Call, status LockStatus, err error) int {
	if err != nil {
		return s.refuse(c, err)
	}
	r := Rlock{Status: status}
	n, _ := c.send(r.fields)
	return n
}

// parkLock is the rest of a Tlock that the backend has deferred. As with
// parkFlush, c is another's from the unlocking of s.mu on.
func (s *Session) parkLock(c *Call) int {
	p := &c.state.park
	s.mu.Lock()
	if p.state == parkEarly {
		p.state, p.cancel = parkNone, nil
		status, err := p.status, p.err
		s.mu.Unlock()
		p.fid = nil
		return c.ended(s.guarded(c, func() int { return s.answerLock(c, status, err) }))
	}
	return s.park(c)
}

// park lets c wait, and unlocks s.mu. It ends the wait at once if somebody wanted that
// while Serve was at work and it could not be done.
//
// Preconditions: s.mu is held.
func (s *Session) park(c *Call) int {
	p := &c.state.park
	p.state = parked
	s.parked.Add(1)
	var cancel func()
	if p.flushed.Load() || c.state.seq <= s.drained || s.terms.Load() != c.state.terms {
		cancel = p.takeCancel()
	}
	s.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	return Deferred
}

// Drain makes the session answer at once what waits, a Tlock with LockBlocked, and
// resume what waits for its turn, so that a transport that wants to stop has to wait for
// running operations only. It
// holds for the requests begun before, also those that would come to wait after
// it. The transport must not hold a lock here that Transport.Complete takes.
func (s *Session) Drain() {
	s.mu.Lock()
	seq := s.begun
	s.drained = seq
	s.mu.Unlock()
	s.release(func(c *Call) bool { return c.state.seq <= seq })
}

// release ends the wait of those waiting calls that which picks.
func (s *Session) release(which func(*Call) bool) {
	if s.parked.Load() == 0 {
		return
	}
	var cancels []func()
	s.mu.Lock()
	for c := range s.inFlight() {
		if c.state.park.state == parked && which(c) {
			if cancel := c.state.park.takeCancel(); cancel != nil {
				cancels = append(cancels, cancel)
			}
		}
	}
	s.mu.Unlock()
	for _, cancel := range cancels {
		cancel()
	}
}
