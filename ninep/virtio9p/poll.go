// SPDX-License-Identifier: Apache-2.0

package virtio9p

import "vhost-user-9p/ninep"

// poller says how long the leader looks at the ring before it waits for a kick. A request
// that it sees costs neither side a system call, and nobody's thread has to wake up; one
// that it does not see has cost a processor's time for nothing. So it looks only while
// requests come soon after one another, and for no longer than they take to come.
//
// Where looking is of no use, because the driver waits for this very processor, it is
// tried seldom.
//
// The fields are under the session's lock.
type poller struct {
	max    int64 // nanoseconds; 0: never
	window int64 // how long to look now
	missed int   // times in a row that nothing was seen
	rest   int   // waits until it is tried again
	pause  int   // the rest after the next time that it was of no use
}

const (
	// firstWindow is the first window that is tried, in nanoseconds.
	firstWindow = 5_000
	// maxMissed is how often in a row nothing may be seen.
	maxMissed = 5
	// A rest has from minRest to maxRest waits.
	minRest, maxRest = 16, 4096
)

// adapt takes account of a request that came idle nanoseconds after the ring was empty.
func (p *poller) adapt(idle int64) {
	switch {
	case p.window > 0 && idle <= p.window: // it was seen
		p.missed, p.pause = 0, minRest
		return
	case idle > p.max:
		if p.window /= 2; p.window < firstWindow {
			p.window = 0
		}
	case p.rest > 0:
		p.rest--
		return
	default:
		p.window = min(max(2*p.window, firstWindow), p.max)
	}
	if p.window == 0 {
		p.missed = 0
		return
	}
	if p.missed++; p.missed > maxMissed {
		p.window, p.missed = 0, 0
		p.rest = max(p.pause, minRest)
		p.pause = min(2*p.rest, maxRest)
	}
}

// poller returns the one for the present wait. Preconditions: the session is locked.
func (s *service) poller() *poller {
	if s.inFlight > 0 {
		return &s.behind
	}
	return &s.poll
}

// look looks at the ring until a request comes, and reports false if none does in time.
// Preconditions: the session is locked, nobody else looks.
func (s *service) look(w *worker, deadline int64) (came bool) {
	s.looking = true
	if s.kicks {
		s.disableKick()
	}
	position := s.q.Position()
	s.unlock()
	for came = s.q.Arrived(position); !came; came = s.q.Arrived(position) {
		if w.now = ninep.Nanotime(); w.now > deadline {
			break
		}
	}
	s.session.Lock()
	s.looking = false
	if came {
		w.now = 0
	}
	return came
}
