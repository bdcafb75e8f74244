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

// threadCred is the state of a thread's credentials. Between two requests a thread
// always has those of the process.
type threadCred struct {
	keepsCaps      bool   // SECBIT_NO_SETUID_FIXUP was dealt with
	uid, gid       uint32 // taken on now, if so
	uidSet, gidSet bool
}

// become makes what the thread creates next belong to uid and gid from the first
// instant on. revert must follow. The capabilities stay in effect, so it changes
// no permission: those are for the guest to check. (CAP_FSETID stays too; where it
// is to be dropped and raised is here.)
//
// Preconditions: the goroutine is locked to its thread.
func (t *thread) become(fs *FS, uid, gid uint32) unix.Errno {
	own := &fs.creds
	if !own.impersonate {
		return 0
	}
	c := &t.cred
	if gid != own.gid && gid != nobodyGID {
		c.keepCaps()
		if !setID(unix.SYS_SETFSGID, gid) {
			setID(unix.SYS_SETFSGID, own.gid)
			return unix.EPERM
		}
		c.gid, c.gidSet = gid, true
	}
	if uid != own.uid && uid != nobodyUID {
		c.keepCaps()
		if !setID(unix.SYS_SETFSUID, uid) {
			setID(unix.SYS_SETFSUID, own.uid)
			t.revert(fs)
			return unix.EPERM
		}
		c.uid, c.uidSet = uid, true
	}
	return 0
}

// revert takes the process's credentials on again.
func (t *thread) revert(fs *FS) {
	c := &t.cred
	if c.uidSet {
		setID(unix.SYS_SETFSUID, fs.creds.uid)
		c.uidSet = false
	}
	if c.gidSet {
		setID(unix.SYS_SETFSGID, fs.creds.gid)
		c.gidSet = false
	}
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
	if c.keepsCaps {
		return
	}
	c.keepsCaps = true
	bits, _, e := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_GET_SECUREBITS, 0, 0)
	if e == 0 {
		_, _, _ = unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_SECUREBITS, bits|secbitNoSetuidFixup, 0)
	}
}

const secbitNoSetuidFixup = 1 << 2 // SECBIT_NO_SETUID_FIXUP
