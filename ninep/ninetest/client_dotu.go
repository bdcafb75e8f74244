// SPDX-License-Identifier: Apache-2.0

package ninetest

import (
	"errors"

	"vhost-user-9p/ninep"
)

// Open opens fid, as 9P2000.u does.
func (c *Client) Open(fid uint32, mode ninep.OpenMode) (ninep.QID, error) {
	var r ninep.Ropen
	err := c.Do(&ninep.Topen{FID: fid, Mode: mode}, &r)
	return r.QID, err
}

// Create makes fid, a directory, what perm and ext say, under name in it.
func (c *Client) Create(fid uint32, name string, perm ninep.Perm, mode ninep.OpenMode, ext string) (ninep.QID, error) {
	var r ninep.Rcreate
	err := c.Do(&ninep.Tcreate{FID: fid, Name: ninep.Name(name), Perm: perm, Mode: mode, Extension: ninep.Name(ext)}, &r)
	return r.QID, err
}

// Stat returns what the server says of fid.
func (c *Client) Stat(fid uint32) (ninep.Stat, error) {
	var r ninep.Rstat
	err := c.Do(&ninep.Tstat{FID: fid}, &r)
	return r.Stat, err
}

// Wstat changes of fid's file what change sets in a Stat that changes nothing.
func (c *Client) Wstat(fid uint32, change func(*ninep.Stat)) error {
	m := ninep.Twstat{FID: fid, Stat: ninep.NullStat()}
	change(&m.Stat)
	return c.Do(&m, &ninep.Rwstat{})
}

// ReadStats is one Tread of a directory, and returns the number of bytes too.
func (c *Client) ReadStats(fid uint32, off uint64, count uint32) ([]ninep.Stat, int, error) {
	data, err := c.Read(fid, off, count)
	if err != nil {
		return nil, 0, err
	}
	var list []ninep.Stat
	for rest := data; len(rest) > 0; {
		var st ninep.Stat
		var ok bool
		if rest, ok = c.Dialect().ParseStat(rest, &st); !ok {
			return list, len(data), errors.New("ninetest: Rread of a directory ends within a stat")
		}
		list = append(list, st)
	}
	return list, len(data), nil
}

// ReadAllStats reads a directory to its end, by requests of count bytes.
func (c *Client) ReadAllStats(fid, count uint32) ([]ninep.Stat, error) {
	var all []ninep.Stat
	var off uint64
	for {
		list, n, err := c.ReadStats(fid, off, count)
		if err != nil || n == 0 {
			return all, err
		}
		all, off = append(all, list...), off+uint64(n)
	}
}
