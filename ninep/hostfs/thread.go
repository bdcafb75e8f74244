// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/reuse"
)

// bufSize is the size of a thread's buffer: the largest value or list of names that
// extended attributes can have (XATTR_SIZE_MAX, XATTR_LIST_MAX), and a good batch
// of directory entries.
const bufSize = 64 << 10

// thread is what a worker keeps between requests, so that system calls need no
// memory of their own: nothing that the kernel is given lies on a stack.
type thread struct {
	fs *FS // that the request is for

	// Of a thread that has claimed a holder, the part that works on that; see claim.
	other    *thread
	claiming bool
	restores int // in progress, one for the sake of the other

	stx   unix.Statx_t // what statx said last
	sfs   unix.Statfs_t
	how   unix.OpenHow
	xattr xattrArgs
	ts    [2]unix.Timespec

	// Names with their NUL.
	name1, name2 [256]byte
	fdName       [12]byte

	fh      fileHandle
	mountID int32 // as name_to_handle_at has it

	iov []unix.Iovec // rest of a vector after a short read or write
	buf []byte       // see buffer

	files reuse.List[file] // see filePool

	cred threadCred
	cwd  *FS // whose /proc/self/fd is the working directory; see enterProc
}

// localOf returns what t is to this package; nil if t is nil, or never had a request.
func localOf(t *ninep.Thread) *thread {
	if t == nil {
		return nil
	}
	local, _ := t.Local.(*thread)
	return local
}

// fileList returns the thread's list of files, nil for nil.
func (t *thread) fileList() *reuse.List[file] {
	if t == nil {
		return nil
	}
	return &t.files
}

// threadOf returns the thread of the worker that c runs on.
func threadOf(c *ninep.Call) *thread {
	if t := localOf(c.Thread); t != nil {
		return t
	}
	t := new(thread)
	c.Thread.Local = t
	return t
}

// thread returns the thread of the worker that c runs on, which has a request for fs.
func (fs *FS) thread(c *ninep.Call) *thread {
	t := threadOf(c)
	t.fs = fs
	return t
}

// buffer returns bufSize bytes that hold anything.
func (t *thread) buffer() []byte {
	if t.buf == nil {
		t.buf = make([]byte, bufSize)
	}
	return t.buf
}

// claim returns what to work with while the thread has claimed a holder of a descriptor:
// whatever a request may have put into t stays as it is.
func (t *thread) claim() *thread {
	if t.other == nil {
		// Never the first to set the credentials: they are the same thread's.
		t.other = &thread{claiming: true, cred: threadCred{begun: true}}
	}
	t.other.fs = t.fs
	return t.other
}

// cname and cname2 return a name with a NUL behind it, in memory of t's that lasts
// until the next call; nil if the name is longer than any can be.
func (t *thread) cname(name []byte) *byte { return terminate(&t.name1, name) }

func (t *thread) cname2(name []byte) *byte { return terminate(&t.name2, name) }

func terminate(buf *[256]byte, name []byte) *byte {
	if len(name) >= len(buf) {
		return nil
	}
	buf[copy(buf[:], name)] = 0
	return &buf[0]
}

// cfd returns the name of fd in /proc/self/fd.
func (t *thread) cfd(fd int32) *byte {
	i := len(t.fdName) - 1
	t.fdName[i] = 0
	for {
		i--
		t.fdName[i] = '0' + byte(fd%10)
		if fd /= 10; fd == 0 {
			return &t.fdName[i]
		}
	}
}
