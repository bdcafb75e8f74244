// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// Bounds. The kernel looks through the locks of a file one by one.
const (
	maxLocks     = 64 << 10 // of an FS
	maxFileLocks = 8 << 10  // of a file
)

// lockTable has the files on which locks are held, or are asked for.
type lockTable struct {
	fs       *FS
	maxFiles int // each has a descriptor

	mu    sync.Mutex
	files map[lockKey]*lockFile

	owners, locks atomic.Int64 // in all files

	wait lockWait
}

func (lt *lockTable) init(fs *FS, maxFiles int) {
	lt.fs, lt.maxFiles = fs, maxFiles
	lt.files = make(map[lockKey]*lockFile)
	lt.wait.init()
}

// enter returns the lockFile of n for use until leave. If there is none, it makes one
// if make is set, else it returns nil. ENOLCK if there are too many.
func (lt *lockTable) enter(n *node, make bool) (*lockFile, unix.Errno) {
	key := lockKey{n.ino, n.dev}
	lt.mu.Lock()
	defer lt.mu.Unlock()
	lf := lt.files[key]
	switch {
	case lf != nil:
	case !make:
		return nil, 0
	case len(lt.files) >= lt.maxFiles:
		return nil, unix.ENOLCK
	default:
		lf = &lockFile{lt: lt, key: key, fd: -1, flocked: unix.F_UNLCK}
		lf.traits = lockTraits{dir: n.isDir(), flock: !n.isDir() && n.traits&ownFlock != 0}
		lt.files[key] = lf
	}
	lf.users++
	return lf, 0
}

// leave ends the use of lf. Without locks it is closed.
func (lt *lockTable) leave(lf *lockFile) {
	lt.mu.Lock()
	lf.users--
	closing := lf.users == 0 && len(lf.owners) == 0 // which only users change
	if closing {
		delete(lt.files, lf.key)
	}
	lt.mu.Unlock()
	if closing && lf.fd >= 0 {
		lt.fs.fds.close(lf.fd)
		lf.fd = -1
	}
}

// dropHandle forgets a handle that is about to be closed, and the locks that were
// taken through it alone: Linux may take a flock under one process and leave it under
// another, which has none to drop, and the fid is what both have.
func (lt *lockTable) dropHandle(h *handle) {
	lf := h.locks.Load()
	if lf == nil {
		return
	}
	lt.mu.Lock()
	there := lt.files[lf.key] == lf
	if there {
		lf.users++
	}
	lt.mu.Unlock()
	if there {
		lf.mu.Lock()
		lf.dropHandle(h)
		lf.mu.Unlock()
		lt.leave(lf)
	}
	h.locks.Store(nil)
	h.posix = false
}

// reset drops all locks and waiters.
func (lt *lockTable) reset() {
	lt.cancelAll()
	lt.mu.Lock()
	files := make([]*lockFile, 0, len(lt.files))
	for _, lf := range lt.files {
		lf.users++
		files = append(files, lf)
	}
	lt.mu.Unlock()
	for _, lf := range files {
		lf.mu.Lock()
		for len(lf.owners) > 0 {
			lf.remove(lf.owners[0])
		}
		_ = lf.sync(lockSpan{0, math.MaxInt64, unix.F_UNLCK})
		_ = lf.hostFlock()
		lf.mu.Unlock()
		lt.leave(lf)
	}
}

func idOf(l *ninep.Lock) ownerID { return ownerID{string(l.ClientID), l.ProcID} }

// Lock implements ninep.File.
func (f *file) Lock(c *ninep.Call, l *ninep.Lock) (ninep.LockStatus, error) {
	if f.open == nil {
		return ninep.LockError, unix.EBADF
	}
	s, e := spanOf(l)
	if e != 0 {
		return ninep.LockError, e
	}
	lt, id, block := &f.at.fs.locks, idOf(l), l.Flags&ninep.LockFlagBlock != 0
	lf, e := lt.enter(f.n, s.typ != unix.F_UNLCK)
	if e != 0 {
		return ninep.LockError, e
	}
	if lf == nil {
		return ninep.LockSuccess, nil // nobody has locks
	}
	if s.typ == unix.F_UNLCK {
		e = lf.unlock(f.open, id, s, block)
	} else {
		lf.mu.Lock()
		if e = lf.open(f.thread(c), f, s.typ == unix.F_WRLCK); e == 0 {
			e = lf.acquire(f.open, id, s)
		}
		lf.mu.Unlock()
		if e == unix.EAGAIN && block && lt.await(c, &lockWaiter{c: c, lf: lf, h: f.open, id: id, span: s}) {
			return ninep.LockBlocked, nil // not the answer: that comes later
		}
	}
	lt.leave(lf)
	switch e {
	case 0:
		return ninep.LockSuccess, nil
	case unix.EAGAIN:
		return ninep.LockBlocked, nil
	}
	return ninep.LockError, e
}

// unlock drops what id has of s, or what that means; see flockHints. A request that
// is ready to wait comes from flock(2) or from fcntl(F_SETLKW).
func (lf *lockFile) unlock(h *handle, id ownerID, s lockSpan, block bool) unix.Errno {
	lf.mu.Lock()
	defer lf.mu.Unlock()
	o := lf.find(id)
	if o != nil && block && o.isFlock() && !slices.Contains(o.handles, h) {
		o = nil // what it has belongs to another open file
	}
	switch {
	case o == nil && s.isWhole() && block:
		lf.dropFlock(id, h)
	case o == nil:
	case s.isWhole() && !block && o.outlives():
		o.doubtful = true
		lf.lt.wait.retry()
	default:
		return lf.release(o, s)
	}
	return 0
}

// GetLock implements ninep.File.
func (f *file) GetLock(c *ninep.Call, l *ninep.Lock) error {
	if f.open == nil {
		return unix.EBADF
	}
	s, e := spanOf(l)
	if e != 0 {
		return e
	}
	lt, id := &f.at.fs.locks, idOf(l)
	lf, e := lt.enter(f.n, true)
	if e != 0 {
		return e
	}
	defer lt.leave(lf)
	lf.mu.Lock()
	defer lf.mu.Unlock()
	if o := lf.find(id); o != nil && o.doubtful {
		lf.isAlive(o, f.open)
	}
	if o, held := lf.first(id, s); o != nil {
		held.show(l)
		l.ClientID, l.ProcID = ninep.Name(o.client), o.proc
		return nil
	}
	if e := lf.open(f.thread(c), f, false); e != 0 {
		return e
	}
	return errorOf(lf.hostHolder(s, l))
}
