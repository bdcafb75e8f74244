// SPDX-License-Identifier: Apache-2.0

package vhostuser_test

import (
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain fails when fds are left over.
func TestMain(m *testing.M) {
	// The runtime's poller opens its own when it is first used.
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	_, _ = r.Close(), w.Close()
	before := openFDs()
	code := m.Run()
	if code == 0 {
		// Goroutines of tests that have just ended may still be closing theirs.
		var left map[string]string
		for range 100 {
			left = openFDs()
			maps.DeleteFunc(left, func(fd, target string) bool { return before[fd] == target })
			if len(left) == 0 {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		for fd, target := range left {
			fmt.Fprintf(os.Stderr, "leaked fd %s: %s\n", fd, target)
			code = 1
		}
	}
	os.Exit(code)
}

// openFDs returns what the fds are that a back end deals in; profiles and logs of the test are
// of no interest.
func openFDs() map[string]string {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		panic(err)
	}
	fds := map[string]string{}
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil {
			continue // the directory's own
		}
		for _, kind := range []string{"anon_inode:", "socket:", "pipe:", "/memfd:", "/dev/"} {
			if strings.HasPrefix(target, kind) {
				fds[e.Name()] = target
			}
		}
	}
	return fds
}
