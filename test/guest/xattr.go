// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// xattr gives a file a value of the size, and looks at it in each way there is.
func xattr(file string, size int) error {
	const name = "user.sized"
	value := make([]byte, size)
	for i := range value {
		value[i] = byte(i>>8) ^ byte(i)*31
	}
	if err := unix.Setxattr(file, name, value, unix.XATTR_CREATE); err != nil {
		return fmt.Errorf("setting %d bytes: %w", size, err)
	}
	if n, err := unix.Getxattr(file, name, nil); err != nil || n != size {
		return fmt.Errorf("the size of %d bytes is %d, %w", size, n, err)
	}
	got := make([]byte, size)
	if n, err := unix.Getxattr(file, name, got); err != nil || n != size || !bytes.Equal(got, value) {
		return fmt.Errorf("reading %d bytes: %d, equal: %v, %w", size, n, bytes.Equal(got, value), err)
	}
	if size > 1 {
		if _, err := unix.Getxattr(file, name, got[1:]); !errors.Is(err, unix.ERANGE) {
			return fmt.Errorf("reading %d bytes to %d: %w", size, size-1, err)
		}
	}
	if err := unix.Setxattr(file, name, value[:1], unix.XATTR_REPLACE); err != nil {
		return fmt.Errorf("replacing %d bytes: %w", size, err)
	}
	if n, err := unix.Getxattr(file, name, got); err != nil || n != 1 {
		return fmt.Errorf("reading the value after %d bytes: %d, %w", size, n, err)
	}
	return unix.Removexattr(file, name)
}
