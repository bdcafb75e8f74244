// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"math"

	"golang.org/x/sys/unix"
)

// checkExtent judges the byte range of a lock, as fcntl(2) does.
func checkExtent(l *Lock) error {
	switch {
	case l.Start > math.MaxInt64 || l.Length > math.MaxInt64:
		return unix.EINVAL
	case l.Length != 0 && l.Start > math.MaxInt64-(l.Length-1):
		return unix.EOVERFLOW
	}
	return nil
}

func (s *Session) lock(c *Call) (int, error) {
	st := &c.state
	var m Tlock
	if m.fields(st.decoder()); !st.dec.exact() {
		return 0, errMalformed
	}
	if m.Lock.Type > LockUnlock || m.Lock.Flags&^LockFlagBlock != 0 {
		return 0, unix.EINVAL
	}
	if err := checkExtent(&m.Lock); err != nil {
		return 0, err
	}
	f, err := s.hold(c, m.FID)
	if err != nil {
		return 0, err
	}
	st.lock, st.asked = m.Lock, false
	status, err := f.file.Lock(c, &st.lock)
	if st.asked {
		// The wait needs the fid, but not its mu: others go on using it.
		st.park.fid = f
		return waitLock, nil
	}
	if err != nil {
		return 0, err
	}
	r := Rlock{Status: status}
	return c.send(r.fields)
}

func (s *Session) getlock(c *Call) (int, error) {
	st := &c.state
	var m Tgetlock
	if m.fields(st.decoder()); !st.dec.exact() {
		return 0, errMalformed
	}
	if m.Lock.Type > LockUnlock {
		return 0, unix.EINVAL
	}
	if err := checkExtent(&m.Lock); err != nil {
		return 0, err
	}
	f, err := s.hold(c, m.FID)
	if err != nil {
		return 0, err
	}
	st.lock = m.Lock
	if st.lock.Type == LockUnlock {
		// Linux (v9fs_file_getlock) looks for conflicts in the guest first, which
		// overwrites the type that was asked about, and then always sends this one.
		// A program asks about the lock it wants to take, and that is nearly always a
		// write lock.
		st.lock.Type = LockWrite
	}
	if err := f.file.GetLock(c, &st.lock); err != nil {
		return 0, err
	}
	r := Rgetlock{Lock: st.lock}
	return c.send(r.fields)
}
