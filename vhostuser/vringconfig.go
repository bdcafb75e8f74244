// SPDX-License-Identifier: Apache-2.0

package vhostuser

import (
	"errors"
	"fmt"
	"math"

	"golang.org/x/sys/unix"

	"vhost-user-9p/virtqueue"
)

var errRunning = errors.New("ring is running")

func (s *session) ring(index uint32) (*vring, error) {
	if index >= numQueues {
		return nil, fmt.Errorf("no ring %d", index)
	}
	return &s.rings[index], nil
}

func (s *session) setVringNum(m *message) ([]byte, error) {
	v, err := s.ring(m.u32(0))
	if err != nil {
		return nil, err
	}
	num := m.u32(4)
	check := virtqueue.Config{Size: int(num), Features: s.features}
	if err := check.Validate(); err != nil {
		return nil, err
	}
	if v.queue != nil {
		return nil, errRunning
	}
	missing := v.size == 0
	v.size = int(num)
	if !missing {
		// A ring that could not be started is not tried again until it has a new address.
		return nil, nil
	}
	return nil, v.start()
}

func (s *session) setVringBase(m *message) ([]byte, error) {
	v, err := s.ring(m.u32(0))
	if err != nil {
		return nil, err
	}
	base := m.u32(4)
	if base > math.MaxUint16 && !s.features.Has(virtqueue.FeatureRingPacked) {
		return nil, fmt.Errorf("ring index %d out of range", base)
	}
	if v.queue != nil {
		return nil, errRunning
	}
	v.base = base
	return nil, nil
}

// setVringAddr says where the ring is. It comes again while the ring runs, to turn the logging
// of the used ring on or off.
func (s *session) setVringAddr(m *message) ([]byte, error) {
	a := m.ringAddr()
	v, err := s.ring(a.index)
	if err != nil {
		return nil, err
	}
	if q := v.queue; q != nil {
		if old := v.addr; a.desc == old.desc && a.avail == old.avail && a.used == old.used {
			v.addr = a
			q.SetUsedLog(a.flags&ringAddrLog != 0, a.log)
			return nil, nil
		}
	}
	check := virtqueue.Config{Size: 1, Features: s.features, DescAddr: a.desc, AvailAddr: a.avail, UsedAddr: a.used}
	if err := check.Validate(); err != nil {
		v.signalErr()
		return nil, err
	}
	v.stop()
	v.addr, v.hasAddr = a, true
	switch {
	case v.wanted():
		return nil, v.start()
	case s.mem == nil:
		// Not an error yet: memory may come. But QEMU says nothing when it has none to share.
		s.hint()
		return nil, nil
	case v.size == 0:
		return nil, nil
	}
	// An address that cannot work is refused here, where it can be seen for what it is, and
	// again if the ring is started with it. Not so a base: a new one may come yet, and that of
	// the last ring suits neither another size nor the other layout.
	q, err := v.newQueue(0)
	if err != nil {
		v.signalErr()
		return nil, err
	}
	return nil, q.Close()
}

// hint says once a session why a front end that works otherwise gets nowhere.
func (s *session) hint() {
	if !s.hinted {
		s.hinted = true
		s.log.Warn("guest memory is not shared: use memory-backend-memfd,share=on")
	}
}

// getVringBase stops the ring. After its answer nothing is done to guest memory, and nobody
// is notified.
func (s *session) getVringBase(m *message) ([]byte, error) {
	v, err := s.ring(m.u32(0))
	if err != nil {
		return nil, err
	}
	v.halt()
	if s.realized {
		s.dev.Suspended(v.index)
	}
	return vringStatePayload(uint32(v.index), uint32(v.base)), nil
}

// setVringEnable: a ring that is disabled is drained before the answer, since UML frees the
// ring's memory after it and never sends GET_VRING_BASE. A ring may be enabled that has
// neither address nor kick: a guest that comes back from S3.
func (s *session) setVringEnable(m *message) ([]byte, error) {
	v, err := s.ring(m.u32(0))
	if err != nil {
		return nil, err
	}
	if !s.features.Has(virtqueue.FeatureProtocol) {
		return nil, errors.New("VHOST_USER_F_PROTOCOL_FEATURES was not negotiated")
	}
	switch m.u32(4) {
	case 0:
		v.stop()
		v.enabled = false
		return nil, nil
	case 1:
		v.enabled = true
		return nil, v.start()
	}
	return nil, fmt.Errorf("neither 0 nor 1: %d", m.u32(4))
}

const (
	ringFDIndex = 0xff  // VHOST_USER_VRING_IDX_MASK
	ringFDNone  = 0x100 // VHOST_USER_VRING_NOFD_MASK
)

// ringFD returns the ring and the fd, -1 for none, of SET_VRING_KICK, CALL and ERR. The
// fd is the caller's.
func (s *session) ringFD(m *message) (v *vring, fd int, err error) {
	u := m.u64(0)
	if v, err = s.ring(uint32(u & ringFDIndex)); err != nil {
		return nil, -1, err
	}
	if none := u&ringFDNone != 0; none != (len(m.fds) == 0) {
		return nil, -1, fmt.Errorf("%d file descriptors, but the no-fd bit is %t", len(m.fds), none)
	} else if none {
		return v, -1, nil
	}
	// An eventfd, or a pipe or a socket that stands for one.
	var st unix.Stat_t
	if err := unix.Fstat(m.fds[0], &st); err != nil {
		return nil, -1, fmt.Errorf("fstat: %w", err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG, unix.S_IFDIR, unix.S_IFBLK, unix.S_IFLNK:
		return nil, -1, errors.New("file descriptor cannot carry events")
	}
	return v, m.takeFD(), nil
}

// setVringKick starts the ring.
func (s *session) setVringKick(m *message) ([]byte, error) {
	v, fd, err := s.ringFD(m)
	if err != nil {
		return nil, err
	}
	if v.queue != nil {
		if err := v.queue.SetKick(fd); err != nil {
			// The old one is gone from the queue already.
			err = errors.Join(err, v.queue.SetKick(v.kick))
			closeFD(&fd)
			return nil, err
		}
	}
	replaceFD(&v.kick, fd)
	v.started = true
	return nil, v.start()
}

// setVringCall: a notification that went to the fd before is repeated (Queue.SetCall), which
// is all that saves a guest whose front end changes it at the wrong moment.
func (s *session) setVringCall(m *message) ([]byte, error) {
	v, fd, err := s.ringFD(m)
	if err != nil {
		return nil, err
	}
	if v.queue != nil {
		v.queue.SetCall(fd)
	}
	replaceFD(&v.call, fd)
	return nil, nil
}

func (s *session) setVringErr(m *message) ([]byte, error) {
	v, fd, err := s.ringFD(m)
	if err != nil {
		return nil, err
	}
	if v.queue != nil {
		v.queue.SetErr(fd)
	}
	replaceFD(&v.err, fd)
	return nil, nil
}
