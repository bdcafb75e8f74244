// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"vhost-user-9p/ninep"
)

// Name implements ninep.File. Where the name has gone it is the last that f was
// known by.
func (f *file) Name(c *ninep.Call, buf []byte) []byte {
	if f.n == f.at.root {
		return append(buf, '/')
	}
	_ = f.locate(f.thread(c))
	return append(buf, f.name.bytes()...)
}

// Parent implements ninep.File.
func (f *file) Parent(c *ninep.Call) (ninep.File, error) {
	t := f.thread(c)
	if e := f.locate(t); e != 0 {
		return nil, e
	}
	return newFile(t, f.at, f.parent.hold(), nil, nil), nil
}
