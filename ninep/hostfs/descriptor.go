// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"math"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// descriptor is a file descriptor that its owner can lose while nobody uses it: see
// reclaim.go for when it does, and for how it gets another.
type descriptor struct {
	// word has the descriptor plus one in the upper half (0: none), and in the lower
	// one the number of pins and the flags. Pins come and go at any time; all else
	// changes under nodeShard.mu.
	word atomic.Uint64
}

// Flags of a descriptor's word.
const (
	pinsMask   = 1<<27 - 1
	referenced = 1 << 27 // pinned since the sweep last came by
	busy       = 1 << 28 // a thread is taking the descriptor away, or bringing it back
	dead       = 1 << 29 // of a node: its inode is gone, and so is it from the table
	removed    = 1 << 30 // of a node: it has lost a name, maybe its last
	lingers    = 1 << 31 // of a node: it is in the ring of those that linger
)

// fdWord returns what is added to a word without a descriptor to give it one.
func fdWord(fd int32) uint64 { return uint64(fd+1) << 32 }

func wordFD(w uint64) int32 { return int32(w>>32) - 1 }

// tryPin adds a pin. It returns -1, which is a pin as well, if there is nothing to
// pin.
func (d *descriptor) tryPin() int32 { return wordFD(d.word.Add(1)) }

func (d *descriptor) unpin() {
	if d.word.Add(^uint64(0))&referenced == 0 {
		d.word.Or(referenced)
	}
}

// has reports whether there is a descriptor at the moment.
func (d *descriptor) has() bool { return wordFD(d.word.Load()) >= 0 }

// is reports whether a flag is set.
func (d *descriptor) is(flag uint64) bool { return d.word.Load()&flag != 0 }

// dropLocked takes the descriptor out and returns it: -1 if there is none.
//
// Preconditions: nodeShard.mu is held.
func (d *descriptor) dropLocked() int32 {
	return wordFD(d.word.And(math.MaxUint32))
}

// pin returns n's descriptor (O_PATH), which is n's until unpin. The caller has a
// reference to n for as long. ESTALE if there is no descriptor and the file cannot be
// found again, ENFILE if too many are in use.
func (n *node) pin(t *thread) (int32, unix.Errno) {
	if fd := n.desc.tryPin(); fd >= 0 {
		return fd, 0
	}
	return t.fs.restore(t, n)
}

// unpin ends what a pin began that did not fail.
func (n *node) unpin() { n.desc.unpin() }

// pin returns the descriptor of an open file, which is h's until unpin.
func (h *handle) pin(t *thread) (int32, unix.Errno) {
	if fd := h.desc.tryPin(); fd >= 0 {
		return fd, 0
	}
	return t.fs.restore(t, h)
}

// unpin ends what a pin began that did not fail.
func (h *handle) unpin() { h.desc.unpin() }

// statx fills t.stx with what is known of n.
func (n *node) statx(t *thread, mask uint32) unix.Errno {
	fd, e := n.pin(t)
	if e != 0 {
		return e
	}
	e = statx(t, fd, empty, unix.AT_EMPTY_PATH, mask)
	n.unpin()
	return e
}

// statxEntry fills t.stx with what is known of the entry name of the directory n.
func (n *node) statxEntry(t *thread, name *byte, mask uint32) unix.Errno {
	fd, e := n.pin(t)
	if e != 0 {
		return e
	}
	e = statx(t, fd, name, statName, mask)
	n.unpin()
	return e
}
