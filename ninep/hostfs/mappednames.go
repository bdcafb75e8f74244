// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"cmp"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// Names of files whose metadata is in their inodes are changed as those of others. Those
// of others have it beside them.

// Link implements ninep.File.
func (m *mapped) Link(c *ninep.Call, target ninep.File, name ninep.Name) error {
	k := m.at.fs.files
	if k == nil {
		return m.file.Link(c, target, name)
	}
	from, ok := target.(*mapped)
	if !ok {
		return unix.EXDEV
	}
	if e := m.at.fs.checkName(name); e != 0 {
		return e
	}
	t := m.thread(c)
	if !m.n.isDir() {
		return unix.ENOTDIR
	}
	if from.n.isDir() {
		return unix.EPERM
	}
	return errorOf(k.link(t, from, m.n, name))
}

// RenameAt implements ninep.File.
func (m *mapped) RenameAt(c *ninep.Call, oldName ninep.Name, newDir ninep.File, newName ninep.Name) error {
	if e := cmp.Or(m.at.fs.checkName(oldName), m.at.fs.checkName(newName)); e != 0 {
		return e
	}
	return m.file.RenameAt(c, oldName, newDir, newName)
}

// Rename implements ninep.File.
func (m *mapped) Rename(c *ninep.Call, dir ninep.File, name ninep.Name) error {
	if e := m.at.fs.checkName(name); e != 0 {
		return e
	}
	return m.file.Rename(c, dir, name)
}

// UnlinkAt implements ninep.File.
func (m *mapped) UnlinkAt(c *ninep.Call, name ninep.Name, flags uint32) error {
	if e := m.at.fs.checkName(name); e != 0 {
		return e
	}
	return m.file.UnlinkAt(c, name, flags)
}

// Sync implements ninep.File.
func (m *mapped) Sync(c *ninep.Call, dataOnly bool) error {
	if err := m.file.Sync(c, dataOnly); err != nil || dataOnly || m.at.fs.files == nil {
		return err
	}
	return errorOf(m.at.fs.files.sync(m.thread(c), m))
}
