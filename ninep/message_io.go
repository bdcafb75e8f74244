// SPDX-License-Identifier: Apache-2.0

package ninep

// Tlopen: fid[4] flags[4].
type Tlopen struct {
	FID   uint32
	Flags uint32
}

func (m *Tlopen) fields(c *coder) {
	c.u32(&m.FID)
	c.u32(&m.Flags)
}

// Rlopen: qid[13] iounit[4].
type Rlopen struct {
	QID    QID
	IOUnit uint32
}

func (m *Rlopen) fields(c *coder) {
	c.qid(&m.QID)
	c.u32(&m.IOUnit)
}

// Tlcreate: fid[4] name[s] flags[4] mode[4] gid[4].
type Tlcreate struct {
	FID   uint32
	Name  Name
	Flags uint32
	Mode  uint32
	GID   uint32
}

func (m *Tlcreate) fields(c *coder) {
	c.u32(&m.FID)
	c.str(&m.Name)
	c.u32(&m.Flags)
	c.u32(&m.Mode)
	c.u32(&m.GID)
}

// Rlcreate: qid[13] iounit[4].
type Rlcreate struct {
	QID    QID
	IOUnit uint32
}

func (m *Rlcreate) fields(c *coder) {
	c.qid(&m.QID)
	c.u32(&m.IOUnit)
}

// Tread: fid[4] offset[8] count[4].
type Tread struct {
	FID    uint32
	Offset uint64
	Count  uint32
}

func (m *Tread) fields(c *coder) {
	c.u32(&m.FID)
	c.u64(&m.Offset)
	c.u32(&m.Count)
}

// Rread: count[4] data[count].
type Rread struct {
	Data []byte
}

func (m *Rread) fields(c *coder) {
	c.data(&m.Data)
}

// Twrite: fid[4] offset[8] count[4] data[count].
type Twrite struct {
	FID    uint32
	Offset uint64
	Count  uint32
	Data   []byte
}

func (m *Twrite) fields(c *coder) {
	if c.enc {
		m.Count = uint32(len(m.Data))
	}
	m.head(c)
	if uint64(m.Count) > uint64(len(c.b)-c.off) {
		c.fail()
		return
	}
	if p := c.take(int(m.Count)); c.enc {
		copy(p, m.Data)
	} else {
		m.Data = p
	}
}

// head is what the server decodes: the data stays where it is.
func (m *Twrite) head(c *coder) {
	c.u32(&m.FID)
	c.u64(&m.Offset)
	c.u32(&m.Count)
}

// Rwrite: count[4].
type Rwrite struct {
	Count uint32
}

func (m *Rwrite) fields(c *coder) {
	c.u32(&m.Count)
}

// Treaddir: fid[4] offset[8] count[4].
type Treaddir struct {
	FID    uint32
	Offset uint64
	Count  uint32
}

func (m *Treaddir) fields(c *coder) {
	c.u32(&m.FID)
	c.u64(&m.Offset)
	c.u32(&m.Count)
}

// Rreaddir: count[4] data[count], data being of the form that DirEntry describes.
type Rreaddir struct {
	Data []byte
}

func (m *Rreaddir) fields(c *coder) {
	c.data(&m.Data)
}

// Tfsync: fid[4] datasync[4]. Clients that are not Linux' leave the second out, as the
// first description of the message did: everything is synced then.
type Tfsync struct {
	FID      uint32
	DataSync uint32
}

func (m *Tfsync) fields(c *coder) {
	c.u32(&m.FID)
	if c.enc || !c.exact() {
		c.u32(&m.DataSync)
	}
}

// Rfsync has no fields.
type Rfsync struct{}

func (*Rfsync) fields(*coder) {}

// Tlock: fid[4] type[1] flags[4] start[8] length[8] proc_id[4] client_id[s].
type Tlock struct {
	FID  uint32
	Lock Lock
}

func (m *Tlock) fields(c *coder) {
	c.u32(&m.FID)
	c.u8((*uint8)(&m.Lock.Type))
	c.u32(&m.Lock.Flags)
	m.Lock.extent(c)
}

// extent is what Tlock, Tgetlock and Rgetlock have in common.
func (l *Lock) extent(c *coder) {
	c.u64(&l.Start)
	c.u64(&l.Length)
	c.u32(&l.ProcID)
	c.str(&l.ClientID)
}

// Rlock: status[1].
type Rlock struct {
	Status LockStatus
}

func (m *Rlock) fields(c *coder) {
	c.u8((*uint8)(&m.Status))
}

// Tgetlock: fid[4] type[1] start[8] length[8] proc_id[4] client_id[s].
type Tgetlock struct {
	FID  uint32
	Lock Lock // without Flags
}

func (m *Tgetlock) fields(c *coder) {
	c.u32(&m.FID)
	c.u8((*uint8)(&m.Lock.Type))
	m.Lock.extent(c)
}

// Rgetlock: type[1] start[8] length[8] proc_id[4] client_id[s].
type Rgetlock struct {
	Lock Lock // without Flags
}

func (m *Rgetlock) fields(c *coder) {
	c.u8((*uint8)(&m.Lock.Type))
	m.Lock.extent(c)
}
