// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"math"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// lockFile is a file of which a range is locked, or about to be. It knows whose the
// locks are; towards everybody else on the host they are all one owner's: those of
// the open file description of fd (F_OFD_SETLK), which has what any of them needs. So
// a lock can change hands, and never be had by a third party meanwhile.
type lockFile struct {
	lt    *lockTable
	key   lockKey
	users int // requests in progress; guarded by lockTable.mu

	mu      sync.Mutex // held over fcntl
	fd      int32      // -1 until the first lock
	access  int32      // how it is open: O_RDWR, or O_RDONLY or O_WRONLY if that cannot be
	owners  []*lockOwner
	spans   int   // of all owners
	flocked int16 // what fd has by flock(2): F_UNLCK, F_RDLCK or F_WRLCK
	traits  lockTraits
}

// lockKey is the identity of a file, through whichever mount it is seen.
type lockKey struct {
	ino uint64
	dev uint32
}

// lockTraits say which locks of the host a file can have.
type lockTraits struct {
	dir   bool // cannot be opened for writing
	flock bool // those of flock(2) are the kernel's own, and apart from fcntl's
}

// ownerID is a process in a guest.
type ownerID struct {
	client string
	proc   uint32
}

// lockOwner is a process in a guest that has locks on a file.
type lockOwner struct {
	ownerID
	spans   []lockSpan // in order, not overlapping, at least one
	handles []*handle  // through which they were asked for, at least one
	flockHints
}

func (lf *lockFile) find(id ownerID) *lockOwner {
	for _, o := range lf.owners {
		if o.ownerID == id {
			return o
		}
	}
	return nil
}

// whole returns the span of an owner that has exactly one, on the whole file.
func (o *lockOwner) whole() (lockSpan, bool) {
	if len(o.spans) == 1 && o.spans[0].isWhole() {
		return o.spans[0], true
	}
	return lockSpan{}, false
}

// conflict returns the lowest of o's locks that stands in the way of s.
func (o *lockOwner) conflict(s *lockSpan) *lockSpan {
	for i := range o.spans {
		if o.spans[i].conflicts(s) {
			return &o.spans[i]
		}
	}
	return nil
}

// acquire takes s for id, who asks through h. EAGAIN if it is held elsewhere, ENOLCK
// if there are too many locks.
//
// Preconditions: lf is open.
func (lf *lockFile) acquire(h *handle, id ownerID, s lockSpan) unix.Errno {
	o := lf.find(id)
	if o != nil && o.doubtful {
		lf.isAlive(o, h)
		o = lf.find(id)
	}
	var gone []*lockOwner
	for _, other := range lf.owners {
		if other == o || other.conflict(&s) == nil {
			continue
		}
		if !other.doubtful && !other.givesWay(id, h, s) {
			return unix.EAGAIN
		}
		gone = append(gone, other)
	}
	fresh := o == nil
	if fresh {
		o = &lockOwner{ownerID: id}
	}
	old := o.spans
	spans := setSpan(old, s)
	if more := len(spans) - len(old); more > 0 && (lf.spans+more > maxFileLocks || lf.lt.locks.Load()+int64(more) > maxLocks) {
		return unix.ENOLCK
	}
	if e := lf.hostLock(s, s.typ); e != 0 {
		return e
	}
	for _, other := range gone {
		lf.remove(other)
	}
	if fresh {
		lf.owners = append(lf.owners, o)
		lf.lt.owners.Add(1)
	}
	lf.setSpans(o, spans)
	if e := lf.hostFlock(); e != 0 {
		// The host has that lock, by flock(2). What was there before is again.
		lf.setSpans(o, old)
		if len(old) == 0 {
			lf.remove(o)
		}
		lf.sync(s)
		_ = lf.hostFlock()
		lf.syncAll(gone)
		return e
	}
	lf.syncAll(gone)
	if !slices.Contains(o.handles, h) {
		o.handles = append(o.handles, h)
	}
	h.locks.Store(lf)
	o.granted(h, gone)
	return 0
}

