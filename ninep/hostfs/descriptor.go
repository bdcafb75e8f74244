// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// descriptor is a file descriptor that its owner can do without while nobody uses it:
// it may be given up at any time when it is not pinned.
type descriptor struct {
	// word is the descriptor plus one in the upper half (0: none), and the number of
	// pins in the lower one.
	word atomic.Uint64
}

// newWord is the word of a descriptor that nobody uses.
func newWord(fd int32) uint64 { return uint64(fd+1) << 32 }

// pin returns n's descriptor (O_PATH), which is n's until unpin. The caller has a
// reference to n for as long.
func (n *node) pin(*thread) (int32, unix.Errno) { return n.desc.pinned(), 0 }

// unpin ends what a pin began that did not fail.
func (n *node) unpin() { n.desc.unpin() }

// statx fills t.stx with what is known of n.
func (n *node) statx(t *thread, mask uint32) unix.Errno {
	fd, e := n.pin(t)
	if e != 0 {
		return e
	}
	defer n.unpin()
	return statx(t, fd, empty, unix.AT_EMPTY_PATH, mask)
}

// statxEntry fills t.stx with what is known of the entry name of the directory n.
func (n *node) statxEntry(t *thread, name *byte, mask uint32) unix.Errno {
	fd, e := n.pin(t)
	if e != 0 {
		return e
	}
	defer n.unpin()
	return statx(t, fd, name, statName, mask)
}

// pin returns the descriptor of an open file, which is h's until unpin.
func (h *handle) pin(*thread) (int32, unix.Errno) { return h.desc.pinned(), 0 }

// unpin ends what a pin began that did not fail.
func (h *handle) unpin() { h.desc.unpin() }

func (d *descriptor) pinned() int32 { return int32(d.word.Add(1)>>32) - 1 }

func (d *descriptor) unpin() { d.word.Add(^uint64(0)) }

// set gives d its first descriptor.
//
// Preconditions: nobody else knows of d.
func (d *descriptor) set(fd int32) { d.word.Store(newWord(fd)) }

// take takes the descriptor away, for good.
//
// Preconditions: nobody else knows of d.
func (d *descriptor) take() int32 { return int32(d.word.Swap(0)>>32) - 1 }

// descriptors counts those of an FS.
type descriptors struct {
	used atomic.Int64
}

// close closes a descriptor that openat or openat2 returned.
func (ds *descriptors) close(fd int32) {
	closeFD(fd)
	ds.used.Add(-1)
}
