// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/leaks"
)

// memfdName is in the name of every memory file of these tests, so that a mapping that was
// left behind can be told from the runtime's.
const memfdName = "virtqueue-test"

// TestMain fails when the tests leave file descriptors open or guest memory mapped.
func TestMain(m *testing.M) {
	code := leaks.Run(m)
	if maps, err := os.ReadFile("/proc/self/maps"); err == nil && code == 0 && strings.Contains(string(maps), memfdName) {
		fmt.Fprintln(os.Stderr, "guest memory is left mapped")
		code = 1
	}
	os.Exit(code)
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
