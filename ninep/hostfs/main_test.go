// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(lockHelperEnv); spec != "" {
		os.Exit(lockHelper(spec))
	}
	unix.Umask(0) // as the daemon does
	flockExit, lateUnlock = time.Minute, time.Minute
	before := openFDs()
	code := m.Run()
	if left := leaked(before); len(left) > 0 {
		fmt.Fprintln(os.Stderr, len(left), "descriptors left open, such as", left[:min(len(left), 10)])
		code = max(code, 1)
	}
	os.Exit(code)
}

// openFDs returns what the process has open.
func openFDs() map[string]string {
	fds := make(map[string]string)
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			fds[e.Name()] = target
		}
	}
	return fds
}

// leaked returns what is open and was not before. What goroutines are about to
// close is waited for.
func leaked(before map[string]string) []string {
	var left []string
	for range 50 {
		runtime.GC() // closes what os.File has forgotten
		left = left[:0]
		for fd, target := range openFDs() {
			switch {
			case before[fd] == target, target == "anon_inode:[eventpoll]", target == "anon_inode:[eventfd]":
			default:
				left = append(left, fd+" "+target)
			}
		}
		if len(left) == 0 {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return left
}
