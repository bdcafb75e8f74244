// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
)

var (
	errReadOnly = errors.New("the store is read-only")
	errFull     = errors.New("the table is full")
	errConflict = errors.New("the stored table differs from the one in use")
)

// damaged reports whether err means a table that may be set aside. One of a
// later version is not damaged, and one that is too long was not read in full.
func damaged(err error) bool {
	for _, d := range []error{ErrShortHeader, ErrDuplicate, ErrChecksum, ErrFirstChunk} {
		if errors.Is(err, d) {
			return true
		}
	}
	return false
}

// reasons are looked up in order; the first that err is counts.
var reasons = []struct {
	err    error
	reason qidpath.Reason
}{
	{errLocked, qidpath.ReasonLocked},
	{errReadOnly, qidpath.ReasonReadOnly},
	{errFull, qidpath.ReasonFull},
	{errConflict, qidpath.ReasonConflict},
	{ErrVersion, qidpath.ReasonVersion},
	{ErrTooLong, qidpath.ReasonRejected},
	{ErrShortHeader, qidpath.ReasonRejected},
	{ErrDuplicate, qidpath.ReasonRejected},
	{ErrChecksum, qidpath.ReasonRejected},
	{ErrFirstChunk, qidpath.ReasonRejected},
	{errHeaderCut, qidpath.ReasonRejected},
	{errChunks, qidpath.ReasonNoSpace},
	{os.ErrClosed, qidpath.ReasonClosed},
	{unix.EROFS, qidpath.ReasonReadOnly},
	{unix.EACCES, qidpath.ReasonDenied},
	{unix.EPERM, qidpath.ReasonDenied},
	{unix.ENOSPC, qidpath.ReasonNoSpace},
	{unix.EDQUOT, qidpath.ReasonNoSpace},
	{unix.E2BIG, qidpath.ReasonNoSpace},
	{unix.ERANGE, qidpath.ReasonNoSpace},
	{unix.ENOTSUP, qidpath.ReasonUnsupported},
	{unix.ENOSYS, qidpath.ReasonUnsupported},
}

// failure gives err, if it is one, the operation and a reason.
func failure(op string, err error) error {
	if err == nil {
		return nil
	}
	reason := qidpath.ReasonIO
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			reason = r.reason
			break
		}
	}
	return &qidpath.StoreError{Op: op, Reason: reason, Err: err}
}
