// SPDX-License-Identifier: Apache-2.0

// Package leaks has the tests of a package fail when they leave file descriptors open.
package leaks

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// patience is how long goroutines of tests that have ended may take to close theirs.
const patience = time.Second

// Run runs the tests of m, and returns their exit status: not 0 either if they leave
// descriptors open, which it names.
func Run(m *testing.M) int {
	// Go's runtime opens its poller's descriptors at the first use, and keeps them.
	if r, w, err := os.Pipe(); err == nil {
		_ = r.SetDeadline(time.Now())
		_, _ = r.Close(), w.Close()
	}
	before := Descriptors()
	code := m.Run()
	left := since(before)
	for end := time.Now().Add(patience); len(left) > 0 && time.Now().Before(end); left = since(before) {
		time.Sleep(10 * time.Millisecond)
	}
	for fd, target := range left {
		fmt.Fprintf(os.Stderr, "descriptor %s is left open: %s\n", fd, target)
		code = max(code, 1)
	}
	return code
}

// since returns what is open, and was not before.
func since(before map[string]string) map[string]string {
	left := Descriptors()
	maps.DeleteFunc(left, func(fd, target string) bool { return before[fd] == target })
	return left
}

// Descriptors returns what each descriptor of the process is: the file, or its kind.
func Descriptors() map[string]string {
	files := map[string]string{}
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		// The descriptor that reads the list is gone by now.
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			files[e.Name()] = target
		}
	}
	return files
}
