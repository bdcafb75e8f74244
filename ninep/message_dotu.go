// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"encoding/binary"
	"math"
)

// What stands for "do not change this" in the Stat of a Twstat.
const (
	keep16 = math.MaxUint16
	keep32 = math.MaxUint32
	keep64 = math.MaxUint64
)

// Rerror: ename[s] errno[4]; errno is not in 9P2000.
type Rerror struct {
	EName Name
	Errno uint32
}

func (m *Rerror) fields(c *coder) {
	c.str(&m.EName)
	if !c.base {
		c.u32(&m.Errno)
	}
}

// Topen: fid[4] mode[1].
type Topen struct {
	FID  uint32
	Mode OpenMode
}

func (m *Topen) fields(c *coder) {
	c.u32(&m.FID)
	c.u8((*uint8)(&m.Mode))
}

// Ropen: qid[13] iounit[4].
type Ropen struct {
	QID    QID
	IOUnit uint32
}

func (m *Ropen) fields(c *coder) {
	c.qid(&m.QID)
	c.u32(&m.IOUnit)
}

// Tcreate: fid[4] name[s] perm[4] mode[1] extension[s]; extension is not in 9P2000.
type Tcreate struct {
	FID       uint32
	Name      Name
	Perm      Perm
	Mode      OpenMode
	Extension Name
}

func (m *Tcreate) fields(c *coder) {
	c.u32(&m.FID)
	c.str(&m.Name)
	c.u32((*uint32)(&m.Perm))
	c.u8((*uint8)(&m.Mode))
	if !c.base {
		c.str(&m.Extension)
	}
}

// Rcreate: qid[13] iounit[4].
type Rcreate struct {
	QID    QID
	IOUnit uint32
}

func (m *Rcreate) fields(c *coder) {
	c.qid(&m.QID)
	c.u32(&m.IOUnit)
}

// Tstat: fid[4].
type Tstat struct {
	FID uint32
}

func (m *Tstat) fields(c *coder) {
	c.u32(&m.FID)
}

// Rstat: n[2] stat[n].
type Rstat struct {
	Stat Stat
}

func (m *Rstat) fields(c *coder) { m.Stat.counted(c) }

// Twstat: fid[4] n[2] stat[n].
type Twstat struct {
	FID  uint32
	Stat Stat
}

func (m *Twstat) fields(c *coder) {
	c.u32(&m.FID)
	m.Stat.counted(c)
}

// Rwstat has no fields.
type Rwstat struct{}

func (*Rwstat) fields(*coder) {}

// Stat is a file's entry in a directory: size[2] type[2] dev[4] qid[13] mode[4]
// atime[4] mtime[4] length[8] name[s] uid[s] gid[s] muid[s] extension[s] n_uid[4]
// n_gid[4] n_muid[4], the last four of which are not in 9P2000.
type Stat struct {
	Type              uint16
	Dev               uint32
	QID               QID
	Mode              Perm
	ATime, MTime      uint32 // seconds since the Unix epoch
	Length            uint64
	Name              Name
	UID, GID, MUID    Name
	Extension         Name
	NUID, NGID, NMUID uint32
}

// NullStat is the Stat of a Twstat that changes nothing.
func NullStat() Stat {
	return Stat{
		Type: keep16, Dev: keep32,
		QID:  QID{Type: math.MaxUint8, Version: keep32, Path: keep64},
		Mode: keep32, ATime: keep32, MTime: keep32, Length: keep64,
		NUID: keep32, NGID: keep32, NMUID: keep32,
	}
}

// counted is the stat with its size before it, which makes two sizes. Neither is
// looked at when reading, where the end of the message is the end of the stat:
// some clients (FreeBSD's, old Linux's) miscount them.
func (m *Stat) counted(c *coder) {
	start := c.off
	var n uint16
	c.u16(&n)
	m.fields(c)
	c.patchSize(start)
}

func (m *Stat) fields(c *coder) {
	start := c.off
	var size uint16
	c.u16(&size)
	c.u16(&m.Type)
	c.u32(&m.Dev)
	c.qid(&m.QID)
	c.u32((*uint32)(&m.Mode))
	c.u32(&m.ATime)
	c.u32(&m.MTime)
	c.u64(&m.Length)
	c.str(&m.Name)
	c.str(&m.UID)
	c.str(&m.GID)
	c.str(&m.MUID)
	if !c.base {
		c.str(&m.Extension)
		c.u32(&m.NUID)
		c.u32(&m.NGID)
		c.u32(&m.NMUID)
	} else if !c.enc {
		m.NUID, m.NGID, m.NMUID = keep32, keep32, keep32
	}
	c.patchSize(start)
}

// patchSize writes the number of bytes from start on, without its own two, to the
// size[2] at start.
func (c *coder) patchSize(start int) {
	if !c.enc || c.bad {
		return
	}
	n := c.off - start - 2
	if n > math.MaxUint16 {
		c.fail()
		return
	}
	binary.LittleEndian.PutUint16(c.b[start:], uint16(n))
}

// ParseStat decodes the first Stat of the data that Tread gives of a directory,
// and returns what follows it. It reports false if data does not begin with a
// whole one.
func (d Dialect) ParseStat(data []byte, m *Stat) (rest []byte, ok bool) {
	if len(data) < 2 {
		return nil, false
	}
	n := 2 + int(binary.LittleEndian.Uint16(data))
	if n > len(data) {
		return nil, false
	}
	c := d.coder(data[:n])
	m.fields(&c)
	return data[n:], c.exact()
}
