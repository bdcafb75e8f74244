// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// inherit takes over a socket that the process was started with. One of the results is
// not nil: the listener, or the connection to a front end.
func inherit(fd int) (*net.UnixListener, *net.UnixConn, error) {
	listening, err := inspect(fd)
	if err != nil {
		return nil, nil, err
	}
	f := os.NewFile(uintptr(fd), fmt.Sprintf("fd %d", fd))
	defer f.Close() // what follows makes a copy, which no child inherits
	if listening {
		l, err := net.FileListener(f)
		if err != nil {
			return nil, nil, err
		}
		return l.(*net.UnixListener), nil, nil
	}
	c, err := net.FileConn(f)
	if err != nil {
		return nil, nil, err
	}
	return nil, c.(*net.UnixConn), nil
}

// inspect makes sure that fd is a Unix stream socket that listens or is connected.
func inspect(fd int) (listening bool, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false, errors.New("is not open: the daemon must be started with it")
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return false, errors.New("is not a socket")
	}
	option := func(name int) int {
		v, optErr := unix.GetsockoptInt(fd, unix.SOL_SOCKET, name)
		err = errors.Join(err, optErr)
		return v
	}
	domain, typ, accepts := option(unix.SO_DOMAIN), option(unix.SO_TYPE), option(unix.SO_ACCEPTCONN)
	switch {
	case err != nil:
		return false, err
	case domain != unix.AF_UNIX || typ != unix.SOCK_STREAM:
		return false, errors.New("is not a Unix stream socket")
	case accepts != 0:
		return true, nil
	}
	if _, err := unix.Getpeername(fd); err != nil {
		return false, errors.New("is a socket that neither listens nor is connected")
	}
	return false, nil
}
