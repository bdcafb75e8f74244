// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"math/bits"

	"golang.org/x/sys/unix"
)

// open is 9P2000.u's Tlopen.
func (s *Session) open(c *Call) (int, error) {
	st := &c.state
	var m Topen
	if m.fields(st.decoder()); !st.dec.exact() {
		return 0, errMalformed
	}
	flags, err := m.Mode.flags(st.terms.dialect)
	if err != nil {
		return 0, err
	}
	if s.cfg.ReadOnly && m.Mode.writes() {
		return 0, unix.EROFS
	}
	f, err := s.hold(c, m.FID)
	if err != nil {
		return 0, err
	}
	if m.Mode&ORClose != 0 {
		st.attr = Attr{}
		if err := f.file.GetAttr(c, AttrMode, &st.attr); err != nil {
			return 0, err
		}
		if st.attr.Mode&unix.S_IFMT == unix.S_IFDIR {
			return 0, unix.EISDIR
		}
	}
	if m.Mode&OTrunc != 0 {
		// Of a file that is open for reading only, open(2) would leave it to the
		// file system.
		if flags&unix.O_ACCMODE != unix.O_RDONLY {
			flags |= unix.O_TRUNC
		} else if err := s.truncate(c, f); err != nil {
			return 0, err
		}
	}
	qid, err := f.file.Open(c, flags)
	if err != nil {
		return 0, err
	}
	f.opened(qid, m.Mode)
	r := Ropen{QID: qid, IOUnit: st.terms.ioUnit(qid)}
	return c.send(r.fields)
}

// opened notes that f is open now.
func (f *fid) opened(qid QID, mode OpenMode) {
	f.kind = fidFile
	if qid.Type&QTDir != 0 {
		f.kind, f.more = fidDir, new(fidExtra)
	}
	f.removes = mode&ORClose != 0
}

func (s *Session) truncate(c *Call, f *fid) error {
	c.state.set = SetAttr{Valid: SetSize}
	return f.file.SetAttr(c, &c.state.set)
}

// create is 9P2000.u's Tlcreate, Tmkdir, Tsymlink, Tlink and Tmknod.
func (s *Session) create(c *Call) (int, error) {
	st := &c.state
	d := st.terms.dialect
	var m Tcreate
	if m.fields(st.decoder()); !st.dec.exact() {
		return 0, errMalformed
	}
	if err := checkName(m.Name, nameCreate); err != nil {
		return 0, err
	}
	if err := m.Perm.check(d); err != nil {
		return 0, err
	}
	flags, err := m.Mode.flags(d)
	if err != nil {
		return 0, err
	}
	kind := m.Perm & typeBits
	switch {
	case bits.OnesCount32(uint32(kind)) > 1:
		return 0, unix.EINVAL
	case kind == DMDir && m.Mode.writes():
		return 0, unix.EISDIR
	case kind != 0 && m.Mode&ORClose != 0:
		return 0, unix.EINVAL // is not opened
	}
	if kind == DMLink {
		return s.createLink(c, &m)
	}
	f, err := s.hold(c, m.FID)
	if err != nil {
		return 0, err
	}
	mode, gid, err := s.inherit(c, f, &m)
	if err != nil {
		return 0, err
	}
	var qid QID
	switch kind {
	case 0:
		// It must not exist; then the client opens it. Truncating does nothing.
		if qid, err = f.file.Create(c, m.Name, flags|unix.O_EXCL, mode, gid); err != nil {
			return 0, err
		}
		f.opened(qid, m.Mode)
		r := Rcreate{QID: qid, IOUnit: st.terms.ioUnit(qid)}
		return c.send(r.fields)
	case DMDir:
		qid, err = f.file.Mkdir(c, m.Name, mode, gid)
	case DMSymlink:
		if err = checkTarget(m.Extension); err == nil {
			qid, err = f.file.Symlink(c, m.Name, m.Extension, gid)
		}
	case DMNamedPipe:
		qid, err = f.file.Mknod(c, m.Name, unix.S_IFIFO|mode, 0, 0, gid)
	case DMSocket:
		qid, err = f.file.Mknod(c, m.Name, unix.S_IFSOCK|mode, 0, 0, gid)
	case DMDevice:
		var typ, major, minor uint32
		if typ, major, minor, err = parseDevice(m.Extension); err == nil {
			qid, err = f.file.Mknod(c, m.Name, typ|mode, major, minor, gid)
		}
	}
	if err != nil {
		return 0, err
	}
	if err := s.moveTo(c, f, m.Name, qid); err != nil {
		return 0, err
	}
	if kind == DMDir {
		if qid, err = f.file.Open(c, unix.O_RDONLY); err != nil {
			return 0, err
		}
		f.opened(qid, m.Mode)
	}
	r := Rcreate{QID: qid}
	return c.send(r.fields)
}

// createLink is create for DMLink: another name for the file of the fid that the
// extension names.
func (s *Session) createLink(c *Call, m *Tcreate) (int, error) {
	id, err := parseLink(m.Extension)
	if err != nil {
		return 0, err
	}
	f, target, err := s.holdPair(c, m.FID, id)
	if err != nil {
		return 0, err
	}
	if err := f.file.Link(c, target.file, m.Name); err != nil {
		return 0, err
	}
	st := &c.state
	st.attr = Attr{}
	if err := target.file.GetAttr(c, AttrINO, &st.attr); err != nil {
		return 0, err
	}
	if err := s.moveTo(c, f, m.Name, st.attr.QID); err != nil {
		return 0, err
	}
	r := Rcreate{QID: st.attr.QID}
	return c.send(r.fields)
}

// inherit returns the mode and the group of what is to be made in the directory f.
// The group is the directory's, for the message names none. In 9P2000 the
// directory's permissions bound the new file's, which is what its clients have for
// a umask; the others have one.
func (s *Session) inherit(c *Call, f *fid, m *Tcreate) (mode, gid uint32, err error) {
	st := &c.state
	st.attr = Attr{}
	if err := f.file.GetAttr(c, AttrMode|AttrGID, &st.attr); err != nil {
		return 0, 0, err
	}
	mode, gid = m.Perm.mode(), st.attr.GID
	if st.terms.dialect == Dialect2000 {
		bounded := uint32(0o666)
		if m.Perm&DMDir != 0 {
			bounded = 0o777
		}
		mode &= ^bounded | st.attr.Mode
	}
	return mode, gid, nil
}

// moveTo makes f stand for what was just made under the name in the directory that
// it stood for. ESTALE if that is something else by now.
func (s *Session) moveTo(c *Call, f *fid, name Name, qid QID) error {
	st := &c.state
	st.names[0] = name
	file, _, err := f.file.Walk(c, st.names[:1], st.qids[:])
	if err != nil {
		return err
	}
	if st.qids[0].Path != qid.Path {
		s.closeFile(c.Thread, file)
		return unix.ESTALE
	}
	old := f.file
	f.file = file
	s.closeFile(c.Thread, old)
	return nil
}
