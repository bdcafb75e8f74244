// SPDX-License-Identifier: Apache-2.0

package ninep

import "encoding/binary"

// Tgetattr: fid[4] request_mask[8].
type Tgetattr struct {
	FID  uint32
	Mask AttrMask
}

func (m *Tgetattr) fields(c *coder) {
	c.u32(&m.FID)
	c.u64((*uint64)(&m.Mask))
}

// Rgetattr: valid[8] qid[13] mode[4] uid[4] gid[4] nlink[8] rdev[8] size[8] blksize[8]
// blocks[8], then atime, mtime, ctime and btime as sec[8] nsec[8], gen[8]
// data_version[8].
type Rgetattr struct {
	Attr Attr
}

func (m *Rgetattr) fields(c *coder) { m.Attr.fields(c) }

func (a *Attr) fields(c *coder) {
	c.u64((*uint64)(&a.Valid))
	c.qid(&a.QID)
	c.u32(&a.Mode)
	c.u32(&a.UID)
	c.u32(&a.GID)
	c.u64(&a.NLink)
	c.u64(&a.RDev)
	c.u64(&a.Size)
	c.u64(&a.BlkSize)
	c.u64(&a.Blocks)
	c.time(&a.ATime)
	c.time(&a.MTime)
	c.time(&a.CTime)
	c.time(&a.BTime)
	c.u64(&a.Gen)
	c.u64(&a.DataVersion)
}

// attrSize is the size of an Attr in a message.
const attrSize = 153

// put encodes a to the attrSize bytes b as fields does, in a quarter of the time: no message
// is as frequent, and few are as long.
func (a *Attr) put(b []byte) {
	_ = b[attrSize-1]
	le := binary.LittleEndian
	le.PutUint64(b[0:], uint64(a.Valid))
	a.QID.put(b[8:])
	le.PutUint32(b[21:], a.Mode)
	le.PutUint32(b[25:], a.UID)
	le.PutUint32(b[29:], a.GID)
	le.PutUint64(b[33:], a.NLink)
	le.PutUint64(b[41:], a.RDev)
	le.PutUint64(b[49:], a.Size)
	le.PutUint64(b[57:], a.BlkSize)
	le.PutUint64(b[65:], a.Blocks)
	a.ATime.put(b[73:])
	a.MTime.put(b[89:])
	a.CTime.put(b[105:])
	a.BTime.put(b[121:])
	le.PutUint64(b[137:], a.Gen)
	le.PutUint64(b[145:], a.DataVersion)
}

// qidSize is the size of a QID in a message.
const qidSize = 13

func (q *QID) put(b []byte) {
	_ = b[qidSize-1]
	b[0] = uint8(q.Type)
	binary.LittleEndian.PutUint32(b[1:], q.Version)
	binary.LittleEndian.PutUint64(b[5:], q.Path)
}

func (t *Time) put(b []byte) {
	_ = b[15]
	binary.LittleEndian.PutUint64(b[0:], uint64(t.Sec))
	binary.LittleEndian.PutUint64(b[8:], uint64(t.Nsec))
}

// Tsetattr: fid[4] valid[4] mode[4] uid[4] gid[4] size[8], then atime and mtime as
// sec[8] nsec[8].
type Tsetattr struct {
	FID uint32
	Set SetAttr
}

func (m *Tsetattr) fields(c *coder) {
	c.u32(&m.FID)
	c.u32((*uint32)(&m.Set.Valid))
	c.u32(&m.Set.Mode)
	c.u32(&m.Set.UID)
	c.u32(&m.Set.GID)
	c.u64(&m.Set.Size)
	c.time(&m.Set.ATime)
	c.time(&m.Set.MTime)
}

// Rsetattr has no fields.
type Rsetattr struct{}

func (*Rsetattr) fields(*coder) {}

// Tstatfs: fid[4].
type Tstatfs struct {
	FID uint32
}

func (m *Tstatfs) fields(c *coder) {
	c.u32(&m.FID)
}

// Rstatfs: type[4] bsize[4] blocks[8] bfree[8] bavail[8] files[8] ffree[8] fsid[8]
// namelen[4].
type Rstatfs struct {
	StatFS StatFS
}

func (m *Rstatfs) fields(c *coder) { m.StatFS.fields(c) }

func (s *StatFS) fields(c *coder) {
	c.u32(&s.Type)
	c.u32(&s.BSize)
	c.u64(&s.Blocks)
	c.u64(&s.BFree)
	c.u64(&s.BAvail)
	c.u64(&s.Files)
	c.u64(&s.FFree)
	c.u64(&s.FSID)
	c.u32(&s.NameLen)
}

// Txattrwalk: fid[4] newfid[4] name[s].
type Txattrwalk struct {
	FID    uint32
	NewFID uint32
	Name   Name
}

func (m *Txattrwalk) fields(c *coder) {
	c.u32(&m.FID)
	c.u32(&m.NewFID)
	c.str(&m.Name)
}

// Rxattrwalk: size[8].
type Rxattrwalk struct {
	Size uint64
}

func (m *Rxattrwalk) fields(c *coder) {
	c.u64(&m.Size)
}

// Txattrcreate: fid[4] name[s] attr_size[8] flags[4].
type Txattrcreate struct {
	FID   uint32
	Name  Name
	Size  uint64
	Flags uint32
}

func (m *Txattrcreate) fields(c *coder) {
	c.u32(&m.FID)
	c.str(&m.Name)
	c.u64(&m.Size)
	c.u32(&m.Flags)
}

// Rxattrcreate has no fields.
type Rxattrcreate struct{}

func (*Rxattrcreate) fields(*coder) {}
