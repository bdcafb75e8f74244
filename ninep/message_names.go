// SPDX-License-Identifier: Apache-2.0

package ninep

// Tsymlink: fid[4] name[s] symtgt[s] gid[4].
type Tsymlink struct {
	DFID   uint32
	Name   Name
	Target Name
	GID    uint32
}

func (m *Tsymlink) fields(c *coder) {
	c.u32(&m.DFID)
	c.str(&m.Name)
	c.str(&m.Target)
	c.u32(&m.GID)
}

// Rsymlink: qid[13].
type Rsymlink struct {
	QID QID
}

func (m *Rsymlink) fields(c *coder) {
	c.qid(&m.QID)
}

// Tmknod: dfid[4] name[s] mode[4] major[4] minor[4] gid[4].
type Tmknod struct {
	DFID  uint32
	Name  Name
	Mode  uint32
	Major uint32
	Minor uint32
	GID   uint32
}

func (m *Tmknod) fields(c *coder) {
	c.u32(&m.DFID)
	c.str(&m.Name)
	c.u32(&m.Mode)
	c.u32(&m.Major)
	c.u32(&m.Minor)
	c.u32(&m.GID)
}

// Rmknod: qid[13].
type Rmknod struct {
	QID QID
}

func (m *Rmknod) fields(c *coder) {
	c.qid(&m.QID)
}

// Tmkdir: dfid[4] name[s] mode[4] gid[4].
type Tmkdir struct {
	DFID uint32
	Name Name
	Mode uint32
	GID  uint32
}

func (m *Tmkdir) fields(c *coder) {
	c.u32(&m.DFID)
	c.str(&m.Name)
	c.u32(&m.Mode)
	c.u32(&m.GID)
}

// Rmkdir: qid[13].
type Rmkdir struct {
	QID QID
}

func (m *Rmkdir) fields(c *coder) {
	c.qid(&m.QID)
}

// Tlink: dfid[4] fid[4] name[s].
type Tlink struct {
	DFID uint32
	FID  uint32
	Name Name
}

func (m *Tlink) fields(c *coder) {
	c.u32(&m.DFID)
	c.u32(&m.FID)
	c.str(&m.Name)
}

// Rlink has no fields.
type Rlink struct{}

func (*Rlink) fields(*coder) {}

// Treadlink: fid[4].
type Treadlink struct {
	FID uint32
}

func (m *Treadlink) fields(c *coder) {
	c.u32(&m.FID)
}

// Rreadlink: target[s].
type Rreadlink struct {
	Target Name
}

func (m *Rreadlink) fields(c *coder) {
	c.str(&m.Target)
}

// Trename: fid[4] dfid[4] name[s].
type Trename struct {
	FID  uint32
	DFID uint32
	Name Name
}

func (m *Trename) fields(c *coder) {
	c.u32(&m.FID)
	c.u32(&m.DFID)
	c.str(&m.Name)
}

// Rrename has no fields.
type Rrename struct{}

func (*Rrename) fields(*coder) {}

// Trenameat: olddirfid[4] oldname[s] newdirfid[4] newname[s].
type Trenameat struct {
	OldDFID uint32
	OldName Name
	NewDFID uint32
	NewName Name
}

func (m *Trenameat) fields(c *coder) {
	c.u32(&m.OldDFID)
	c.str(&m.OldName)
	c.u32(&m.NewDFID)
	c.str(&m.NewName)
}

// Rrenameat has no fields.
type Rrenameat struct{}

func (*Rrenameat) fields(*coder) {}

// Tunlinkat: dirfd[4] name[s] flags[4].
type Tunlinkat struct {
	DFID  uint32
	Name  Name
	Flags uint32
}

func (m *Tunlinkat) fields(c *coder) {
	c.u32(&m.DFID)
	c.str(&m.Name)
	c.u32(&m.Flags)
}

// Runlinkat has no fields.
type Runlinkat struct{}

func (*Runlinkat) fields(*coder) {}
