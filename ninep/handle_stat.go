// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"math"
	"strconv"

	"golang.org/x/sys/unix"
)

// Sizes of what a Stat is made of besides numbers: two IDs in decimal, and the
// longest extension, which is the target of a symlink; and a name.
const (
	statText = 2*10 + maxPath + 1
	statRoom = statText + maxName
)

// statOf fills in what a client sees of file under the name. The texts lie in tmp,
// which has statText bytes at least.
func (s *Session) statOf(c *Call, file File, name Name, tmp []byte, out *Stat) error {
	st := &c.state
	a := &st.attr
	*a = Attr{}
	if err := file.GetAttr(c, AttrBasic, a); err != nil {
		return err
	}
	d := st.terms.dialect
	*out = Stat{
		QID:    a.QID,
		Mode:   permOf(a.Mode, d),
		ATime:  seconds(a.ATime),
		MTime:  seconds(a.MTime),
		Length: a.Size,
		Name:   name,
		NUID:   a.UID,
		NGID:   a.GID,
		NMUID:  NoUID, // who wrote last is not known
	}
	uid := strconv.AppendUint(tmp[:0], uint64(a.UID), 10)
	gid := strconv.AppendUint(uid, uint64(a.GID), 10)
	out.UID, out.GID = Name(uid), Name(gid[len(uid):])
	typ := a.Mode & unix.S_IFMT
	if d == Dialect2000 {
		if typ == unix.S_IFDIR {
			out.Length = 0 // by convention
		}
		return nil
	}
	ext := tmp[len(gid):len(gid):cap(tmp)]
	switch typ {
	case unix.S_IFLNK:
		n, err := file.ReadLink(c, tmp[len(gid):])
		if err != nil {
			return err
		}
		ext = tmp[len(gid) : len(gid)+n]
	case unix.S_IFCHR, unix.S_IFBLK:
		ext = appendDevice(ext, a.Mode, a.RDev)
	case unix.S_IFREG, unix.S_IFDIR:
		ext = appendLinkCount(ext, a.NLink)
	}
	out.Extension = ext
	return nil
}

// seconds is the time as 32 bits can say it.
func seconds(t Time) uint32 { return uint32(min(max(t.Sec, 0), math.MaxUint32)) }

func (s *Session) stat(c *Call) (int, error) {
	st := &c.state
	var m Tstat
	if m.fields(st.decoder()); !st.dec.exact() {
		return 0, errMalformed
	}
	f, err := s.hold(c, m.FID)
	if err != nil {
		return 0, err
	}
	tmp := st.scratch[st.size:]
	name := f.file.Name(c, tmp[:0])
	if err := s.statOf(c, f.file, name, tmp[len(name):], &st.stat); err != nil {
		return 0, err
	}
	r := Rstat{Stat: st.stat}
	return c.send(r.fields)
}

// wstat changes what the stat of the message names. What can be found out before is
// found out before anything is changed.
func (s *Session) wstat(c *Call) (int, error) {
	st := &c.state
	var m Twstat
	if m.fields(st.decoder()); !st.dec.exact() {
		return 0, errMalformed
	}
	f, err := s.hold(c, m.FID)
	if err != nil {
		return 0, err
	}
	if m.Stat.changesNothing() {
		// That means: make durable what was done so far.
		if err := f.file.Sync(c, false); err != nil {
			return 0, err
		}
		return c.sendEmpty()
	}
	if s.cfg.ReadOnly {
		return 0, unix.EROFS
	}
	tmp := st.buffer(statRoom)
	name := f.file.Name(c, tmp[:0])
	if err := s.statOf(c, f.file, name, tmp[len(name):], &st.stat); err != nil {
		return 0, err
	}
	rename, err := st.planWstat(&m.Stat)
	switch {
	case err != nil:
	case rename:
		err = s.renameTo(c, f, m.Stat.Name)
	case st.set.Valid != 0:
		err = f.file.SetAttr(c, &st.set)
	}
	if err != nil {
		return 0, err
	}
	return c.sendEmpty()
}

// changesNothing reports whether all of m stands for "do not change this".
func (m *Stat) changesNothing() bool {
	return m.Type == keep16 && m.Dev == keep32 && m.QID == QID{math.MaxUint8, keep32, keep64} &&
		m.Mode == keep32 && m.ATime == keep32 && m.MTime == keep32 && m.Length == keep64 &&
		len(m.Name)+len(m.UID)+len(m.GID)+len(m.MUID)+len(m.Extension) == 0 &&
		m.NUID == keep32 && m.NGID == keep32 && m.NMUID == keep32
}

