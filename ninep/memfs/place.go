// SPDX-License-Identifier: Apache-2.0

package memfs

import (
	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// place makes sure that f.dir and f.name lead to f's node, if anything does.
//
// Preconditions: fs.mu is held for writing; the request is alone on f.
func (f *file) place() error {
	switch {
	case f.node == f.root:
		return unix.EBUSY
	case f.dir != nil && f.dir.byName[f.name] == f.node:
		return nil
	}
	dirs := []*node{f.dir}
	if f.node.isDir() {
		dirs = append(dirs, f.node.parent)
	}
	for _, dir := range dirs {
		if dir == nil {
			continue
		}
		for _, e := range dir.entries {
			if e.node == f.node {
				f.dir, f.name = dir, e.name
				return nil
			}
		}
	}
	return unix.ENOENT
}

func (f *file) Name(_ *ninep.Call, buf []byte) []byte {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.node == f.root {
		return append(buf, '/')
	}
	_ = f.place() // else the last name that it was known by
	return append(buf, f.name...)
}

func (f *file) Parent(*ninep.Call) (ninep.File, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.place(); err != nil {
		return nil, err
	}
	f.fs.files.Add(1)
	return &file{fs: f.fs, root: f.root, node: f.dir}, nil
}
