// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestErrno(t *testing.T) {
	// Whatever an errno comes wrapped in, and whatever else errors.Is makes of it,
	// the peer sees that one.
	n := 0
	for e := unix.Errno(1); e < 4096; e++ {
		if e > 133 && unix.ErrnoName(e) == "" {
			continue
		}
		n++
		for _, err := range []error{
			e,
			&os.PathError{Op: "open", Path: "x", Err: e},
			&os.LinkError{Op: "rename", Old: "x", New: "y", Err: e},
			os.NewSyscallError("statx", e),
			fmt.Errorf("outer: %w", &os.PathError{Err: e}),
			errors.Join(errors.New("other"), e),
		} {
			if got, known := Errno(err); got != e || !known {
				t.Errorf("Errno(%#v) = %v, want %v", err, got, e)
			}
		}
	}
	if n < 130 {
		t.Errorf("only %d errnos", n)
	}
}

func TestErrnoOfOtherErrors(t *testing.T) {
	for _, c := range []struct {
		err   error
		want  unix.Errno
		known bool
	}{
		{fs.ErrNotExist, unix.ENOENT, true},
		{fs.ErrExist, unix.EEXIST, true},
		{fs.ErrPermission, unix.EACCES, true},
		{fs.ErrInvalid, unix.EINVAL, true},
		{fs.ErrClosed, unix.EBADF, true},
		{os.ErrDeadlineExceeded, unix.ETIMEDOUT, true},
		{context.DeadlineExceeded, unix.ETIMEDOUT, true},
		{context.Canceled, unix.EINTR, true},
		{errors.ErrUnsupported, unix.EOPNOTSUPP, true},
		{io.ErrUnexpectedEOF, unix.EIO, false},
		{errors.New("other"), unix.EIO, false},
		// Numbers that are no errors to the peer's kernel.
		{unix.Errno(0), unix.EIO, false},
		{unix.Errno(4096), unix.EIO, false},
		{fmt.Errorf("outer: %w", unix.Errno(1<<20)), unix.EIO, false},
	} {
		if got, known := Errno(c.err); got != c.want || known != c.known {
			t.Errorf("Errno(%v) = %v, %v, want %v, %v", c.err, got, known, c.want, c.known)
		}
	}
}
