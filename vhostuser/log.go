// SPDX-License-Identifier: Apache-2.0

package vhostuser

import (
	"errors"

	"vhost-user-9p/virtqueue"
)

// setLogBase sets the dirty log of a migration; it comes again, with a larger one, while rings
// run. Answered always if LOG_SHMFD was negotiated: QEMU waits without asking.
func (s *session) setLogBase(m *message) ([]byte, error) {
	if !s.protocol.Has(ProtocolLogShmfd) {
		return nil, errors.New("VHOST_USER_PROTOCOL_F_LOG_SHMFD was not negotiated")
	}
	l, err := virtqueue.MapLog(m.fds[0], m.u64(0), m.u64(8))
	if err != nil {
		return nil, err
	}
	l.SetEvent(s.logFD)
	old := s.dirty
	s.dirty = l
	s.applyLog()
	if old != nil {
		old.Unref()
	}
	return nil, nil
}

// setLogFD sets the fd that is signalled when pages were logged. No front end that we know
// sends it; so rings are stopped for it, and nobody is left with the old fd.
func (s *session) setLogFD(m *message) ([]byte, error) {
	s.stopRings()
	if s.dirty != nil {
		s.dirty.SetEvent(m.fds[0])
	}
	replaceFD(&s.logFD, m.takeFD())
	s.resume()
	return nil, nil
}

// activeLog returns the log that rings write to, nil for none. QEMU sends VHOST_F_LOG_ALL
// before the log when it starts a device in the middle of a migration.
func (s *session) activeLog() *virtqueue.Log {
	if s.features.Has(virtqueue.FeatureLogAll) {
		return s.dirty
	}
	return nil
}

func (s *session) applyLog() {
	for i := range s.rings {
		if q := s.rings[i].queue; q != nil {
			q.SetLog(s.activeLog())
		}
	}
}
