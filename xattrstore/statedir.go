// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"vhost-user-9p/xattrstore/rootlock"
)

// stateDir is a directory on disk, through a file description of its own.
type stateDir struct{ dir *os.File }

func (d stateDir) stat(name string) (fileID, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstatat(int(d.dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		return fileID{}, fmt.Errorf("stat %s: %w", name, err)
	}
	return idOf(&st)
}

// identify returns the identification of an open file.
func identify(f *os.File) (fileID, error) {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Fstat(int(f.Fd()), &st) }); err != nil {
		return fileID{}, err
	}
	return idOf(&st)
}

func idOf(st *unix.Stat_t) (fileID, error) {
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return fileID{}, errors.New("not a regular file")
	}
	return fileID{st.Dev, st.Ino, st.Size, st.Mtim}, nil
}

func (d stateDir) open(name string) (*os.File, error) {
	return d.openat(name, unix.O_RDONLY|unix.O_NONBLOCK)
}

func (d stateDir) openat(name string, flags int) (*os.File, error) {
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Openat(int(d.dir.Fd()), name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (d stateDir) write(name string, data []byte) (*os.File, error) {
	// What is left of an attempt that was cut off is of no use; and a file that
	// someone else put there is not written to.
	if err := d.remove(name); err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, err
	}
	f, err := d.openat(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
	if err != nil {
		return nil, err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err != nil {
		f.Close()
		return nil, errors.Join(err, d.remove(name))
	}
	return f, nil
}

func (d stateDir) rename(from, to string) error {
	fd := int(d.dir.Fd())
	err := retry(func() error { return unix.Renameat(fd, from, fd, to) })
	if err != nil {
		return fmt.Errorf("rename %s: %w", from, err)
	}
	return nil
}

func (d stateDir) remove(name string) error {
	err := retry(func() error { return unix.Unlinkat(int(d.dir.Fd()), name, 0) })
	if err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

func (d stateDir) list() ([]string, error) {
	again, err := rootlock.Reopen(d.dir) // with a position of its own
	if err != nil {
		return nil, err
	}
	defer again.Close()
	return again.Readdirnames(-1)
}

func (d stateDir) sync() error { return d.dir.Sync() }

func (d stateDir) close() error { return d.dir.Close() }
