// SPDX-License-Identifier: Apache-2.0

package fullmap

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
	"vhost-user-9p/xattrstore/rootlock"
)

var errFull = errors.New("the full map is full")

// reasons are looked up in order; the first that err is counts.
var reasons = []struct {
	err    error
	reason qidpath.Reason
}{
	{rootlock.ErrLocked, qidpath.ReasonLocked},
	{errFull, qidpath.ReasonFull},
	{ErrVersion, qidpath.ReasonVersion},
	{ErrTooLong, qidpath.ReasonRejected},
	{ErrForeign, qidpath.ReasonRejected},
	{ErrHeader, qidpath.ReasonRejected},
	{os.ErrClosed, qidpath.ReasonClosed},
	{unix.EROFS, qidpath.ReasonReadOnly},
	{unix.EACCES, qidpath.ReasonDenied},
	{unix.EPERM, qidpath.ReasonDenied},
	{unix.ENOSPC, qidpath.ReasonNoSpace},
	{unix.EDQUOT, qidpath.ReasonNoSpace},
	{unix.EFBIG, qidpath.ReasonNoSpace},
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
