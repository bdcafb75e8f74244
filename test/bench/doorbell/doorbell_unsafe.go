// SPDX-License-Identifier: Apache-2.0

package doorbell

// Sound: the mapping is page-aligned, larger than the counters, and lives as long as the
// Doorbell. The kernel reads or writes the eight bytes that the type says. RawSyscall:
// both sides are threads that have nothing else to do, and the scheduler is not to be
// measured.

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Map maps the memory of a file, which has Size bytes.
func Map(fd, kick, call int) (*Doorbell, error) {
	b, err := unix.Mmap(fd, 0, Size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return &Doorbell{counters: (*counters)(unsafe.Pointer(&b[0])), Kick: kick, Call: call, memory: b}, nil
}

// Read takes what an eventfd has, and sleeps until it has something.
func Read(fd int, word *[8]byte) {
	_, _, _ = unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(word)), 8)
}

// Write adds to an eventfd.
func Write(fd int, word *[8]byte) {
	_, _, _ = unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(word)), 8)
}
