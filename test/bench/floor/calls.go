// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/bench/cases"
	"vhost-user-9p/test/bench/doorbell"
)

// world is what the slots share.
type world struct {
	doorbell   *doorbell.Doorbell
	dir        string
	root, proc int // directories: the export, and that of the process's descriptors
}

func newWorld(dir string, d *doorbell.Doorbell) (*world, error) {
	w := &world{doorbell: d, dir: dir}
	var err error
	if w.root, err = unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, err
	}
	w.proc, err = unix.Open("/proc/self/fd", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	return w, err
}

// message makes the calls of one message. Some messages need none.
type message func(s *slot)

// slot is one operation in flight.
type slot struct {
	*world
	messages []message

	fd, dir int   // files that are open all the time, -1 for none
	path    []int // directories on the path of a walk, from the root
	opened  int   // by the operation
	number  []byte
	names   [][]byte
	iov     [1]unix.Iovec
	at      *cases.Places
	memory
}

func nothing(*slot) {}

// What the daemon does for each message, but for what it does only to be sure: the look at
// what is to be unlinked or renamed.

func getattr(s *slot) { s.statx(s.fd, empty) }

func walk(s *slot) {
	for i, name := range s.names {
		s.statx(s.path[i], name)
	}
}

func missing(s *slot) { s.statxMissing(s.root, s.names[0]) }

func open(s *slot) {
	s.opened = s.openat(s.proc, s.number, unix.O_RDONLY)
	s.statx(s.opened, empty)
}

func clunk(s *slot) { s.closeFD(s.opened) }

func create(s *slot) {
	s.opened = s.openat2(s.dir, s.names[0], unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o644)
	s.statx(s.opened, empty)
}

func unlink(s *slot) { s.unlinkat(s.dir, s.names[0], 0) }

func mkdir(s *slot) {
	s.mkdirat(s.dir, s.names[0])
	s.statx(s.dir, s.names[0])
}

func rmdir(s *slot) { s.unlinkat(s.dir, s.names[0], unix.AT_REMOVEDIR) }

func rename(s *slot) { s.renameat2(s.dir, s.names[0], s.names[1]) }
func back(s *slot)   { s.renameat2(s.dir, s.names[1], s.names[0]) }

func opendir(s *slot) {
	s.opened = s.openat(s.fd, dot, unix.O_RDONLY|unix.O_DIRECTORY)
	s.statx(s.opened, empty)
}

func readdir(s *slot) { s.getdents64(s.opened) }

func read(s *slot)  { s.preadv2(s.fd, s.at.Next()) }
func write(s *slot) { s.pwrite(s.fd, s.at.Next()) }
func fsync(s *slot) { s.fsync(s.fd) }

// slots readies a case.
func (w *world) slots(c cases.Case, depth int) ([]*slot, error) {
	all := make([]*slot, depth)
	for i := range all {
		s := &slot{world: w, fd: -1, dir: -1}
		all[i] = s
		if err := s.ready(c, i); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (s *slot) ready(c cases.Case, i int) error {
	var err error
	file, flags := cases.FileName(i), unix.O_RDWR
	fileSize := cases.FileSize
	s.names = [][]byte{cname(cases.NewName)}
	switch c.Kind {
	case cases.Getattr:
		s.messages = []message{getattr}
		flags = openPath
	case cases.Walk:
		s.messages = []message{walk, nothing}
		file, s.names = "", nil
		at := s.world.dir
		for _, name := range cases.Path(i, c.Names) {
			fd, err := unix.Open(at, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			if err != nil {
				return err
			}
			s.path, s.names = append(s.path, fd), append(s.names, cname(name))
			at = filepath.Join(at, name)
		}
	case cases.Missing:
		s.messages = []message{missing}
		file, s.names = "", [][]byte{cname(cases.MissingName)}
	case cases.Open:
		s.messages = []message{nothing, open, clunk}
		flags = openPath
	case cases.Create:
		s.messages = []message{nothing, create, clunk, unlink}
	case cases.Mkdir:
		s.messages = []message{mkdir, rmdir}
	case cases.Rename:
		s.messages = []message{rename, back}
		s.names = [][]byte{cname(cases.RenameFrom), cname(cases.RenameTo)}
	case cases.Readdir:
		s.messages = []message{nothing, opendir, readdir, readdir, clunk}
		file, flags = cases.ListName, openPath
	case cases.Fsync:
		s.messages = []message{write, fsync}
		file = cases.SyncName(i)
	case cases.Read:
		s.messages = []message{read}
	case cases.Write:
		s.messages = []message{write}
	default:
		return fmt.Errorf("%s is not for the floor", c.Name)
	}
	if c.Streams() {
		file, fileSize = cases.StreamName(i), cases.StreamSize
	}
	if size := c.NinePSize(); size > 0 {
		s.at = cases.NewPlaces(i, fileSize, size, c.Sequential)
		payload := s.doorbell.Payload(i, size)
		s.iov[0].Base = &payload[0]
		s.iov[0].SetLen(size)
	}
	if file != "" {
		if s.fd, err = unix.Open(filepath.Join(s.world.dir, file), flags|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		s.number = cname(strconv.Itoa(s.fd))
	}
	s.dir, err = unix.Open(filepath.Join(s.world.dir, cases.DirName(i)), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	return err
}

func cname(s string) []byte { return append([]byte(s), 0) }

func (s *slot) close() {
	if s.fd >= 0 {
		_ = unix.Close(s.fd)
	}
	for _, fd := range append(s.path, s.dir) {
		_ = unix.Close(fd)
	}
}
