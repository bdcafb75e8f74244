// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// lockers take and release a lock on a file, by kind.
var lockers = map[string]func(fd uintptr, lock bool) error{
	"fcntl": func(fd uintptr, lock bool) error { return lockRange(fd, unix.F_SETLKW, lock) },
	"ofd":   func(fd uintptr, lock bool) error { return lockRange(fd, unix.F_OFD_SETLKW, lock) },
	"flock": func(fd uintptr, lock bool) error {
		how := unix.LOCK_UN
		if lock {
			how = unix.LOCK_EX
		}
		return retry(func() error { return unix.Flock(int(fd), how) })
	},
}

func lockRange(fd uintptr, cmd int, lock bool) error {
	l := unix.Flock_t{Type: unix.F_UNLCK}
	if lock {
		l.Type = unix.F_WRLCK
	}
	return retry(func() error { return unix.FcntlFlock(fd, cmd, &l) })
}

// retry calls f again while signals, such as the Go runtime's own, interrupt it.
func retry(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

// counter adds 1 to the number in a file n times, under a lock.
func counter(path, kind string, n int) error {
	locker := lockers[kind]
	if locker == nil {
		return fmt.Errorf("counter -lock %q: it is fcntl, ofd or flock", kind)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	for range n {
		if err := locker(f.Fd(), true); err != nil {
			return fmt.Errorf("lock: %w", err)
		}
		if err := add(f); err != nil {
			return err
		}
		if err := locker(f.Fd(), false); err != nil {
			return fmt.Errorf("unlock: %w", err)
		}
	}
	return nil
}

func add(f *os.File) error {
	var buf [32]byte
	n, err := unix.Pread(int(f.Fd()), buf[:], 0)
	if err != nil {
		return err
	}
	value := 0
	if n > 0 {
		if value, err = strconv.Atoi(strings.TrimSpace(string(buf[:n]))); err != nil {
			return fmt.Errorf("the counter holds %q", buf[:n])
		}
	}
	_, err = unix.Pwrite(int(f.Fd()), fmt.Appendf(nil, "%020d\n", value+1), 0)
	return err
}