// release drops s of o's locks.
func (lf *lockFile) release(o *lockOwner, s lockSpan) unix.Errno {
	s.typ = unix.F_UNLCK
	lf.setSpans(o, setSpan(o.spans, s))
	if len(o.spans) == 0 {
		lf.remove(o)
	}
	e := lf.sync(s)
	_ = lf.hostFlock() // less than before: nobody can be in the way
	lf.lt.wait.retry()
	return e
}

// drop drops all of o's locks.
func (lf *lockFile) drop(o *lockOwner) {
	lf.remove(o)
	lf.syncAll([]*lockOwner{o})
	_ = lf.hostFlock()
	lf.lt.wait.retry()
}

// dropHandle drops the locks of owners that asked for them through h alone.
func (lf *lockFile) dropHandle(h *handle) {
	for _, o := range slices.Clone(lf.owners) {
		o.handles = slices.DeleteFunc(o.handles, func(other *handle) bool { return other == h })
		if len(o.handles) == 0 {
			lf.drop(o)
		}
	}
}

func (lf *lockFile) setSpans(o *lockOwner, spans []lockSpan) {
	n := len(spans) - len(o.spans)
	lf.spans += n
	lf.lt.locks.Add(int64(n))
	o.spans = spans
}

// remove takes o out of the table, whose spans stay with it for syncAll.
func (lf *lockFile) remove(o *lockOwner) {
	lf.owners = slices.DeleteFunc(lf.owners, func(other *lockOwner) bool { return other == o })
	lf.spans -= len(o.spans)
	lf.lt.locks.Add(-int64(len(o.spans)))
	lf.lt.owners.Add(-1)
}

// first returns the lowest lock in the table that stands in the way of s for id, and
// whose it is.
func (lf *lockFile) first(id ownerID, s lockSpan) (*lockOwner, *lockSpan) {
	var owner *lockOwner
	var found *lockSpan
	for _, o := range lf.owners {
		if o.ownerID == id || o.doubtful {
			continue
		}
		if c := o.conflict(&s); c != nil && (found == nil || c.start < found.start) {
			owner, found = o, c
		}
	}
	return owner, found
}

// open gives lf its descriptor: one that can do both kinds of locks, if that is
// allowed, for a lock can be asked for through any fid.
func (lf *lockFile) open(t *thread, f *file, write bool) unix.Errno {
	fs := f.at.fs
	if lf.fd >= 0 && (lf.access != unix.O_RDONLY || !write) {
		return 0
	}
	fd, e := int32(-1), unix.EISDIR
	if !fs.readOnly && !lf.traits.dir {
		fd, e = fs.openNode(t, f.n, unix.O_RDWR)
	}
	access := int32(unix.O_RDWR)
	if lf.fd >= 0 {
		if e == 0 {
			lf.replace(fd)
		}
		return 0 // what is there does nearly as well
	}
	if e != 0 {
		access = f.open.access
		if fd, e = fs.openNode(t, f.n, int(access)); e != 0 {
			return e
		}
	}
	lf.fd, lf.access = fd, access
	return 0
}

// replace gives lf a descriptor that can do more. What it has by now are read locks
// only, which both can have until the old one is closed.
func (lf *lockFile) replace(fd int32) {
	fds := &lf.lt.fs.fds
	oldFD, oldAccess, oldFlock := lf.fd, lf.access, lf.flocked
	lf.fd, lf.access, lf.flocked = fd, unix.O_RDWR, unix.F_UNLCK
	if oldFlock == unix.F_WRLCK || lf.sync(lockSpan{0, math.MaxInt64, unix.F_UNLCK}) != 0 || lf.hostFlock() != 0 {
		lf.fd, lf.access, lf.flocked = oldFD, oldAccess, oldFlock
		fds.close(fd)
		return
	}
	fds.close(oldFD)
}

