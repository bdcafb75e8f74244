// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"os"

	"github.com/pkg/xattr"
	"golang.org/x/sys/unix"
)

// medium is what a Store does to the export's root: each of get, set and remove
// is one system call that happens entirely or not at all.
type medium interface {
	get(name string) ([]byte, error) // ENODATA: there is none
	set(name string, value []byte) error
	remove(name string) error
	sync() error    // makes every earlier set and remove durable
	tryLock() error // EWOULDBLOCK: someone else has the lock
	unlock() error
	close() error
}

// rootMedium is a directory, through a file description of its own.
type rootMedium struct{ dir *os.File }

// openRoot opens the directory that root is open on once more. root may be an
// O_PATH descriptor.
func openRoot(root *os.File) (*rootMedium, error) {
	conn, err := root.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var openErr error
	err = conn.Control(func(rootFD uintptr) {
		for {
			fd, openErr = unix.Openat(int(rootFD), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
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
	return &rootMedium{os.NewFile(uintptr(fd), root.Name())}, nil
}

func (m *rootMedium) get(name string) ([]byte, error)     { return xattr.FGet(m.dir, name) }
func (m *rootMedium) set(name string, value []byte) error { return xattr.FSet(m.dir, name, value) }
func (m *rootMedium) remove(name string) error            { return xattr.FRemove(m.dir, name) }
func (m *rootMedium) sync() error                         { return m.dir.Sync() }
func (m *rootMedium) tryLock() error                      { return m.flock(unix.LOCK_EX | unix.LOCK_NB) }
func (m *rootMedium) unlock() error                       { return m.flock(unix.LOCK_UN) }
func (m *rootMedium) close() error                        { return m.dir.Close() }

func (m *rootMedium) flock(how int) error {
	for {
		if err := unix.Flock(int(m.dir.Fd()), how); err != unix.EINTR {
			return err
		}
	}
}
