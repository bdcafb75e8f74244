// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"golang.org/x/sys/unix"
)

// nobodyUID (P9_NONUNAME) and nobodyGID stand for no user and no group: then the
// daemon's own are taken.
const (
	nobodyUID = ^uint32(0)
	nobodyGID = ^uint32(0)
)

// credentials are what the process may do.
type credentials struct {
	uid, gid uint32 // of the file system, as the process was started

	impersonate bool // CAP_SETUID, CAP_SETGID: objects can be made for others
	linkByFD    bool // CAP_DAC_READ_SEARCH: linkat with AT_EMPTY_PATH
}

func processCredentials() credentials {
	c := credentials{uid: uint32(unix.Geteuid()), gid: uint32(unix.Getegid())}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return c
	}
	has := func(capability int) bool { return data[0].Effective&(1<<capability) != 0 }
	c.impersonate = has(unix.CAP_SETUID) && has(unix.CAP_SETGID)
	c.linkByFD = has(unix.CAP_DAC_READ_SEARCH)
	return c
}

// threadCred is the state of a thread's credentials. Changing them costs more than
// many a system call on a file, so a thread stays who it is until that matters.
type threadCred struct {
	uid, gid uint32 // of the file system, if foreign
	foreign  bool   // not those of the process

	capsTried, capsKept bool // see keepCaps
}

// become makes what the thread creates next belong to uid and gid from the first
// instant on; made must follow. The capabilities stay in effect, so no permission
// changes: those are for the guest to check. (CAP_FSETID stays too; where it is to be
// dropped and raised is here.)
//
// Preconditions: the goroutine is locked to its thread, for good.
func (t *thread) become(fs *FS, uid, gid uint32) unix.Errno {
	own, c := &fs.creds, &t.cred
	if !own.impersonate {
		return 0
	}
	if uid == nobodyUID {
		uid = own.uid
	}
	if gid == nobodyGID {
		gid = own.gid
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
		if !setID(unix.SYS_SETFSUID, uid) {
			return t.cannotBecome(fs)
		}
		c.uid = uid
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
	return unix.EPERM
}

// made ends what become began: it may last if no permission depends on it.
func (t *thread) made(fs *FS) {
	if t.cred.foreign && !t.cred.capsKept {
		t.revert(fs)
	}
}

// suit makes the thread the process's user again if that can matter to n's file
// system.
func (t *thread) suit(fs *FS, n *node) {
	if t.cred.foreign && n.traits&anyUser == 0 {
		t.revert(fs)
	}
}

// revert takes the process's credentials on again.
func (t *thread) revert(fs *FS) {
	c := &t.cred
	if c.uid != fs.creds.uid {
		setID(unix.SYS_SETFSUID, fs.creds.uid)
	}
	if c.gid != fs.creds.gid {
		setID(unix.SYS_SETFSGID, fs.creds.gid)
	}
	c.foreign = false
}

// setID calls setfsuid or setfsgid, which do not report failure: only a second
// call, with an ID that cannot be, tells what is set. A user namespace need not
// have the ID.
func setID(trap uintptr, id uint32) bool {
	_, _, _ = unix.RawSyscall(trap, uintptr(id), 0, 0)
	now, _, _ := unix.RawSyscall(trap, uintptr(^uint32(0)), 0, 0)
	return uint32(now) == id
}

// keepCaps stops the kernel from taking capabilities out of effect while the
// thread's fsuid is not 0. Without CAP_SETPCAP it fails; then the kernel checks the
// user's permission where objects are made, which the guest has done as well.
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
