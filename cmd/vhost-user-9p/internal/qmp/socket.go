// SPDX-License-Identifier: Apache-2.0

package qmp

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// socket is where QEMU listens, or will: a name in a folder that is held open.
type socket struct {
	dir  *os.File // O_PATH
	name string
}

func openSocket(path string) (*socket, error) {
	dir, err := os.OpenFile(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, fmt.Errorf("its folder: %w", err)
	}
	return &socket{dir, filepath.Base(path)}, nil
}

// dial connects, or fails, at once: a Unix socket has no handshake. The path goes by the
// socket's own descriptor, so that it is short whatever the name is.
func (s *socket) dial() (*net.UnixConn, error) {
	fd, err := unix.Openat(int(s.dir.Fd()), s.name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: fmt.Sprintf("/proc/self/fd/%d", fd)})
	if err != nil {
		return nil, bare(err)
	}
	return conn, nil
}

// bare takes an error out of what package net puts around it: addresses that say nothing.
func bare(err error) error {
	if op, ok := err.(*net.OpError); ok {
		err = op.Err
	}
	if call, ok := err.(*os.SyscallError); ok {
		err = call.Err
	}
	return err
}
