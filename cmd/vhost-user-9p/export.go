// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openExport opens the root of what is served.
func openExport(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == nil {
		if err = unix.Faccessat(fd, ".", unix.X_OK, unix.AT_EACCESS); err != nil {
			_ = unix.Close(fd)
		}
	}
	switch err {
	case nil:
		return os.NewFile(uintptr(fd), dir), nil
	case unix.ENOENT:
		return nil, fmt.Errorf("--shared-dir %q: no such directory", dir)
	case unix.ENOTDIR:
		return nil, fmt.Errorf("--shared-dir %q: not a directory", dir)
	case unix.EACCES:
		return nil, fmt.Errorf("--shared-dir %q: the daemon's user must be able to read and search it: %w", dir, err)
	default:
		return nil, fmt.Errorf("--shared-dir %q: %w", dir, err)
	}
}
