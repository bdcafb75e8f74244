// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"bytes"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// maxXattr is the largest value (XATTR_SIZE_MAX).
const maxXattr = 64 << 10

// GetXattr implements ninep.File. There is room for the largest value, so that none
// grows between asking for its size and reading it.
func (f *file) GetXattr(c *ninep.Call, name ninep.Name) ([]byte, error) {
	t, fs := f.thread(c), f.at.fs
	host, e := fs.xattrs.toHostRead(t, name)
	if e != 0 {
		return nil, e
	}
	buf := t.buffer()
	n, e := fs.getXattr(t, f, &host[0], buf)
	if e != 0 {
		return nil, e
	}
	return fs.valueToGuest(host, bytes.Clone(buf[:n])), nil
}

// ListXattr implements ninep.File. There is room for the largest list. Like file systems
// of Linux, it has no trusted.* for users who may not read them: the guest leaves that to
// us, and whether a user other than root may, it does not say.
func (f *file) ListXattr(c *ninep.Call) ([]byte, error) {
	t, fs := f.thread(c), f.at.fs
	buf := t.buffer()
	n, e := fs.listXattr(t, f, buf)
	if e != 0 {
		return nil, e
	}
	all := c.UID == rootUID || c.UID == noID
	names := buf[:0] // what the guest sees, moved to the front
	for rest := buf[:n]; len(rest) > 0; {
		name, more, _ := bytes.Cut(rest, []byte{0})
		name, ok := fs.xattrs.toGuest(name)
		if ok && (all || !hasPrefix(name, xattrTrusted)) {
			names = append(append(names, name...), 0)
		}
		rest = more
	}
	return bytes.Clone(names), nil
}

// SetXattr implements ninep.File.
func (f *file) SetXattr(c *ninep.Call, name string, value []byte, flags int) error {
	t, fs := f.thread(c), f.at.fs
	host, e := fs.xattrs.toHost(t, []byte(name))
	if e != 0 {
		return e
	}
	if len(value) > maxXattr {
		return unix.E2BIG
	}
	if value, e = fs.valueToHost(host, value); e != 0 {
		return e
	}
	if string(host) == xattrACLAccess {
		// An ACL brings a mode with it: the set-group-id bit goes off for users of whom
		// Linux does not see that they are in the group. The guest has seen to that.
		t.keepSetIDs(fs, true)
	}
	return errorOf(fs.setXattr(t, f, &host[0], value, flags))
}

// RemoveXattr implements ninep.File.
func (f *file) RemoveXattr(c *ninep.Call, name string) error {
	t, fs := f.thread(c), f.at.fs
	host, e := fs.xattrs.toHost(t, []byte(name))
	if e != 0 {
		return e
	}
	e = fs.removeXattr(t, f, &host[0])
	if e == unix.ENODATA && fs.xattrs.aclsApart && isACL([]byte(name)) {
		return nil // as file systems say it that know access control lists
	}
	return errorOf(e)
}

// shedCaps takes the capabilities off a regular file that is about to be changed, where
// the kernel does not know them as such.
func (fs *FS) shedCaps(t *thread, n *node) unix.Errno {
	if fs.xattrs.capability == "" || n.typ != unix.S_IFREG {
		return 0
	}
	f, name := &file{n: n}, t.cname([]byte(fs.xattrs.capability))
	switch e := fs.removeXattr(t, f, name); e {
	case 0, unix.ENODATA, unix.EOPNOTSUPP:
		return 0
	default:
		// It may be that nothing was there, but the right to take it off.
		if _, found := fs.getXattr(t, f, name, t.buffer()); found == unix.ENODATA {
			return 0
		}
		return e
	}
}
