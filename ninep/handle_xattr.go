// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// xattr is the value that a fid of Txattrwalk or Txattrcreate stands for.
type xattr struct {
	charge int64 // bytes counted against Config.MaxXattrBytes

	// Of Txattrcreate.
	name  string
	flags int
	size  int

	mu    sync.Mutex // Twrites are shared
	value []byte     // of Txattrwalk, never changed; else what was written so far
	wrote int        // bytes, in all writes
}

// newXattr returns what a fid needs that stands for a value, which is counted as n
// bytes.
func (s *Session) newXattr(n int) (*fidExtra, error) {
	charge := int64(n) + 128 // and itself
	if s.xattr.Add(charge) > s.cfg.MaxXattrBytes {
		s.xattr.Add(-charge)
		return nil, unix.ENOMEM
	}
	return &fidExtra{xattr: xattr{charge: charge}}, nil
}

// read copies from the value at off to what follows the header of an Rread.
func (x *xattr) read(out []unix.Iovec, off uint64, n int) int {
	if off >= uint64(len(x.value)) {
		return 0
	}
	v := x.value[off:]
	return CopyTo(out, readHeader, v[:min(n, len(v))])
}

// write copies the data of a Twrite to the value, as far as the size that
// Txattrcreate announced goes.
func (x *xattr) write(in []unix.Iovec, off uint64, n int) (int, error) {
	if off > uint64(x.size) {
		return 0, unix.ENOSPC
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.value == nil {
		x.value = make([]byte, x.size)
	}
	at := int(off)
	n = CopyFrom(x.value[at:min(at+n, x.size)], in, writeHeader)
	x.wrote += n
	return n, nil
}

// aclPrefix begins the names of the attributes that hold ACLs. The Linux client
// takes one away by setting it to nothing.
const aclPrefix = "system.posix_acl_"

// apply does what the fid was made for, when it is clunked.
//
// A size of 0 means two things: the Linux client's removexattr sends it with
// XATTR_REPLACE, and its setxattr of an empty value with the caller's flags. So it
// removes if the flags are just that, and sets an empty value otherwise: only an
// empty value set with XATTR_REPLACE is taken for the other.
func (x *xattr) apply(c *Call, f File) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.wrote != x.size { // also if a part came twice, for then another may be missing
		return unix.EINVAL
	}
	acl := strings.HasPrefix(x.name, aclPrefix)
	if x.size != 0 || x.flags != unix.XATTR_REPLACE && !acl {
		return f.SetXattr(c, x.name, x.value, x.flags)
	}
	err := f.RemoveXattr(c, x.name)
	if e, _ := Errno(err); acl && err != nil && e == unix.ENODATA {
		return nil // a file without an ACL has the one that its mode says
	}
	return err
}

// xattrwalk makes a fid of the value of an attribute, or, without a name, of the
// list of names. It is read once: what changes after does not show.
func (s *Session) xattrwalk(c *Call) (int, error) {
	var m Txattrwalk
	if m.fields(c.state.decoder()); !c.state.dec.exact() {
		return 0, errMalformed
	}
	if len(m.Name) != 0 {
		if err := checkXattrName(m.Name); err != nil {
			return 0, err
		}
	}
	f, err := s.hold(c, m.FID)
	if err != nil {
		return 0, err
	}
	var value []byte
	if len(m.Name) == 0 {
		value, err = f.file.ListXattr(c)
	} else {
		value, err = f.file.GetXattr(c, m.Name)
	}
	if err != nil {
		return 0, err
	}
	more, err := s.newXattr(len(value))
	if err != nil {
		return 0, err
	}
	more.xattr.value = value
	nf := newFID(c.Thread, m.NewFID, f.uid, fidXattrRead, nil)
	nf.more = more
	if err := s.enter(c, nf); err != nil {
		return 0, err
	}
	r := Rxattrwalk{Size: uint64(len(value))}
	return c.send(r.fields)
}

// xattrcreate turns the fid into one that takes the value of an attribute.
func (s *Session) xattrcreate(c *Call) (int, error) {
	var m Txattrcreate
	if m.fields(c.state.decoder()); !c.state.dec.exact() {
		return 0, errMalformed
	}
	if err := checkXattrName(m.Name); err != nil {
		return 0, err
	}
	switch {
	case m.Size > maxXattr:
		return 0, unix.E2BIG
	case m.Flags&^(unix.XATTR_CREATE|unix.XATTR_REPLACE) != 0:
		return 0, unix.EINVAL
	}
	f, err := s.hold(c, m.FID)
	if err != nil {
		return 0, err
	}
	more, err := s.newXattr(int(m.Size))
	if err != nil {
		return 0, err
	}
	x := &more.xattr
	x.name, x.flags, x.size = string(m.Name), int(m.Flags), int(m.Size)
	f.more, f.kind = more, fidXattrWrite
	return c.sendEmpty()
}
