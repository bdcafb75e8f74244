// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// errMalformed answers a message that its field list does not decode.
const errMalformed = unix.EBADMSG

// maxErrno is the largest number that the peer's kernel takes for an error
// (MAX_ERRNO): a larger one would look like a pointer there.
const maxErrno = 4095

// Errno returns the error number that stands for err in an Rlerror, and whether
// err says which: EIO stands for everything that does not. An errno that err wraps
// goes before what the error is otherwise said to be: os.IsPermission takes EPERM
// and EACCES for one, and os.IsExist ENOTEMPTY and EEXIST, and the peer must see
// which of them it was.
func Errno(err error) (unix.Errno, bool) {
	e, ok := err.(unix.Errno) // the usual case, without errors.As's allocation
	if !ok {
		var target unix.Errno
		if errors.As(err, &target) {
			e, ok = target, true
		}
	}
	if ok {
		if e == 0 || e > maxErrno {
			return unix.EIO, false
		}
		return e, true
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return unix.ENOENT, true
	case errors.Is(err, fs.ErrExist):
		return unix.EEXIST, true
	case errors.Is(err, fs.ErrPermission):
		return unix.EACCES, true
	case errors.Is(err, fs.ErrInvalid):
		return unix.EINVAL, true
	case errors.Is(err, fs.ErrClosed):
		return unix.EBADF, true
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return unix.ETIMEDOUT, true
	case errors.Is(err, context.Canceled):
		return unix.EINTR, true
	case errors.Is(err, errors.ErrUnsupported):
		return unix.EOPNOTSUPP, true
	}
	return unix.EIO, false
}
