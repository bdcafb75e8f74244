// SPDX-License-Identifier: Apache-2.0

package ninep

// Tversion: msize[4] version[s].
type Tversion struct {
	Msize   uint32
	Version Name
}

func (m *Tversion) fields(c *coder) {
	c.u32(&m.Msize)
	c.str(&m.Version)
}

// Rversion: msize[4] version[s].
type Rversion struct {
	Msize   uint32
	Version Name
}

func (m *Rversion) fields(c *coder) {
	c.u32(&m.Msize)
	c.str(&m.Version)
}

// Tauth: afid[4] uname[s] aname[s] n_uname[4]; n_uname is not in 9P2000.
type Tauth struct {
	AFID   uint32
	UName  Name
	AName  Name
	NUName uint32
}

func (m *Tauth) fields(c *coder) {
	c.u32(&m.AFID)
	c.str(&m.UName)
	c.str(&m.AName)
	if !c.base {
		c.u32(&m.NUName)
	}
}

// Tattach: fid[4] afid[4] uname[s] aname[s] n_uname[4]; n_uname is not in 9P2000.
type Tattach struct {
	FID    uint32
	AFID   uint32
	UName  Name
	AName  Name
	NUName uint32
}

func (m *Tattach) fields(c *coder) {
	c.u32(&m.FID)
	c.u32(&m.AFID)
	c.str(&m.UName)
	c.str(&m.AName)
	if !c.base {
		c.u32(&m.NUName)
	}
}

// Rattach: qid[13].
type Rattach struct {
	QID QID
}

func (m *Rattach) fields(c *coder) {
	c.qid(&m.QID)
}

// Rlerror: ecode[4].
type Rlerror struct {
	Ecode uint32
}

func (m *Rlerror) fields(c *coder) {
	c.u32(&m.Ecode)
}

// Tflush: oldtag[2].
type Tflush struct {
	OldTag uint16
}

func (m *Tflush) fields(c *coder) {
	c.u16(&m.OldTag)
}

// Rflush has no fields.
type Rflush struct{}

func (*Rflush) fields(*coder) {}

// Twalk: fid[4] newfid[4] nwname[2] nwname*(wname[s]). To decode one, give Names capacity.
type Twalk struct {
	FID, NewFID uint32
	Names       []Name
}

func (m *Twalk) fields(c *coder) {
	n := uint16(len(m.Names))
	c.u32(&m.FID)
	c.u32(&m.NewFID)
	c.u16(&n)
	if !c.enc {
		if c.bad || int(n) > cap(m.Names) {
			c.fail()
			return
		}
		m.Names = m.Names[:n]
	}
	for i := range m.Names {
		c.str(&m.Names[i])
	}
}

// Rwalk: nwqid[2] nwqid*(wqid[13]). To decode one, give QIDs capacity.
type Rwalk struct {
	QIDs []QID
}

func (m *Rwalk) fields(c *coder) {
	n := uint16(len(m.QIDs))
	c.u16(&n)
	if !c.enc {
		if c.bad || int(n) > cap(m.QIDs) {
			c.fail()
			return
		}
		m.QIDs = m.QIDs[:n]
	}
	for i := range m.QIDs {
		c.qid(&m.QIDs[i])
	}
}

// Tclunk: fid[4].
type Tclunk struct {
	FID uint32
}

func (m *Tclunk) fields(c *coder) {
	c.u32(&m.FID)
}

// Rclunk has no fields.
type Rclunk struct{}

func (*Rclunk) fields(*coder) {}

// Tremove: fid[4].
type Tremove struct {
	FID uint32
}

func (m *Tremove) fields(c *coder) {
	c.u32(&m.FID)
}

// Rremove has no fields.
type Rremove struct{}

func (*Rremove) fields(*coder) {}
