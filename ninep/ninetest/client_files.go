// SPDX-License-Identifier: Apache-2.0

package ninetest

import (
	"errors"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// Lopen opens fid and returns the QID and the iounit.
func (c *Client) Lopen(fid, flags uint32) (ninep.QID, uint32, error) {
	var r ninep.Rlopen
	err := c.Do(&ninep.Tlopen{FID: fid, Flags: flags}, &r)
	return r.QID, r.IOUnit, err
}

// Lcreate makes fid, a directory, the new file name in it.
func (c *Client) Lcreate(fid uint32, name string, flags, mode, gid uint32) (ninep.QID, error) {
	var r ninep.Rlcreate
	err := c.Do(&ninep.Tlcreate{FID: fid, Name: ninep.Name(name), Flags: flags, Mode: mode, GID: gid}, &r)
	return r.QID, err
}

// Read is one Tread.
func (c *Client) Read(fid uint32, off uint64, count uint32) ([]byte, error) {
	var r ninep.Rread
	err := c.Do(&ninep.Tread{FID: fid, Offset: off, Count: count}, &r)
	return r.Data, err
}

// Write is one Twrite.
func (c *Client) Write(fid uint32, off uint64, data []byte) (int, error) {
	var r ninep.Rwrite
	err := c.Do(&ninep.Twrite{FID: fid, Offset: off, Data: data}, &r)
	return int(r.Count), err
}

// ReadAll reads to the end of the file.
func (c *Client) ReadAll(fid uint32) ([]byte, error) {
	var all []byte
	for {
		p, err := c.Read(fid, uint64(len(all)), c.Msize-24)
		if err != nil || len(p) == 0 {
			return all, err
		}
		all = append(all, p...)
	}
}

// WriteAll writes all of data at off.
func (c *Client) WriteAll(fid uint32, off uint64, data []byte) error {
	for len(data) > 0 {
		n, err := c.Write(fid, off, data[:min(len(data), int(c.Msize)-24)])
		if err != nil {
			return err
		}
		if n == 0 {
			return errors.New("ninetest: Rwrite of 0 bytes")
		}
		data, off = data[n:], off+uint64(n)
	}
	return nil
}

// Readdir is one Treaddir.
func (c *Client) Readdir(fid uint32, off uint64, count uint32) ([]ninep.DirEntry, error) {
	var r ninep.Rreaddir
	if err := c.Do(&ninep.Treaddir{FID: fid, Offset: off, Count: count}, &r); err != nil {
		return nil, err
	}
	var list []ninep.DirEntry
	for data := r.Data; len(data) > 0; {
		var e ninep.DirEntry
		rest, ok := ninep.ParseDirEntry(data, &e)
		if !ok {
			return list, errors.New("ninetest: Rreaddir ends within an entry")
		}
		list, data = append(list, e), rest
	}
	return list, nil
}

// ReadAllDir reads a directory to its end, by requests of count bytes.
func (c *Client) ReadAllDir(fid, count uint32) ([]ninep.DirEntry, error) {
	var all []ninep.DirEntry
	var off uint64
	for {
		list, err := c.Readdir(fid, off, count)
		if err != nil || len(list) == 0 {
			return all, err
		}
		all, off = append(all, list...), list[len(list)-1].Offset
	}
}

// Getattr returns the attributes of fid.
func (c *Client) Getattr(fid uint32, mask ninep.AttrMask) (ninep.Attr, error) {
	var r ninep.Rgetattr
	err := c.Do(&ninep.Tgetattr{FID: fid, Mask: mask}, &r)
	return r.Attr, err
}

// Setattr sets attributes of fid.
func (c *Client) Setattr(fid uint32, set ninep.SetAttr) error {
	return c.Do(&ninep.Tsetattr{FID: fid, Set: set}, &ninep.Rsetattr{})
}

// Statfs describes the file system of fid.
func (c *Client) Statfs(fid uint32) (ninep.StatFS, error) {
	var r ninep.Rstatfs
	err := c.Do(&ninep.Tstatfs{FID: fid}, &r)
	return r.StatFS, err
}

// Fsync makes fid's data durable.
func (c *Client) Fsync(fid uint32, dataOnly bool) error {
	m := ninep.Tfsync{FID: fid}
	if dataOnly {
		m.DataSync = 1
	}
	return c.Do(&m, &ninep.Rfsync{})
}

// Lock takes or drops a lock. It may wait.
func (c *Client) Lock(fid uint32, l ninep.Lock) (ninep.LockStatus, error) {
	var r ninep.Rlock
	err := c.Do(&ninep.Tlock{FID: fid, Lock: l}, &r)
	return r.Status, err
}

// Getlock returns what stands in l's way.
func (c *Client) Getlock(fid uint32, l ninep.Lock) (ninep.Lock, error) {
	var r ninep.Rgetlock
	err := c.Do(&ninep.Tgetlock{FID: fid, Lock: l}, &r)
	return r.Lock, err
}

// Mkdir makes a directory.
func (c *Client) Mkdir(dir uint32, name string, mode, gid uint32) (ninep.QID, error) {
	var r ninep.Rmkdir
	err := c.Do(&ninep.Tmkdir{DFID: dir, Name: ninep.Name(name), Mode: mode, GID: gid}, &r)
	return r.QID, err
}

// Mknod makes a file of any type.
func (c *Client) Mknod(dir uint32, name string, mode, major, minor, gid uint32) (ninep.QID, error) {
	var r ninep.Rmknod
	err := c.Do(&ninep.Tmknod{DFID: dir, Name: ninep.Name(name), Mode: mode, Major: major, Minor: minor, GID: gid}, &r)
	return r.QID, err
}

// Symlink makes a symlink.
func (c *Client) Symlink(dir uint32, name, target string, gid uint32) (ninep.QID, error) {
	var r ninep.Rsymlink
	err := c.Do(&ninep.Tsymlink{DFID: dir, Name: ninep.Name(name), Target: ninep.Name(target), GID: gid}, &r)
	return r.QID, err
}

// Readlink returns the target of a symlink.
func (c *Client) Readlink(fid uint32) (string, error) {
	var r ninep.Rreadlink
	err := c.Do(&ninep.Treadlink{FID: fid}, &r)
	return string(r.Target), err
}

// Link makes name in dir another name of fid's file.
func (c *Client) Link(dir, fid uint32, name string) error {
	return c.Do(&ninep.Tlink{DFID: dir, FID: fid, Name: ninep.Name(name)}, &ninep.Rlink{})
}

// Rename moves fid's file.
func (c *Client) Rename(fid, dir uint32, name string) error {
	return c.Do(&ninep.Trename{FID: fid, DFID: dir, Name: ninep.Name(name)}, &ninep.Rrename{})
}

// Renameat moves an entry.
func (c *Client) Renameat(dir uint32, name string, newDir uint32, newName string) error {
	return c.Do(&ninep.Trenameat{OldDFID: dir, OldName: ninep.Name(name), NewDFID: newDir, NewName: ninep.Name(newName)}, &ninep.Rrenameat{})
}

// Unlinkat removes an entry; flags is 0 or AT_REMOVEDIR.
func (c *Client) Unlinkat(dir uint32, name string, flags uint32) error {
	return c.Do(&ninep.Tunlinkat{DFID: dir, Name: ninep.Name(name), Flags: flags}, &ninep.Runlinkat{})
}

// GetXattr returns the value of an attribute, or, for an empty name, the list of
// names.
func (c *Client) GetXattr(fid uint32, name string) ([]byte, error) {
	newfid := c.NewFID()
	var r ninep.Rxattrwalk
	if err := c.Do(&ninep.Txattrwalk{FID: fid, NewFID: newfid, Name: ninep.Name(name)}, &r); err != nil {
		return nil, err
	}
	v, err := c.ReadAll(newfid)
	if err == nil && uint64(len(v)) != r.Size {
		err = errors.New("ninetest: Rxattrwalk and Rread disagree about the size")
	}
	return v, errors.Join(err, c.Clunk(newfid))
}

// SetXattr sets an attribute as the Linux client does: on a clone of fid.
func (c *Client) SetXattr(fid uint32, name string, value []byte, flags uint32) error {
	clone, err := c.WalkTo(fid)
	if err != nil {
		return err
	}
	m := ninep.Txattrcreate{FID: clone, Name: ninep.Name(name), Size: uint64(len(value)), Flags: flags}
	if err := c.Do(&m, &ninep.Rxattrcreate{}); err != nil {
		return errors.Join(err, c.Clunk(clone))
	}
	if err := c.WriteAll(clone, 0, value); err != nil {
		return errors.Join(err, c.Clunk(clone))
	}
	return c.Clunk(clone)
}

// RemoveXattr removes an attribute, as the Linux client does.
func (c *Client) RemoveXattr(fid uint32, name string) error {
	return c.SetXattr(fid, name, nil, unix.XATTR_REPLACE)
}
