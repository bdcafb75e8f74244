// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
	"vhost-user-9p/xattrstore/rootlock"
)

var (
	errReadOnly = errors.New("the store is read-only")
	errFull     = errors.New("the table is full")
	errConflict = errors.New("the stored table differs from the one in use")
)

// damaged reports whether err means a table that may be set aside. One of a
// later version is not damaged, and one that is too long was not read in full.
func damaged(err error) bool {
	for _, d := range []error{ErrShortHeader, ErrDuplicate, ErrChecksum, ErrFirstChunk, ErrFile} {
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
	{rootlock.ErrLocked, qidpath.ReasonLocked},
	{errReadOnly, qidpath.ReasonReadOnly},
	{errFull, qidpath.ReasonFull},
	{errConflict, qidpath.ReasonConflict},
	{ErrVersion, qidpath.ReasonVersion},
	{ErrTooLong, qidpath.ReasonRejected},
	{ErrShortHeader, qidpath.ReasonRejected},
	{ErrDuplicate, qidpath.ReasonRejected},
	{ErrChecksum, qidpath.ReasonRejected},
	{ErrFirstChunk, qidpath.ReasonRejected},
	{ErrFile, qidpath.ReasonRejected},
	{errHeaderCut, qidpath.ReasonRejected},
	{errChunks, qidpath.ReasonNoSpace},
	{errReplace, qidpath.ReasonNoSpace},
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

// reasonOf returns the reason of an error of this package.
func reasonOf(err error) qidpath.Reason {
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.reason
		}
	}
	return qidpath.ReasonIO
}

// needsFile reports whether err means that attributes cannot hold the table, or
// no more of it.
func needsFile(err error) bool {
	switch reasonOf(err) {
	case qidpath.ReasonNoSpace, qidpath.ReasonUnsupported, qidpath.ReasonDenied, qidpath.ReasonReadOnly:
		return true
	}
	return false
}

// failure gives err, if it is one, the operation and a reason.
func failure(op string, err error) error {
	if err == nil {
		return nil
	}
	return &qidpath.StoreError{Op: op, Reason: reasonOf(err), Err: err}
}
