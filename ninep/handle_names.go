// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

func (s *Session) symlink(c *Call) (int, error) {
	var m Tsymlink
	if m.fields(c.state.decoder()); !c.state.dec.exact() {
		return 0, errMalformed
	}
	if err := checkName(m.Name, nameCreate); err != nil {
		return 0, err
	}
	if err := checkTarget(m.Target); err != nil {
		return 0, err
	}
	f, err := s.hold(c, m.DFID)
	if err != nil {
		return 0, err
	}
	qid, err := f.file.Symlink(c, m.Name, m.Target, m.GID)
	if err != nil {
		return 0, err
	}
	r := Rsymlink{QID: qid}
	return c.send(r.fields)
}

func (s *Session) mknod(c *Call) (int, error) {
	var m Tmknod
	if m.fields(c.state.decoder()); !c.state.dec.exact() {
		return 0, errMalformed
	}
	if err := checkName(m.Name, nameCreate); err != nil {
		return 0, err
	}
	mode := m.Mode & (unix.S_IFMT | permMask)
	switch mode & unix.S_IFMT {
	case 0: // as mknod(2)
		mode |= unix.S_IFREG
	case unix.S_IFREG, unix.S_IFIFO, unix.S_IFSOCK:
	case unix.S_IFCHR, unix.S_IFBLK:
		if m.Major >= 1<<majorBits || m.Minor >= 1<<minorBits {
			return 0, unix.EINVAL
		}
	case unix.S_IFDIR:
		return 0, unix.EPERM
	default:
		return 0, unix.EINVAL
	}
	f, err := s.hold(c, m.DFID)
	if err != nil {
		return 0, err
	}
	qid, err := f.file.Mknod(c, m.Name, mode, m.Major, m.Minor, m.GID)
	if err != nil {
		return 0, err
	}
	r := Rmknod{QID: qid}
	return c.send(r.fields)
}

func (s *Session) mkdir(c *Call) (int, error) {
	var m Tmkdir
	if m.fields(c.state.decoder()); !c.state.dec.exact() {
		return 0, errMalformed
	}
	if err := checkName(m.Name, nameCreate); err != nil {
		return 0, err
	}
	f, err := s.hold(c, m.DFID)
	if err != nil {
		return 0, err
	}
	qid, err := f.file.Mkdir(c, m.Name, m.Mode&permMask, m.GID)
	if err != nil {
		return 0, err
	}
	r := Rmkdir{QID: qid}
	return c.send(r.fields)
}

func (s *Session) link(c *Call) (int, error) {
	var m Tlink
	if m.fields(c.state.decoder()); !c.state.dec.exact() {
		return 0, errMalformed
	}
	if err := checkName(m.Name, nameCreate); err != nil {
		return 0, err
	}
	dir, target, err := s.holdPair(c, m.DFID, m.FID)
	if err != nil {
		return 0, err
	}
	if err := dir.file.Link(c, target.file, m.Name); err != nil {
		return 0, err
	}
	return c.sendEmpty()
}

func (s *Session) readlink(c *Call) (int, error) {
	st := &c.state
	var m Treadlink
	if m.fields(st.decoder()); !st.dec.exact() {
		return 0, errMalformed
	}
	f, err := s.hold(c, m.FID)
	if err != nil {
		return 0, err
	}
	// The target is put where it goes: behind the head of the reply. There is one
	// byte more than the longest target has, for backends that cannot tell a full
	// buffer from a cut target.
	const head = headerSize + 2
	buf := st.buffer(head + maxPath + 1)
	n, err := f.file.ReadLink(c, buf[head:min(len(buf), c.room())])
	if err != nil {
		return 0, err
	}
	binary.LittleEndian.PutUint16(buf[headerSize:], uint16(n))
	putHeader(buf, head+n, st.typ+1, st.tag)
	CopyTo(c.Out, 0, buf[:head+n])
	return head + n, nil
}

func (s *Session) rename(c *Call) (int, error) {
	var m Trename
	if m.fields(c.state.decoder()); !c.state.dec.exact() {
		return 0, errMalformed
	}
	if err := checkName(m.Name, nameRename); err != nil {
		return 0, err
	}
	f, dir, err := s.holdPair(c, m.FID, m.DFID)
	if err != nil {
		return 0, err
	}
	if err := f.file.Rename(c, dir.file, m.Name); err != nil {
		return 0, err
	}
	return c.sendEmpty()
}

func (s *Session) renameat(c *Call) (int, error) {
	var m Trenameat
	if m.fields(c.state.decoder()); !c.state.dec.exact() {
		return 0, errMalformed
	}
	for _, n := range [...]Name{m.OldName, m.NewName} {
		if err := checkName(n, nameRename); err != nil {
			return 0, err
		}
	}
	old, dir, err := s.holdPair(c, m.OldDFID, m.NewDFID)
	if err != nil {
		return 0, err
	}
	if err := old.file.RenameAt(c, m.OldName, dir.file, m.NewName); err != nil {
		return 0, err
	}
	return c.sendEmpty()
}

func (s *Session) unlinkat(c *Call) (int, error) {
	var m Tunlinkat
	if m.fields(c.state.decoder()); !c.state.dec.exact() {
		return 0, errMalformed
	}
	if err := checkName(m.Name, nameUnlink); err != nil {
		return 0, err
	}
	if m.Flags&^unix.AT_REMOVEDIR != 0 {
		return 0, unix.EINVAL
	}
	f, err := s.hold(c, m.DFID)
	if err != nil {
		return 0, err
	}
	if err := f.file.UnlinkAt(c, m.Name, m.Flags); err != nil {
		return 0, err
	}
	return c.sendEmpty()
}
