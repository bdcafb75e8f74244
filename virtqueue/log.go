// SPDX-License-Identifier: Apache-2.0

package virtqueue

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// logPageShift: one bit of a dirty log stands for 4096 bytes of guest-physical memory
// (VHOST_LOG_PAGE).
const logPageShift = 12

// Log is the dirty log of a migration: a bitmap, shared with the front end, of the guest
// pages that we have written to. It is unmapped when the last reference goes.
type Log struct {
	bitmap  shared
	mapping []byte
	event   atomic.Int32 // signalled after marking; -1: none
	refs    atomic.Int32
	dropped atomic.Uint64
}

// MapLog maps size bytes of fd from offset as a dirty log. The caller keeps fd. The Log
// starts with one reference.
func MapLog(fd int, size, offset uint64) (*Log, error) {
	if size == 0 || offset+size < offset || offset+size > math.MaxInt64 {
		return nil, errors.New("dirty log of size 0 or one that wraps around")
	}
	mapping, skip, err := mapShared(fd, size, offset)
	if err != nil {
		return nil, fmt.Errorf("dirty log: %w", err)
	}
	l := &Log{bitmap: mapping[skip : skip+size : skip+size], mapping: mapping}
	l.event.Store(-1)
	l.refs.Store(1)
	return l, nil
}

// Ref takes a reference.
func (l *Log) Ref() { l.refs.Add(1) }

// Unref drops a reference; the last one unmaps the log.
func (l *Log) Unref() {
	switch n := l.refs.Add(-1); {
	case n == 0:
		_ = unix.Munmap(l.mapping)
	case n < 0:
		panic("virtqueue: Log.Unref without a reference")
	}
}

// SetEvent names the eventfd that is signalled when pages have been marked; -1: none. The
// fd stays the caller's, who closes it only when no queue uses the log.
func (l *Log) SetEvent(fd int) { l.event.Store(int32(fd)) }

// Dropped returns the number of writes that reached beyond the bitmap: the front end made it
// too small.
func (l *Log) Dropped() uint64 { return l.dropped.Load() }

// Mark marks the pages of n bytes from guest-physical address addr. Pages outside the
// bitmap are not marked, but the write counts as dropped.
func (l *Log) Mark(addr, n uint64) {
	if n == 0 {
		return
	}
	last := addr + n - 1
	if last < addr {
		last = math.MaxUint64
	}
	for page := addr >> logPageShift; page <= last>>logPageShift; page++ {
		if page/8 >= uint64(len(l.bitmap)) {
			l.dropped.Add(1)
			return
		}
		l.bitmap.or(int(page/8), 1<<(page%8))
	}
}

// signal tells the front end that pages were marked.
func (l *Log) signal() {
	if fd := l.event.Load(); fd >= 0 {
		n := notifier{fd: int(fd), mode: notifyPoll}
		n.signal()
	}
}
