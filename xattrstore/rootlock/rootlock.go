// SPDX-License-Identifier: Apache-2.0

package rootlock

import (
	"errors"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	timeout = 2 * time.Second

	// While someone keeps the lock, every new key would wait for it. After a
	// timeout the wait is this part of it, which other daemons' appends still
	// fit in, until the lock has been free again.
	timeoutPart = 50

	retryMin = 500 * time.Microsecond
	retryMax = 20 * time.Millisecond
)

// ErrLocked is returned by Lock when another Lock held the lock too long.
var ErrLocked = errors.New("the root is locked by another process")

// Lock is one holder, or none, of the lock of a root. Its methods may not be
// called at the same time: it excludes other Locks, not other callers.
type Lock struct {
	Timeout time.Duration // how long Lock waits; 2 seconds unless it is set

	dirs      []*os.File
	contended bool // the last attempt timed out
}

// Open returns a Lock of directories, which may be O_PATH descriptors and stay the
// caller's: of the root and, if what is stored is there, of the state directory.
// They are locked in this order, which must be the same for all.
func Open(dirs ...*os.File) (*Lock, error) {
	l := &Lock{Timeout: timeout}
	for _, dir := range dirs {
		own, err := Reopen(dir)
		if err != nil {
			_ = l.Close()
			return nil, err
		}
		l.dirs = append(l.dirs, own)
	}
	if err := l.excludeTwins(); err != nil {
		return nil, err
	}
	return l, nil
}

// excludeTwins closes what is one directory with another: two descriptions of it would
// exclude each other.
func (l *Lock) excludeTwins() error {
	var infos []os.FileInfo
	var distinct []*os.File
	for i, dir := range l.dirs {
		info, err := dir.Stat()
		if err != nil {
			_ = l.Close()
			return err
		}
		if slices.ContainsFunc(infos, func(other os.FileInfo) bool { return os.SameFile(info, other) }) {
			_ = l.dirs[i].Close()
			continue
		}
		infos, distinct = append(infos, info), append(distinct, dir)
	}
	l.dirs = distinct
	return nil
}

// Reopen opens the directory that dir is open on once more, for reading. dir may
// be an O_PATH descriptor.
func Reopen(dir *os.File) (*os.File, error) {
	conn, err := dir.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var openErr error
	err = conn.Control(func(dirFD uintptr) {
		for {
			fd, openErr = unix.Openat(int(dirFD), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			if openErr != unix.EINTR {
				return
			}
		}
	})
	if err == nil {
		err = openErr
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), dir.Name()), nil
}

// Lock takes the lock. It fails with ErrLocked if that takes too long, and with
// os.ErrClosed after Close.
func (l *Lock) Lock() error {
	wait := l.Timeout
	if l.contended {
		wait /= timeoutPart
	}
	deadline := time.Now().Add(wait)
	for pause := retryMin; ; pause = min(2*pause, retryMax) {
		err := l.try()
		if err == nil {
			l.contended = false
			return nil
		}
		if err != unix.EWOULDBLOCK {
			return err
		}
		if time.Now().After(deadline) {
			l.contended = true
			return ErrLocked
		}
		time.Sleep(pause)
	}
}

// try takes all of the lock or nothing.
func (l *Lock) try() error {
	for i, dir := range l.dirs {
		if err := flock(dir, unix.LOCK_EX|unix.LOCK_NB); err != nil {
			for _, locked := range l.dirs[:i] {
				_ = flock(locked, unix.LOCK_UN)
			}
			return err
		}
	}
	return nil
}

// Unlock releases the lock. That it was not held is no error.
func (l *Lock) Unlock() error {
	var err error
	for _, dir := range slices.Backward(l.dirs) {
		err = errors.Join(err, flock(dir, unix.LOCK_UN))
	}
	return err
}

// Close releases the lock and what the Lock holds. Closing again does nothing.
func (l *Lock) Close() error {
	var err error
	for _, dir := range l.dirs {
		if e := dir.Close(); !errors.Is(e, os.ErrClosed) {
			err = errors.Join(err, e)
		}
	}
	return err
}

func flock(dir *os.File, how int) error {
	conn, err := dir.SyscallConn()
	if err != nil {
		return err
	}
	var flockErr error
	err = conn.Control(func(fd uintptr) {
		for {
			if flockErr = unix.Flock(int(fd), how); flockErr != unix.EINTR {
				return
			}
		}
	})
	if err != nil {
		return os.ErrClosed // all that Control fails for
	}
	return flockErr
}
