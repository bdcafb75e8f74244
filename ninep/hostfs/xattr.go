// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"bytes"
	"strings"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// maxXattr is the largest value (XATTR_SIZE_MAX).
const maxXattr = 64 << 10

// GetXattr implements ninep.File.
func (f *file) GetXattr(c *ninep.Call, name ninep.Name) ([]byte, error) {
	t, fs := f.thread(c), f.at.fs
	if bytes.HasPrefix(name, []byte(fs.hidden)) {
		return nil, unix.ENODATA
	}
	p := t.cname(name)
	if p == nil {
		return nil, unix.ERANGE
	}
	buf := t.buffer()
	n, e := fs.getXattr(t, f, p, buf)
	if e != 0 {
		return nil, e
	}
	return bytes.Clone(buf[:n]), nil
}

// ListXattr implements ninep.File.
func (f *file) ListXattr(c *ninep.Call) ([]byte, error) {
	t, fs := f.thread(c), f.at.fs
	buf := t.buffer()
	n, e := fs.listXattr(t, f, buf)
	if e != 0 {
		return nil, e
	}
	names := buf[:0] // shown ones, moved to the front
	for rest := buf[:n]; len(rest) > 0; {
		size := bytes.IndexByte(rest, 0) + 1
		if size == 0 {
			break
		}
		if !bytes.HasPrefix(rest, []byte(fs.hidden)) {
			names = append(names, rest[:size]...)
		}
		rest = rest[size:]
	}
	return bytes.Clone(names), nil
}

// SetXattr implements ninep.File.
func (f *file) SetXattr(c *ninep.Call, name string, value []byte, flags int) error {
	t, fs := f.thread(c), f.at.fs
	if strings.HasPrefix(name, fs.hidden) {
		return unix.EACCES
	}
	p := t.cname([]byte(name))
	if p == nil {
		return unix.ERANGE
	}
	if len(value) > maxXattr {
		return unix.E2BIG
	}
	// An ACL brings a mode with it: the set-group-id bit goes off for users of whom
	// Linux does not see that they are in the group. The guest has seen to that.
	t.keepSetIDs(fs, true)
	return errorOf(fs.setXattr(t, f, p, value, flags))
}

// RemoveXattr implements ninep.File.
func (f *file) RemoveXattr(c *ninep.Call, name string) error {
	t, fs := f.thread(c), f.at.fs
	if strings.HasPrefix(name, fs.hidden) {
		return unix.EACCES
	}
	p := t.cname([]byte(name))
	if p == nil {
		return unix.ERANGE
	}
	return errorOf(fs.removeXattr(t, f, p))
}
