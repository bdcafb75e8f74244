// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"golang.org/x/sys/unix"
)

// credentials are what the process may do.
type credentials struct {
	uid, gid uint32 // of the file system, as the process was started

	impersonate bool // CAP_SETUID, CAP_SETGID: objects can be made for others
	linkByFD    bool // CAP_DAC_READ_SEARCH: linkat with AT_EMPTY_PATH
	caps        capSets
}

func processCredentials() credentials {
	c := credentials{uid: uint32(unix.Geteuid()), gid: uint32(unix.Getegid())}
	c.caps = processCaps()
	c.impersonate = c.caps.has(unix.CAP_SETUID) && c.caps.has(unix.CAP_SETGID)
	c.linkByFD = c.caps.has(unix.CAP_DAC_READ_SEARCH)
	return c
}

// threadCred is the state of a thread's credentials. Changing them costs more than
// many a system call on a file, so a thread stays who it is until that matters.
type threadCred struct {
	uid, gid uint32 // of the file system, if foreign
	foreign  bool   // not those of the process

	begun               bool // CAP_FSETID was taken off first
	keepsSetIDs         bool // CAP_FSETID is in effect
	capsTried, capsKept bool // see keepCaps
}

// become makes what the thread creates next belong to uid and gid from the first
// instant on. The capabilities stay in effect, so no permission changes: those are for
// the guest to check, which knows its users' groups.
//
// Preconditions: the goroutine is locked to its thread, for good.
func (t *thread) become(fs *FS, uid, gid uint32) unix.Errno {
	own, c := &fs.creds, &t.cred
	uid, known := fs.uids.owner(uid, own.uid)
	gid, knownToo := fs.gids.owner(gid, own.gid)
	if !known || !knownToo {
		return unix.EOVERFLOW
	}
	if !own.impersonate {
		return 0
	}
	if !c.foreign {
		if uid == own.uid && gid == own.gid {
			return 0
		}
		c.uid, c.gid = own.uid, own.gid
		c.keepCaps()
	}
	c.foreign = true
	if gid != c.gid {
		if !setID(unix.SYS_SETFSGID, gid) {
			return t.cannotBecome(fs)
		}
		c.gid = gid
	}
	if uid != c.uid {
		if !t.setUID(fs, uid) {
			return t.cannotBecome(fs)
		}
	}
	c.foreign = uid != own.uid || gid != own.gid
	return 0
}

// cannotBecome ends a become that failed: what is made will be the daemon's own, where
// that is allowed.
func (t *thread) cannotBecome(fs *FS) unix.Errno {
	t.revert(fs)
	if fs.keepsOwner(unix.EPERM) {
		return 0
	}
	return unix.EOVERFLOW
}

// suit makes the thread the process's user again if that can matter to n's file
// system. It is where every operation begins.
func (t *thread) suit(fs *FS, n *node) {
	if !t.cred.begun {
		t.cred.begun = true
		fs.creds.caps.apply(false)
	}
	if t.cred.foreign && n.traits&anyUser == 0 {
		t.revert(fs)
	}
}

// revert takes the process's credentials on again.
func (t *thread) revert(fs *FS) {
	c := &t.cred
	if c.uid != fs.creds.uid {
		t.setUID(fs, fs.creds.uid)
	}
	if c.gid != fs.creds.gid {
		setID(unix.SYS_SETFSGID, fs.creds.gid)
	}
	c.foreign = false
}

// setUID sets the user, and leaves the capabilities as they were: the kernel takes
// those over files away with the user 0 and gives them back with it, unless keepCaps
// could stop it.
func (t *thread) setUID(fs *FS, uid uint32) bool {
	ok := setID(unix.SYS_SETFSUID, uid)
	if ok {
		t.cred.uid = uid
	}
	if !t.cred.capsKept {
		fs.creds.caps.apply(t.cred.keepsSetIDs)
	}
	return ok
}

// setID calls setfsuid or setfsgid, which do not report failure: only a second
// call, with an ID that cannot be, tells what is set. A user namespace need not
// have the ID.
func setID(trap uintptr, id uint32) bool {
	_, _, _ = unix.RawSyscall(trap, uintptr(id), 0, 0)
	now, _, _ := unix.RawSyscall(trap, uintptr(^uint32(0)), 0, 0)
	return uint32(now) == id
}
