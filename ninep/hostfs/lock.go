// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"cmp"
	"io"
	"math"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// Locks are those of the host: a guest's process has, for each file that it locks, a
// descriptor of its own here, whose open file description owns the locks
// (F_OFD_SETLK). So they hold against other guests, and against fcntl(2) on the
// host.

// ownerKey says whose locks on what.
type ownerKey struct {
	n      *node
	proc   uint32
	client string
}

// lockOwner is a process in a guest that has locks on a file, or asks for one.
type lockOwner struct {
	key ownerKey

	mu sync.Mutex // one change at a time, as the kernel sees it
	fd int32      // -1 until the first lock

	// Guarded by lockTable.mu.
	spans   []lockSpan // held, in order, not overlapping
	handles []*handle  // through which locks were asked for
	users   int        // requests in progress
	gone    bool       // out of the table
}

// lockSpan is a range of bytes, both ends included, that is locked.
type lockSpan struct {
	start, end int64
	typ        int16 // F_RDLCK or F_WRLCK
}

// lockTable has the lock owners of an FS.
type lockTable struct {
	fs *FS

	mu     sync.Mutex
	owners map[ownerKey]*lockOwner

	wait lockWait
}

func (lt *lockTable) init(fs *FS, maxWaiters int) {
	lt.fs = fs
	lt.owners = make(map[ownerKey]*lockOwner)
	lt.wait.init(maxWaiters)
}

// enter returns the owner that l names, for use until leave. If there is none, it
// makes one if make is set, else it returns nil.
func (lt *lockTable) enter(f *file, l *ninep.Lock, make bool) *lockOwner {
	lt.mu.Lock()
	defer lt.mu.Unlock()
	o := lt.owners[ownerKey{f.n, l.ProcID, string(l.ClientID)}]
	if o == nil {
		if !make {
			return nil
		}
		o = &lockOwner{key: ownerKey{f.n.hold(), l.ProcID, string(l.ClientID)}, fd: -1}
		lt.owners[o.key] = o
	}
	o.users++
	if make && !slices.Contains(o.handles, f.open) {
		o.handles = append(o.handles, f.open)
		f.open.owners = append(f.open.owners, o)
	}
	return o
}

// leave ends the use of o. An owner without locks is closed: there can be as many
// as the guest has processes.
func (lt *lockTable) leave(o *lockOwner) {
	lt.mu.Lock()
	o.users--
	closing := lt.removeIfUnusedLocked(o)
	lt.mu.Unlock()
	if closing {
		lt.close(o)
	}
}

// removeIfUnusedLocked takes o out of the table if it has no locks. Then the caller
// must close it.
func (lt *lockTable) removeIfUnusedLocked(o *lockOwner) bool {
	if o.users > 0 || len(o.spans) > 0 || o.gone {
		return false
	}
	o.gone = true
	delete(lt.owners, o.key)
	for _, h := range o.handles {
		h.owners = slices.DeleteFunc(h.owners, func(other *lockOwner) bool { return other == o })
	}
	o.handles = nil
	return true
}

func (lt *lockTable) close(o *lockOwner) {
	if o.fd >= 0 {
		lt.fs.fds.close(o.fd)
		lt.wait.retry()
	}
	lt.fs.nodes.put(o.key.n)
}

// dropHandle forgets a handle that is about to be closed. Locks that were taken
// through it alone go: Linux may take a flock under one process and leave it under
// another, which has none to drop, and the fid is what both have.
func (lt *lockTable) dropHandle(h *handle) {
	var closing []*lockOwner
	lt.mu.Lock()
	for _, o := range h.owners {
		o.handles = slices.DeleteFunc(o.handles, func(other *handle) bool { return other == h })
		if len(o.handles) > 0 {
			continue
		}
		o.spans = nil
		if lt.removeIfUnusedLocked(o) {
			closing = append(closing, o)
		}
	}
	h.owners = nil
	lt.mu.Unlock()
	for _, o := range closing {
		lt.close(o)
	}
}

// reset drops all locks and waiters.
func (lt *lockTable) reset() {
	lt.cancelAll()
	var closing []*lockOwner
	lt.mu.Lock()
	for _, o := range lt.owners {
		o.spans = nil
		if lt.removeIfUnusedLocked(o) {
			closing = append(closing, o)
		}
	}
	lt.mu.Unlock()
	for _, o := range closing {
		lt.close(o)
	}
}

// Lock implements ninep.File.
func (f *file) Lock(c *ninep.Call, l *ninep.Lock) (ninep.LockStatus, error) {
	if f.open == nil {
		return ninep.LockError, unix.EBADF
	}
	fl, e := flockOf(l)
	if e != 0 {
		return ninep.LockError, e
	}
	lt := &f.at.fs.locks
	o := lt.enter(f, l, l.Type != ninep.LockUnlock)
	if o == nil {
		return ninep.LockSuccess, nil // it has no locks
	}
	e = o.open(f.thread(c), f)
	if e == 0 {
		e = lt.set(o, fl)
	}
	if e == unix.EAGAIN && l.Flags&ninep.LockFlagBlock != 0 && lt.await(c, o, fl) {
		return ninep.LockBlocked, nil // not the answer: that comes later
	}
	lt.leave(o)
	switch e {
	case 0:
		return ninep.LockSuccess, nil
	case unix.EAGAIN:
		return ninep.LockBlocked, nil
	}
	return ninep.LockError, e
}