// sync makes the host's locks in the range of s those that the owners have.
func (lf *lockFile) sync(s lockSpan) unix.Errno {
	if lf.fd < 0 {
		return 0
	}
	all := make([]lockSpan, 0, lf.spans)
	for _, o := range lf.owners {
		all = append(all, o.spans...)
	}
	first := unix.Errno(0)
	for _, piece := range cover(all, s) {
		if e := lf.hostLock(piece, piece.typ); first == 0 {
			first = e
		}
	}
	return first
}

// syncAll does so for the spans of owners that are gone.
func (lf *lockFile) syncAll(gone []*lockOwner) {
	for _, o := range gone {
		for _, s := range o.spans {
			_ = lf.sync(s)
		}
	}
}

// hostLock sets the host's lock on the range of s. A descriptor that cannot write
// can have no write lock: then a read lock, with hostFlock, has to do. And the other
// way round.
func (lf *lockFile) hostLock(s lockSpan, typ int16) unix.Errno {
	switch {
	case typ == unix.F_WRLCK && lf.access == unix.O_RDONLY:
		typ = unix.F_RDLCK
	case typ == unix.F_RDLCK && lf.access == unix.O_WRONLY:
		typ = unix.F_WRLCK
	}
	fl := s.flock(typ)
	e := fcntlLock(lf.fd, unix.F_OFD_SETLK, &fl)
	if e == unix.EACCES {
		e = unix.EAGAIN
	}
	return e
}

// hostFlock makes what the host's programs see by flock(2) what the guest has on the
// whole file: there, one kind of lock cannot be told from the other. EAGAIN if one of
// them has such a lock.
func (lf *lockFile) hostFlock() unix.Errno {
	if !lf.traits.flock || lf.fd < 0 {
		return 0
	}
	want := int16(unix.F_UNLCK)
	for _, o := range lf.owners {
		if s, ok := o.whole(); ok && want != unix.F_WRLCK {
			want = s.typ
		}
	}
	if want == lf.flocked {
		return 0
	}
	how := map[int16]int{unix.F_UNLCK: unix.LOCK_UN, unix.F_RDLCK: unix.LOCK_SH, unix.F_WRLCK: unix.LOCK_EX}[want]
	switch e := flock(lf.fd, how|unix.LOCK_NB); e {
	case 0:
		lf.flocked = want
	case unix.EAGAIN:
		// A lock that was to be changed may be lost by that (flock(2)).
		if want != unix.F_UNLCK {
			lf.flocked = unix.F_UNLCK
		}
		return e
	default: // not there, or too many: fcntl's have to do
	}
	return 0
}

// hostHolder asks for the lock of somebody else on the host that stands in the way
// of s.
func (lf *lockFile) hostHolder(s lockSpan, l *ninep.Lock) unix.Errno {
	fl := s.flock(s.typ)
	if e := fcntlLock(lf.fd, unix.F_OFD_GETLK, &fl); e != 0 {
		return e
	}
	found := lockSpan{fl.Start, math.MaxInt64, fl.Type}
	if fl.Len > 0 {
		found.end = fl.Start + fl.Len - 1
	}
	if fl.Type == unix.F_UNLCK {
		l.Type = ninep.LockUnlock
		return 0
	}
	found.show(l)
	// The number of the process, if the lock is a process's and not that of an open
	// file description.
	l.ClientID, l.ProcID = hostClient, uint32(max(fl.Pid, 0))
	return 0
}

// hostClient stands for the holder of a lock that is not one of our guest's.
var hostClient = ninep.Name("host")

func fcntlLock(fd int32, cmd int, fl *unix.Flock_t) unix.Errno {
	fl.Pid = 0 // F_OFD_* insist
	for {
		err := unix.FcntlFlock(uintptr(fd), cmd, fl)
		switch e, _ := err.(unix.Errno); {
		case err == nil:
			return 0
		case e != unix.EINTR:
			return e
		}
	}
}

func flock(fd int32, how int) unix.Errno {
	_, e := syscall3(unix.SYS_FLOCK, uintptr(fd), uintptr(how), 0)
	return e
}
