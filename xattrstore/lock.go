// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

const (
	lockTimeout = 2 * time.Second

	// While someone keeps the lock, every new key would wait for it. After a
	// timeout the wait is this part of it, which other daemons' appends still
	// fit in, until the lock has been free again.
	lockTimeoutPart = 50

	lockRetryMin = 500 * time.Microsecond
	lockRetryMax = 20 * time.Millisecond
)

var errLocked = errors.New("the root is locked by another process")

// lockLocked takes the lock that all daemons of the export share.
func (s *Store) lockLocked() error {
	wait := s.lockTimeout
	if s.contended {
		wait /= lockTimeoutPart
	}
	deadline := time.Now().Add(wait)
	for pause := lockRetryMin; ; pause = min(2*pause, lockRetryMax) {
		err := s.medium.tryLock()
		if err == nil {
			s.contended = false
			return nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		if time.Now().After(deadline) {
			s.contended = true
			return errLocked
		}
		time.Sleep(pause)
	}
}
