// SPDX-License-Identifier: Apache-2.0

package virtio9p

import "vhost-user-9p/ninep"

// poller says how long the leader looks at the ring before it waits for a kick. A request
// that it sees costs neither side a system call, and nobody's thread has to wake up; one
// that it does not see has cost a processor's time for nothing. So it looks only while
// requests have come soon after one another.
//
// The fields are under service.mu.
type poller struct {
	max    int64 // nanoseconds; 0: never
	window int64 // how long to look now
}

// firstWindow is the first window that is tried, in nanoseconds.
const firstWindow = 5_000

// adapt takes account of a request that came idle nanoseconds after the ring was empty.
func (p *poller) adapt(idle int64) {
	switch {
	case idle <= p.window: // it was seen
	case idle > p.max:
		if p.window /= 2; p.window < firstWindow {
			p.window = 0
		}
	default:
		p.window = min(max(2*p.window, firstWindow), p.max)
	}
}

// look looks at the ring until a request comes, and reports false if none does in time.
// Preconditions: s.mu is held, nobody else waits.
func (s *service) look(w *worker, deadline int64) (came bool) {
	s.waiting = w
	position := s.q.Position()
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.waiting = nil
	}()
	defer s.surviveFault()
	for !s.q.Arrived(position) {
		if w.now = ninep.Nanotime(); w.now > deadline {
			return false
		}
	}
	w.now = 0
	return true
}