// open gives o its descriptor: one that can do both kinds of locks, if that is
// allowed, for a lock can be asked for through any fid.
func (o *lockOwner) open(t *thread, f *file) unix.Errno {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fd >= 0 {
		return 0
	}
	fs := f.at.fs
	fd, e := int32(-1), unix.EISDIR
	if !fs.readOnly && !o.key.n.isDir() {
		fd, e = fs.openNode(t, o.key.n, unix.O_RDWR)
	}
	if e != 0 {
		if fd, e = fs.openNode(t, o.key.n, int(f.open.access)); e != 0 {
			return e
		}
	}
	o.fd = fd
	return 0
}

// set takes or drops a lock; EAGAIN if it is held elsewhere.
func (lt *lockTable) set(o *lockOwner, fl unix.Flock_t) unix.Errno {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fd < 0 {
		return unix.EBADF
	}
	if e := fcntlLock(o.fd, unix.F_OFD_SETLK, &fl); e != 0 {
		if e == unix.EACCES {
			e = unix.EAGAIN
		}
		return e
	}
	lt.mu.Lock()
	o.spans = setSpan(o.spans, spanOf(&fl))
	lt.mu.Unlock()
	if fl.Type == unix.F_UNLCK {
		lt.wait.retry()
	}
	return 0
}

// GetLock implements ninep.File.
func (f *file) GetLock(c *ninep.Call, l *ninep.Lock) error {
	if f.open == nil {
		return unix.EBADF
	}
	fl, e := flockOf(l)
	if e != 0 {
		return e
	}
	lt := &f.at.fs.locks
	// Asked through its own descriptor, an owner does not stand in its own way; a
	// fid's has no locks.
	fd, e := f.open.pin(f.thread(c))
	if e != 0 {
		return e
	}
	defer f.open.unpin()
	o := lt.enter(f, l, false)
	if o != nil {
		o.mu.Lock()
		if o.fd >= 0 {
			fd = o.fd
		}
	}
	e = fcntlLock(fd, unix.F_OFD_GETLK, &fl)
	if o != nil {
		o.mu.Unlock()
		lt.leave(o)
	}
	if e != 0 {
		return e
	}
	lt.describe(f.n, o, l, &fl)
	return nil
}

// hostClient stands for the holder of a lock that is not one of our guest's.
var hostClient = ninep.Name("host")

// describe sets l to the lock that fl says stands in asker's way.
func (lt *lockTable) describe(n *node, asker *lockOwner, l *ninep.Lock, fl *unix.Flock_t) {
	switch fl.Type {
	case unix.F_UNLCK:
		l.Type = ninep.LockUnlock
		return
	case unix.F_WRLCK:
		l.Type = ninep.LockWrite
	default:
		l.Type = ninep.LockRead
	}
	l.Start, l.Length = uint64(fl.Start), uint64(fl.Len)
	l.ClientID, l.ProcID = hostClient, uint32(max(fl.Pid, 0))
	if fl.Pid >= 0 {
		return // a lock of a process, not of an open file description
	}
	span := spanOf(fl)
	lt.mu.Lock()
	defer lt.mu.Unlock()
	for key, o := range lt.owners {
		if o == asker || key.n.ino != n.ino || key.n.dev != n.dev {
			continue
		}
		for _, s := range o.spans {
			if s == span {
				l.ClientID, l.ProcID = ninep.Name(key.client), key.proc
				return
			}
		}
	}
}

func flockOf(l *ninep.Lock) (unix.Flock_t, unix.Errno) {
	fl := unix.Flock_t{Whence: io.SeekStart, Start: int64(l.Start), Len: int64(l.Length)}
	switch l.Type {
	case ninep.LockRead:
		fl.Type = unix.F_RDLCK
	case ninep.LockWrite:
		fl.Type = unix.F_WRLCK
	case ninep.LockUnlock:
		fl.Type = unix.F_UNLCK
	default:
		return fl, unix.EINVAL
	}
	if fl.Start < 0 || fl.Len < 0 {
		return fl, unix.EINVAL
	}
	if fl.Len > 0 && fl.Start > math.MaxInt64-(fl.Len-1) {
		return fl, unix.EOVERFLOW
	}
	return fl, 0
}

func spanOf(fl *unix.Flock_t) lockSpan {
	end := int64(math.MaxInt64)
	if fl.Len > 0 {
		end = fl.Start + fl.Len - 1
	}
	return lockSpan{fl.Start, end, fl.Type}
}

// setSpan returns spans after s was locked or, by its type, unlocked. As in the
// kernel, neighbours of one type become one.
func setSpan(spans []lockSpan, s lockSpan) []lockSpan {
	out := make([]lockSpan, 0, len(spans)+2)
	for _, old := range spans {
		if old.start < s.start {
			out = append(out, lockSpan{old.start, min(old.end, s.start-1), old.typ})
		}
		if old.end > s.end {
			out = append(out, lockSpan{max(old.start, s.end+1), old.end, old.typ})
		}
	}
	if s.typ == unix.F_UNLCK {
		return out
	}
	i, _ := slices.BinarySearchFunc(out, s.start, func(o lockSpan, start int64) int { return cmp.Compare(o.start, start) })
	out = slices.Insert(out, i, s)
	if i+1 < len(out) && out[i].end+1 == out[i+1].start && out[i].typ == out[i+1].typ {
		out[i].end = out[i+1].end
		out = slices.Delete(out, i+1, i+2)
	}
	if i > 0 && out[i-1].end+1 == out[i].start && out[i-1].typ == out[i].typ {
		out[i-1].end = out[i].end
		out = slices.Delete(out, i, i+1)
	}
	return out
}

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