// planWstat works out from st.stat, which is what the file has, and m, what it is to
// have, the changes st.set, and whether there is a new name. EPERM for what nobody
// can change; what has its value already is no change, so that clients may send
// back what they have read. The last modifier is not kept; Linux sends one with
// each new name.
func (st *callState) planWstat(m *Stat) (rename bool, err error) {
	now := &st.stat
	set := &st.set
	*set = SetAttr{}
	switch {
	case m.Type != keep16 && m.Type != now.Type,
		m.Dev != keep32 && m.Dev != now.Dev,
		m.QID.Type != math.MaxUint8 && m.QID.Type != now.QID.Type,
		m.QID.Path != keep64 && m.QID.Path != now.QID.Path,
		len(m.Extension) != 0 && string(m.Extension) != string(now.Extension):
		return false, unix.EPERM
	}
	if len(m.Name) != 0 && string(m.Name) != string(now.Name) {
		if err := checkName(m.Name, nameRename); err != nil {
			return false, err
		}
		rename = true
	}
	if m.Mode != keep32 {
		if err := st.planMode(m.Mode); err != nil {
			return false, err
		}
	}
	if err := st.planOwner(m); err != nil {
		return false, err
	}
	if m.Length != keep64 && (m.Length != now.Length || now.Mode&DMDir == 0) {
		switch {
		case now.Mode&DMDir != 0 && m.Length != 0:
			return false, unix.EISDIR
		case m.Length > math.MaxInt64:
			return false, unix.EINVAL
		case now.Mode&DMDir == 0:
			set.Valid |= SetSize
			set.Size = m.Length
		}
	}
	if m.ATime != keep32 {
		set.Valid |= SetATime | SetATimeSet
		set.ATime.Sec = int64(m.ATime)
	}
	if m.MTime != keep32 {
		set.Valid |= SetMTime | SetMTimeSet
		set.MTime.Sec = int64(m.MTime)
	}
	return rename, nil
}

// planMode adds a new mode to st.set. What a file is cannot be changed; clients
// may leave that out, but for directories. Bits that the dialect does not have stay
// as they are.
func (st *callState) planMode(p Perm) error {
	d, now := st.terms.dialect, st.stat.Mode
	if err := p.check(d); err != nil {
		return err
	}
	kind := p & typeBits
	if kind&DMDir != now&DMDir || kind != 0 && kind != now&typeBits {
		return unix.EPERM
	}
	st.set.Valid |= SetMode
	st.set.Mode = p.mode()
	if d == Dialect2000 {
		st.set.Mode |= st.attr.Mode & (permMask &^ 0o777)
	}
	return nil
}

// planOwner adds new owners to st.set. A number goes before a name. In 9P2000 a file
// keeps its user for good.
func (st *callState) planOwner(m *Stat) error {
	now, set := &st.stat, &st.set
	for _, o := range [...]struct {
		id    uint32
		name  Name
		has   uint32
		valid SetMask
		to    *uint32
	}{
		{m.NUID, m.UID, now.NUID, SetUID, &set.UID},
		{m.NGID, m.GID, now.NGID, SetGID, &set.GID},
	} {
		id := o.id
		if id == keep32 {
			if len(o.name) == 0 {
				continue
			}
			var ok bool
			if id, ok = parseDecimal(o.name); !ok || id == NoUID {
				return unix.EINVAL
			}
			if id == o.has {
				continue
			}
			if o.valid == SetUID && st.terms.dialect == Dialect2000 {
				return unix.EPERM
			}
		}
		set.Valid |= o.valid
		*o.to = id
	}
	return nil
}

// renameTo gives f's file another name in its directory, and then makes the changes
// st.set; if those fail it takes the old name back, for a Twstat does all or
// nothing. So no other file may have the name then, nor in 9P2000 at all; else that
// is replaced, as rename(2) does, which Linux builds on.
func (s *Session) renameTo(c *Call, f *fid, name Name) error {
	st := &c.state
	dir, err := f.file.Parent(c)
	if err != nil {
		return err
	}
	defer s.closeFile(c.Thread, dir)
	if st.terms.dialect == Dialect2000 || st.set.Valid != 0 {
		st.names[0] = name
		other, _, err := dir.Walk(c, st.names[:1], st.qids[:])
		if err == nil {
			s.closeFile(c.Thread, other)
			return unix.EEXIST
		}
		if e, _ := Errno(err); e != unix.ENOENT {
			return err
		}
	}
	if err := f.file.Rename(c, dir, name); err != nil || st.set.Valid == 0 {
		return err
	}
	if err := f.file.SetAttr(c, &st.set); err != nil {
		_ = f.file.Rename(c, dir, st.stat.Name) // if that fails, the first error says more
		return err
	}
	return nil
}
