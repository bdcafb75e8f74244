// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// memfdName is in the name of every memory file of these tests, so that a mapping that was
// left behind can be told from the runtime's.
const memfdName = "virtqueue-test"

// TestMain fails when the tests leave file descriptors open or guest memory mapped.
func TestMain(m *testing.M) {
	// The runtime opens its poller's fds at the first use, and keeps them.
	if r, w, err := os.Pipe(); err == nil {
		_ = r.SetDeadline(time.Now())
		_, _ = r.Close(), w.Close()
	}
	before := openFiles()
	code := m.Run()
	if code == 0 {
		for fd, name := range openFiles() {
			// The profiles and the fuzzing engine's files are the testing package's.
			if before[fd] == "" && !strings.HasPrefix(name, "/") {
				fmt.Fprintf(os.Stderr, "fd %s is left open: %s\n", fd, name)
				code = 1
			}
		}
		if maps, err := os.ReadFile("/proc/self/maps"); err == nil && strings.Contains(string(maps), memfdName) {
			fmt.Fprintln(os.Stderr, "guest memory is left mapped")
			code = 1
		}
	}
	os.Exit(code)
}

func openFiles() map[string]string {
	files := map[string]string{}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return files
	}
	for _, e := range entries {
		if name, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			files[e.Name()] = name
		}
	}
	return files
}

// eventfd returns a non-blocking eventfd that is closed at the end of the test.
func eventfd(tb testing.TB) int {
	tb.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		tb.Fatal(err)
	}
	closeAtEnd(tb, fd)
	return fd
}

func closeAtEnd(tb testing.TB, fds ...int) {
	tb.Cleanup(func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	})
}

// events empties an eventfd and returns how often it was signalled.
func events(tb testing.TB, fd int) uint64 {
	tb.Helper()
	var b [8]byte
	switch n, err := unix.Read(fd, b[:]); {
	case err == unix.EAGAIN:
		return 0
	case err != nil || n != 8:
		tb.Fatalf("eventfd: %d, %v", n, err)
	}
	return nativeEndian.Uint64(b[:])
}
