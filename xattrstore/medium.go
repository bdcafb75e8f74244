// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"os"
	"slices"

	"github.com/pkg/xattr"
	"golang.org/x/sys/unix"

	"vhost-user-9p/xattrstore/rootlock"
)

// medium is named values in one place. What is read and written must not be
// changed.
type medium interface {
	// begin begins an operation, which forgets what the one before has set and
	// not synced, if that is not stored yet. It reports whether what is stored
	// is known to be other than in the operation before.
	begin() (changed bool, err error)

	get(name string) ([]byte, error) // ENODATA: there is none
	aside() ([]Value, error)         // what was set aside

	// set and remove each happen entirely or not at all, and in this order.
	set(name string, value []byte) error
	remove(name string) error

	sync() error // makes every earlier set and remove durable

	// discard copies everything, durably, to where nobody looks for it, and
	// removes it. It is for what begin has refused as ErrFile.
	discard() error

	maxValue() int // bytes
	close() error
}

// locker is the lock that all daemons of an export share: a *rootlock.Lock.
type locker interface {
	Lock() error // rootlock.ErrLocked: someone else keeps the lock
	Unlock() error
	Close() error
}

// rootMedium is the attributes of a directory, through a file description of its
// own.
type rootMedium struct{ dir *os.File }

// openRoot opens the directory that root is open on once more. root may be an
// O_PATH descriptor.
func openRoot(root *os.File) (*rootMedium, error) {
	dir, err := rootlock.Reopen(root)
	if err != nil {
		return nil, err
	}
	return &rootMedium{dir}, nil
}

// retry calls a system call again that a signal has interrupted.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

func (m *rootMedium) begin() (bool, error)                { return false, nil }
func (m *rootMedium) get(name string) ([]byte, error)     { return xattr.FGet(m.dir, name) }
func (m *rootMedium) set(name string, value []byte) error { return xattr.FSet(m.dir, name, value) }
func (m *rootMedium) remove(name string) error            { return xattr.FRemove(m.dir, name) }
func (m *rootMedium) sync() error                         { return m.dir.Sync() }
func (m *rootMedium) discard() error                      { return nil }
func (m *rootMedium) maxValue() int                       { return 1 << 16 } // XATTR_SIZE_MAX
func (m *rootMedium) close() error                        { return m.dir.Close() }

func (m *rootMedium) aside() (aside []Value, err error) {
	names, err := xattr.FList(m.dir)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		if isAside(name) {
			v, err := m.get(name)
			if err != nil {
				return nil, err
			}
			aside = append(aside, Value{name, len(v)})
		}
	}
	return aside, nil
}
