// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// flockHints are what tells a lock of flock(2) from one of fcntl(2). On the wire they
// are alike, but flock's belongs to the open file, which for us is the fid, and the
// process that it is under need not be there any more when it is dropped.
type flockHints struct {
	since time.Time // it was granted

	// doubtful: the process whose lock it is has dropped its locks on the whole file,
	// which it says when it only closes a descriptor, and the lock is probably
	// flock's: then it stays as long as others have that file open.
	doubtful bool

	// inherited: the lock was taken over from process from, which may yet say that it
	// drops it.
	inherited bool
	from      uint32
}

// Times by which what one process does is told from what several do. Tests have longer
// ones.
var (
	// flock(1) exits when it has its lock, in an emulated guest under load after some
	// hundred milliseconds.
	flockExit = time.Second
	// A request that has been sent is here.
	lateUnlock = time.Second
)

// granted notes that o has got a lock through h, which those in gone had.
func (o *lockOwner) granted(h *handle, gone []*lockOwner) {
	o.flockHints = flockHints{since: time.Now()}
	if len(gone) > 0 {
		o.inherited, o.from = true, gone[0].proc
	}
	h.used.Store(false)
}

// noteUse notes that h is read or written through.
func (h *handle) noteUse() {
	if !h.used.Load() { // most often: nothing is written to memory then
		h.used.Store(true)
	}
}

// surelyFlock: fcntl(2) insists on a descriptor that can read or write.
func surelyFlock(s lockSpan, h *handle) bool {
	return s.typ == unix.F_WRLCK && h.access == unix.O_RDONLY || s.typ == unix.F_RDLCK && h.access == unix.O_WRONLY
}

// isFlock reports whether o's lock cannot be fcntl's.
func (o *lockOwner) isFlock() bool {
	s, ok := o.whole()
	return ok && surelyFlock(s, o.handles[0])
}

// outlives reports whether o's lock is to stay although its process drops its locks
// on the whole file, not ready to wait. That is what Linux says (locks_remove_posix) when
// a process closes any of its descriptors of the file, flock or not; and also what
// fcntl(F_SETLK) says. In
//
//	exec 9>file; flock 9
//
// flock(1) takes the lock and is gone, and the shell goes on with the descriptor. A
// file open for writing only, on which nothing happened since the lock was taken, and
// that a moment ago: that is it.
func (o *lockOwner) outlives() bool {
	s, ok := o.whole()
	if !ok || len(o.handles) != 1 {
		return false
	}
	h := o.handles[0]
	if surelyFlock(s, h) {
		return true
	}
	return h.access == unix.O_WRONLY && !h.used.Load() && !h.posix && time.Since(o.since) < flockExit
}

// isAlive is told that the process of o, which is doubtful, has asked for something:
// so it had not ended, and unless its locks cannot be fcntl's they were and are
// dropped.
func (lf *lockFile) isAlive(o *lockOwner, h *handle) {
	if o.isFlock() {
		return
	}
	o.handles[0].posix = true
	h.posix = true
	lf.drop(o)
}

// givesWay reports whether id, asking for s through h, takes over what o has. The
// guest's kernel grants a lock to its own processes before it asks here, so two of
// them that use one open file are no rivals: it is flock's, and is being changed, or
// fcntl's, and has just been dropped.
func (o *lockOwner) givesWay(id ownerID, h *handle, s lockSpan) bool {
	_, whole := o.whole()
	return whole && s.isWhole() && o.client == id.client && slices.Contains(o.handles, h)
}

// dropFlock drops the locks on the whole file that other processes of the client
// have through h: id, which has none, unlocks the file and is ready to wait, and
// that is flock(fd, LOCK_UN).
func (lf *lockFile) dropFlock(id ownerID, h *handle) {
	for _, o := range slices.Clone(lf.owners) {
		late := o.inherited && o.from == id.proc && time.Since(o.since) < lateUnlock
		if _, whole := o.whole(); whole && o.client == id.client && slices.Contains(o.handles, h) && !late {
			lf.drop(o)
		}
	}
}
