// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"syscall"
)

// fewFiles is a limit that a guest may well reach: a find keeps this many in its caches.
const fewFiles = 16384

// raiseNofile sets the soft limit of open files to n, raising the hard one if that is
// lower; 0 is the hard limit. It returns the limit that holds then. Package syscall is
// used because Go must know that the limit is meant to stay.
func raiseNofile(n uint64) (uint64, error) {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
		return 0, fmt.Errorf("--rlimit-nofile: %w", err)
	}
	if n == 0 {
		n = old.Max
	}
	limit := syscall.Rlimit{Cur: n, Max: max(n, old.Max)}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("--rlimit-nofile %d: %w (the hard limit is %d; a higher one needs root, and /proc/sys/fs/nr_open bounds it)", n, err, old.Max)
	}
	return n, nil
}
