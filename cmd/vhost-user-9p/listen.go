// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// backlog of a socket: front ends wait there until they are accepted, or sent away.
const backlog = 16

// unixListener is a listening socket and the file that it has made.
type unixListener struct {
	*net.UnixListener
	dir      *os.File // O_PATH
	name     string   // of the file in dir
	dev, ino uint64   // of the file
}

// listenUnix makes a socket at path: for the owner alone or, unless gid is -1, for that
// group too. It is made under another name and renamed when it listens: there is no moment
// at which others could connect, or at which who waits for the file to appear could not.
func listenUnix(path string, gid int) (_ *unixListener, err error) {
	dir, name := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	dirfd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("its directory: %w", err)
	}
	u := &unixListener{dir: os.NewFile(uintptr(dirfd), dir), name: name}
	defer func() {
		if err != nil {
			_ = u.dir.Close()
		}
	}()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close() // the listener has a copy
	// Linux gives the file that bind makes the mode of the socket, less the umask.
	if err := unix.Fchmod(fd, 0o600); err != nil {
		return nil, err
	}
	temporary := ".vhost-user-9p-" + rand.Text()
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: fdPath(dirfd) + "/" + temporary}); err != nil {
		return nil, fmt.Errorf("making a socket in its directory: %w", err)
	}
	defer func() {
		if err != nil {
			_ = unix.Unlinkat(dirfd, temporary, 0)
		}
	}()
	if err := u.protect(temporary, gid); err != nil {
		return nil, err
	}
	if err := unix.Listen(fd, backlog); err != nil {
		return nil, err
	}
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	if err := renameNew(dirfd, temporary, name); err != nil {
		_ = l.Close()
		return nil, err
	}
	u.UnixListener = l.(*net.UnixListener)
	return u, nil
}

// protect finds the file that was just bound, and gives it to the group. Everything is done
// through one descriptor, so that no other file can be put in its place.
func (u *unixListener) protect(name string, gid int) error {
	fd, err := unix.Openat(int(u.dir.Fd()), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Mode != unix.S_IFSOCK|0o600 || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("another file took the socket's place (mode %#o, uid %d)", st.Mode, st.Uid)
	}
	u.dev, u.ino = st.Dev, st.Ino
	if gid < 0 {
		return nil
	}
	if err := unix.Fchownat(fd, "", -1, gid, unix.AT_EMPTY_PATH); err != nil {
		return fmt.Errorf("--socket-group %d: %w (only root may name a group that the daemon's user is not in)", gid, err)
	}
	return unix.Chmod(fdPath(fd), 0o660) // fchmod does not take an O_PATH descriptor
}

// renameNew renames a file unless the new name is in use.
func renameNew(dirfd int, from, to string) error {
	err := unix.Renameat2(dirfd, from, dirfd, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) {
		// Not every file system knows the flag.
		if err = unix.Linkat(dirfd, from, dirfd, to, 0); err == nil {
			err = unix.Unlinkat(dirfd, from, 0)
		}
	}
	if errors.Is(err, unix.EEXIST) {
		return errors.New("another process made a file there just now")
	}
	return err
}

func fdPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// Close removes the file, if it is still the one that was made, before it stops listening: a
// daemon that is started meanwhile finds a live socket or none, but never a stale one that is
// about to be removed.
func (u *unixListener) Close() error {
	var st unix.Stat_t
	dirfd := int(u.dir.Fd())
	if unix.Fstatat(dirfd, u.name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Dev == u.dev && st.Ino == u.ino {
		_ = unix.Unlinkat(dirfd, u.name, 0)
	}
	return errors.Join(u.UnixListener.Close(), u.dir.Close())
}

// removeStale removes the socket at path if nobody listens on it. It is an error if somebody
// does, or if something else is there.
func removeStale(path string) error {
	var st unix.Stat_t
	switch err := unix.Lstat(path, &st); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return errors.New("there is a file that is not a socket; it is not touched")
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if strings.HasPrefix(path, "@") {
		path = "./" + path // else it would be the name of an abstract socket
	}
	switch err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); {
	case err == nil, errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EPROTOTYPE):
		return errors.New("another process listens there")
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, unix.ECONNREFUSED):
		return unix.Unlink(path)
	default:
		return fmt.Errorf("there is a socket, and whether it is in use cannot be found out: %w", err)
	}
}

// listen listens at the endpoint. gid is for a Unix socket.
func (e *endpoint) listen(gid int) (net.Listener, error) {
	if e.network != "unix" {
		return net.Listen(e.network, e.address)
	}
	l, err := listenUnix(e.address, gid)
	if err != nil {
		return nil, err // and no listener: not a nil pointer in an interface
	}
	return l, nil
}
