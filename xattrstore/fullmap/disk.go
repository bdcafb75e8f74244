// SPDX-License-Identifier: Apache-2.0

package fullmap

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"vhost-user-9p/xattrstore/rootlock"
)

// disk is what a Map does to its directory and the root's lock. Each method is
// one system call, but that stat and open may be two.
type disk interface {
	stat(name string) (status, error) // ENOENT: there is none
	open(name string, flags int) (file, error)
	link(name, as string) error
	rename(from, to string) error
	remove(name string) error
	sync() error // makes names durable
	lock() error
	unlock() error
	close() error
}

// file is an open file.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	stat() (status, error)
	sync() error // makes content and size durable
}

// status is what a Map has to know of a file.
type status struct {
	dev, ino uint64
	size     int64
	regular  bool
}

// is reports whether s and o are the same file.
func (s status) is(o status) bool { return s.dev == o.dev && s.ino == o.ino }

func statusOf(st *unix.Stat_t) status {
	return status{uint64(st.Dev), st.Ino, st.Size, st.Mode&unix.S_IFMT == unix.S_IFREG}
}

// stateDir is a directory, through a file description of its own.
type stateDir struct {
	dir      *os.File
	rootLock *rootlock.Lock
}

func openDisk(dir, root *os.File) (*stateDir, error) {
	own, err := rootlock.Reopen(dir)
	if err != nil {
		return nil, err
	}
	l, err := rootlock.Open(root, dir)
	if err != nil {
		own.Close()
		return nil, err
	}
	return &stateDir{own, l}, nil
}

func (d *stateDir) fd() int { return int(d.dir.Fd()) }

func (d *stateDir) stat(name string) (status, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstatat(d.fd(), name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return statusOf(&st), err
}

func (d *stateDir) open(name string, flags int) (file, error) { return openAt(d.dir, name, flags) }

func openAt(dir *os.File, name string, flags int) (file, error) {
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Openat(int(dir.Fd()), name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return nil, err
	}
	return osFile{os.NewFile(uintptr(fd), filepath.Join(dir.Name(), name))}, nil
}

func (d *stateDir) link(name, as string) error   { return unix.Linkat(d.fd(), name, d.fd(), as, 0) }
func (d *stateDir) rename(from, to string) error { return unix.Renameat(d.fd(), from, d.fd(), to) }
func (d *stateDir) remove(name string) error     { return unix.Unlinkat(d.fd(), name, 0) }
func (d *stateDir) sync() error                  { return d.dir.Sync() }
func (d *stateDir) lock() error                  { return d.rootLock.Lock() }
func (d *stateDir) unlock() error                { return d.rootLock.Unlock() }
func (d *stateDir) close() error                 { return errors.Join(d.dir.Close(), d.rootLock.Close()) }

// osFile is a file of a stateDir.
type osFile struct{ *os.File }

func (f osFile) stat() (status, error) {
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstat(int(f.Fd()), &st) })
	return statusOf(&st), err
}

func (f osFile) sync() error { return retry(func() error { return unix.Fdatasync(int(f.Fd())) }) }

func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
