// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// ManyName returns the name of file i that MakeMany makes. All are equally long.
func ManyName(i int) string { return fmt.Sprintf("%07d", i) }

// MakeMany makes n empty files in a directory.
func MakeMany(dir string, n int) error {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for i := range n {
		if err := unix.Mknodat(fd, ManyName(i), unix.S_IFREG|0o644, 0); err != nil {
			return fmt.Errorf("file %d: %w", i, err)
		}
	}
	return nil
}
