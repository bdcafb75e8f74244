// SPDX-License-Identifier: Apache-2.0

package hostfs

import "golang.org/x/sys/unix"

// rootUID is the guest's user who may leave set-id bits where Linux takes them off
// others' files and of files that others write.
const rootUID = 0

// capSets are the capabilities of the process that its workers use, with and without
// CAP_FSETID.
//
// With CAP_FSETID the kernel leaves set-id bits where a user writes to a program or
// cuts it off, and lets everyone make files set-group-id. The one must not be where
// the guest's user is not root, or a user could put other code into root's programs;
// the other must be, for the guest's kernel has decided it. So the capability is not
// in effect, but where keepSetIDs says so.
//
// CAP_SYS_RESOURCE is never: the host's quotas hold for its users, also in a guest, and
// what a file system reserves is not for them.
type capSets struct {
	known         bool // capget has told
	with, without [2]unix.CapUserData
}

func processCaps() capSets {
	var s capSets
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	s.known = unix.Capget(&hdr, &s.with[0]) == nil
	s.with[0].Effective &^= 1 << unix.CAP_SYS_RESOURCE
	s.without = s.with
	s.without[0].Effective &^= 1 << unix.CAP_FSETID
	return s
}

// has reports whether a capability (one of the first 32) is in effect.
func (s *capSets) has(capability int) bool { return s.with[0].Effective&(1<<capability) != 0 }

// apply gives the calling thread the capabilities, of which it can have no more than
// these. That goes to the kernel directly: package syscall would change all threads.
func (s *capSets) apply(fsetid bool) {
	if !s.known {
		return
	}
	set := &s.without
	if fsetid {
		set = &s.with
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if unix.Capset(&hdr, &set[0]) == nil {
		return
	}
	// The thread has been left fewer since, as by a sandbox.
	var rest [2]unix.CapUserData
	if unix.Capget(&hdr, &rest[0]) != nil {
		return
	}
	for i := range rest {
		rest[i].Effective = set[i].Effective & rest[i].Permitted
	}
	_ = unix.Capset(&hdr, &rest[0])
}

// keepSetIDs says whether the thread, in what it does next, may set set-id bits that
// Linux would not let it, and leaves them where Linux takes them off. It lasts until
// the next call: whatever can do either calls it first.
func (t *thread) keepSetIDs(fs *FS, keep bool) {
	if t.cred.keepsSetIDs == keep || !fs.creds.caps.has(unix.CAP_FSETID) {
		return
	}
	t.cred.keepsSetIDs = keep
	fs.creds.caps.apply(keep)
}

// changes readies the thread for a change of a file's content, size or owner by the guest's
// user uid: other users' take set-id bits off.
//
// But not a set-group-id bit that is no program's, as the group cannot execute it; it once
// stood for mandatory locks. Linux leaves it to users who are in the group. Who is, only
// the guest knows, and takes it off by a request of its own, which comes first.
func (t *thread) changes(fs *FS, fd int32, uid uint32) {
	keep := uid == rootUID
	if !keep && fs.creds.caps.has(unix.CAP_FSETID) && statx(t, fd, empty, unix.AT_EMPTY_PATH, unix.STATX_MODE) == 0 {
		keep = t.stx.Mode&unix.S_ISUID == 0 && isLockMark(t.stx.Mode)
	}
	t.keepSetIDs(fs, keep)
}

// cuts is changes for a file that is about to be opened and, under the flags, emptied.
func (t *thread) cuts(fs *FS, n *node, flags int, uid uint32) unix.Errno {
	if flags&unix.O_TRUNC == 0 {
		return 0
	}
	fd, e := n.pin(t)
	if e == 0 {
		t.changes(fs, fd, uid)
		n.unpin()
	}
	return e
}

// isLockMark reports whether a mode has a set-group-id bit that is no program's.
func isLockMark(mode uint16) bool { return mode&(unix.S_ISGID|unix.S_IXGRP) == unix.S_ISGID }

// keepCaps stops the kernel from taking capabilities out of effect while the
// thread's fsuid is not 0. Without CAP_SETPCAP it fails, and setUID gives them back
// each time.
func (c *threadCred) keepCaps() {
	if c.capsTried {
		return
	}
	c.capsTried = true
	bits, _, e := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_GET_SECUREBITS, 0, 0)
	if e == 0 {
		_, _, e = unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_SECUREBITS, bits|secbitNoSetuidFixup, 0)
	}
	c.capsKept = e == 0
}

const secbitNoSetuidFixup = 1 << 2 // SECBIT_NO_SETUID_FIXUP
