// SPDX-License-Identifier: Apache-2.0

package ninep

// callState is the session's part of a Call.
type callState struct{}

// Defer tells the session that the operation on c's thread is not finished: the
// handler's results are ignored, and cancel is called (once, from any thread) if
// the request is flushed or the session drains. The backend ends the request with
// one of the Finish methods.
func (c *Call) Defer(cancel func()) {}

// FinishLock answers a deferred Tlock.
func (c *Call) FinishLock(st LockStatus, err error) {}

// DirWriter encodes directory entries of an Rreaddir.
type DirWriter struct{}

// Add encodes one entry and reports whether it fitted. offset is the cookie by which
// ReadDir goes on after this entry; typ is the DT_* value.
func (w *DirWriter) Add(qid QID, offset uint64, typ uint8, name []byte) bool { return false }

// Remaining returns the number of bytes that are still free.
func (w *DirWriter) Remaining() int { return 0 }
