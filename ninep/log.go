// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"runtime/debug"
	"sync/atomic"
	"time"
)

// muffler lets one line through per second: what a guest can cause at will must
// not fill the host's log. The counters lose nothing.
type muffler struct{ last atomic.Int64 }

func (m *muffler) pass(now int64) bool {
	last := m.last.Load()
	return (last == 0 || now-last >= int64(time.Second)) && m.last.CompareAndSwap(last, max(now, 1))
}

// logUnknown tells of an error of the backend that names no errno.
func (s *Session) logUnknown(c *Call, err error) {
	s.stats.failed.Add(1)
	if s.muffle.pass(Nanotime()) {
		s.log.Warn("error without an errno, answered with EIO", "op", c.state.op.name, "err", err)
	}
}

// logPanic tells of a panic in an operation, from the deferred function that
// recovered it.
func (s *Session) logPanic(op string, r any) {
	s.stats.panics.Add(1)
	if s.muffle.pass(Nanotime()) {
		s.log.Error("panic in an operation, answered with EIO", "op", op, "panic", r, "stack", string(debug.Stack()))
	}
}
