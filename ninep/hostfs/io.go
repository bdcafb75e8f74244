// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"math"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// maxIovecs is the number of iovecs that one system call takes (IOV_MAX).
const maxIovecs = 1024

// noWait remembers that the file's file system does not know RWF_NOWAIT.
type noWait struct{ atomic.Bool }

// Read implements ninep.File. It reads until there is no more: Linux clients take a
// short read for the end of the file. What the page cache has is read at once; when
// the rest must be waited for, the transport is told before.
func (f *file) Read(c *ninep.Call, dst []unix.Iovec, off uint64) (int, error) {
	h := f.open
	if h == nil {
		return 0, unix.EBADF
	}
	left, e := total(dst, off)
	if e != 0 {
		return 0, e
	}
	h.noteUse()
	t := f.thread(c)
	fd, e := h.pin(t)
	if e != 0 {
		return 0, e
	}
	defer h.unpin()
	flags := uintptr(unix.RWF_NOWAIT)
	if h.noWaitRefused.Load() {
		flags = 0
	}
	done := 0
	for left > 0 {
		got, e := preadv(fd, &dst[0], min(len(dst), maxIovecs), off+uint64(done), flags)
		n := int(got)
		switch {
		case e == 0:
		case e == unix.EAGAIN && flags != 0:
			willBlock(c)
			flags = 0
			continue
		case e == unix.EOPNOTSUPP && flags != 0:
			h.noWaitRefused.Store(true)
			flags = 0
			continue
		case done > 0 && e != unix.EFAULT:
			return done, nil
		default:
			return 0, e
		}
		if n == 0 {
			break
		}
		done += n
		if left -= n; left > 0 {
			dst = t.advance(dst, n)
		}
	}
	return done, nil
}

// Write implements ninep.File.
func (f *file) Write(c *ninep.Call, src []unix.Iovec, off uint64) (int, error) {
	h := f.open
	if h == nil {
		return 0, unix.EBADF
	}
	left, e := total(src, off)
	if e != 0 {
		return 0, e
	}
	h.noteUse()
	t := f.thread(c)
	fd, e := h.pin(t)
	if e != 0 {
		return 0, e
	}
	defer h.unpin()
	if left > 0 {
		if h.lockMark {
			t.changes(f.at.fs, fd, c.UID)
		} else { // what nearly all are
			t.keepSetIDs(f.at.fs, c.UID == rootUID)
		}
		if e := f.at.fs.shedCaps(t, f.n); e != 0 {
			return 0, e
		}
	}
	done := 0
	for left > 0 {
		var put uintptr
		if len(src) == 1 {
			put, e = pwrite(fd, &src[0], off+uint64(done))
		} else {
			put, e = pwritev(fd, &src[0], min(len(src), maxIovecs), off+uint64(done))
		}
		n := int(put)
		switch {
		case e == 0:
		case done > 0 && e != unix.EFAULT:
			n = 0 // the next request is told
		default:
			return 0, e
		}
		if n == 0 {
			break
		}
		done += n
		if left -= n; left > 0 {
			src = t.advance(src, n)
		}
	}
	if f.at.fs.writeOut && done > 0 {
		// What was written there before is waited for, so that a guest that goes on and on
		// does not pile up more than the disk takes. No promise is made: errors are fsync's.
		willBlock(c)
		_ = syncFileRange(fd, off, done, unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE)
	}
	return done, nil
}

// total returns the number of bytes in iov. EINVAL if a file cannot have them at
// off: to preadv2(2), -1 would mean the descriptor's own position.
func total(iov []unix.Iovec, off uint64) (int, unix.Errno) {
	n := 0
	for i := range iov {
		n += int(iov[i].Len)
	}
	if off > math.MaxInt64-uint64(n) {
		return 0, unix.EINVAL
	}
	return n, 0
}

// advance returns what is left of iov after its first n bytes, and leaves iov as it
// was, unless it is t's own.
//
// Preconditions: there is something left.
func (t *thread) advance(iov []unix.Iovec, n int) []unix.Iovec {
	i := 0
	for n >= int(iov[i].Len) {
		n -= int(iov[i].Len)
		i++
	}
	if n == 0 {
		return iov[i:]
	}
	t.iov = append(t.iov[:0], iov[i:]...)
	skip(&t.iov[0], n)
	return t.iov
}

// Sync implements ninep.File.
func (f *file) Sync(c *ninep.Call, dataOnly bool) error {
	t, fs := f.thread(c), f.at.fs
	willBlock(c)
	if h := f.open; h != nil {
		fd, e := h.pin(t)
		if e != 0 {
			return e
		}
		defer h.unpin()
		return errorOf(fsync(fd, dataOnly))
	}
	fd, e := fs.openNode(t, f.n, unix.O_RDONLY)
	if e != 0 {
		return e
	}
	e = fsync(fd, dataOnly)
	fs.fds.close(fd)
	return errorOf(e)
}

// errorOf returns e as an error: nil for 0.
func errorOf(e unix.Errno) error {
	if e == 0 {
		return nil
	}
	return e
}
