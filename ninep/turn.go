// SPDX-License-Identifier: Apache-2.0

package ninep

import "vhost-user-9p/ninep/throttle"

// mustWait reports whether a request that moves n bytes of a file has to wait for its
// turn, as Config.Throttle has it. Then the operation has done nothing yet, and returns
// waitTurn: it is begun once more when it may go on.
func (s *Session) mustWait(c *Call, class throttle.Class, n int) bool {
	st := &c.state
	if s.cfg.Throttle == nil || st.resumed {
		return false
	}
	if st.turn.Resume == nil {
		st.turn.Resume = func() { s.resume(c) }
		st.cancelTurn = func() {
			if s.cfg.Throttle.Cancel(&st.turn) {
				s.resume(c)
			}
		}
	}
	return !s.cfg.Throttle.Admit(class, n, &st.turn)
}

// parkTurn is the rest of Serve for a request that waits for its turn. Whoever wants the
// wait to end gets the request to go on at once: if it was flushed it will find out and
// do nothing, and if the session has been reset too; if the queue is to be stopped it is
// not kept waiting. As with parkFlush, c is another's from the unlocking of s.mu on.
func (s *Session) parkTurn(c *Call) int {
	st := &c.state
	p := &st.park
	st.resumed = true
	s.mu.Lock()
	if p.state == parkEarly {
		p.state = parkNone
		s.mu.Unlock()
		return s.Serve(c)
	}
	p.cancel = st.cancelTurn
	return s.park(c)
}

// resume hands c to the transport for its second Serve, unless the first has not
// returned yet.
func (s *Session) resume(c *Call) {
	p := &c.state.park
	s.mu.Lock()
	if p.state != parked {
		p.state = parkEarly
		s.mu.Unlock()
		return
	}
	p.state, p.cancel = parkNone, nil
	s.parked.Add(-1)
	s.mu.Unlock()
	c.Transport.Resume(c)
}
