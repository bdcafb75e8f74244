// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// version starts the session over: whatever was before is clunked, also if
// nothing is agreed to then.
func (s *Session) version(c *Call) (int, error) {
	var m Tversion
	if m.fields(c.state.decoder()); !c.state.dec.exact() {
		return 0, errMalformed
	}
	if m.Msize < MinMsize {
		s.reset(noTerms(), c.state.seq)
		return 0, unix.EMSGSIZE
	}
	next := terms{msize: min(m.Msize, s.cfg.MaxMsize), dialect: negotiate(m.Version)}
	s.reset(&next, c.state.seq)
	r := Rversion{Msize: next.msize, Version: Name(next.dialect.String())}
	return c.send(r.fields)
}

// userOf returns the user that uname names, for a client that has no numbers for
// users: one who goes by a number, or root, and nobody for all others, whom only
// the client knows.
func userOf(uname Name) uint32 {
	if uid, ok := parseDecimal(uname); ok {
		return uid
	}
	switch string(uname) {
	case "":
		return NoUID
	case "root":
		return 0
	}
	return overflowUID
}

// overflowUID is the user nobody, as Linux numbers it.
const overflowUID = 65534

// attach makes a fid for the root that aname selects. There is no authentication
// beyond having the device, so no afid is one. The user is n_uname, and uname only
// where the dialect has no other.
func (s *Session) attach(c *Call) (int, error) {
	var m Tattach
	if m.fields(c.state.decoder()); !c.state.dec.exact() {
		return 0, errMalformed
	}
	switch {
	case m.AFID != NoFID:
		return 0, unix.EBADF
	case bytes.IndexByte(m.AName, 0) >= 0:
		return 0, unix.ENOENT
	case len(m.AName) > maxPath:
		return 0, unix.ENAMETOOLONG
	}
	if c.state.terms.dialect == Dialect2000 {
		m.NUName = userOf(m.UName)
	}
	c.UID = m.NUName
	file, qid, err := s.cfg.Backend.Attach(c, m.AName)
	if err != nil {
		return 0, err
	}
	if err := s.enter(c, newFID(c.Thread, m.FID, m.NUName, fidPath, file)); err != nil {
		return 0, err
	}
	r := Rattach{QID: qid}
	return c.send(r.fields)
}

// enter puts a new fid into the table, or ends it if that cannot be.
func (s *Session) enter(c *Call, f *fid) error {
	s.mu.Lock()
	var err error = unix.EIO // the session has been reset since the request came
	if s.terms.Load() == c.state.terms {
		err = s.fids.insert(f)
	}
	s.mu.Unlock()
	if err != nil {
		s.end(c.Thread, f)
	}
	return err
}

// flush hands over to parkFlush.
func (s *Session) flush(c *Call) (int, error) {
	var m Tflush
	if m.fields(c.state.decoder()); !c.state.dec.exact() {
		return 0, errMalformed
	}
	c.state.oldTag = m.OldTag
	return waitFlush, nil
}

// walk makes a fid for what is found along the names, or, where newfid is fid,
// moves the fid there.
func (s *Session) walk(c *Call) (int, error) {
	st := &c.state
	m := Twalk{Names: st.names[:]}
	if m.fields(st.decoder()); !st.dec.exact() {
		if st.size >= 17 && binary.LittleEndian.Uint16(st.scratch[15:]) > maxWalkNames {
			return 0, unix.EINVAL
		}
		return 0, errMalformed
	}
	if c.OutLen < 9+13*len(m.Names) {
		return 0, unix.EMSGSIZE
	}
	// A name that no file can have fails the whole walk, wherever it stands, as
	// in QEMU: the client learns why, which a short reply does not tell.
	for _, n := range m.Names {
		if err := checkName(n, nameWalk); err != nil {
			return 0, err
		}
	}
	inPlace := m.NewFID == m.FID
	as := shared
	if inPlace {
		as = exclusive
	}
	f, err := s.holdAs(c, m.FID, as)
	if err != nil {
		return 0, err
	}
	if inPlace && f.kind != fidPath {
		return 0, unix.EINVAL
	}
	file, n, err := f.file.Walk(c, m.Names, st.qids[:])
	r := Rwalk{QIDs: st.qids[:len(m.Names)]}
	switch {
	case err != nil && n == 0:
		return 0, err
	case err != nil:
		r.QIDs = st.qids[:min(n, len(m.Names))]
	case inPlace:
		old := f.file
		f.file = file
		s.closeFile(c.Thread, old)
	default:
		if err := s.enter(c, newFID(c.Thread, m.NewFID, f.uid, fidPath, file)); err != nil {
			return 0, err
		}
	}
	return c.send(r.fields)
}

// clunk forgets a fid. One that Txattrcreate made sets the attribute now; the fid
// is gone even if that fails.
func (s *Session) clunk(c *Call) (int, error) {
	var m Tclunk
	if m.fields(c.state.decoder()); !c.state.dec.exact() {
		return 0, errMalformed
	}
	st := &c.state
	s.mu.Lock()
	f := s.fids.remove(m.FID, nil)
	st.alone = f != nil && f.refs == 1 // and nobody can find it any more
	s.mu.Unlock()
	if f == nil {
		// The Linux client does this after a short Rwalk, for the newfid that it
		// did not get. It means nothing.
		return 0, unix.EBADF
	}
	// The table's reference becomes the request's.
	st.fid, st.clunks = f, true
	if !st.alone {
		st.keep(f, shared)
	}
	c.UID = f.uid
	s.release(func(w *Call) bool { return w.state.park.fid == f })
	if f.kind == fidXattrWrite {
		if err := f.more.xattr.apply(c, f.file); err != nil {
			return 0, err
		}
	}
	return c.sendEmpty()
}

// remove removes the file and clunks the fid, whatever comes of it: the Linux
// client does not clunk it after.
func (s *Session) remove(c *Call) (int, error) {
	var m Tremove
	if m.fields(c.state.decoder()); !c.state.dec.exact() {
		return 0, errMalformed
	}
	f, err := s.hold(c, m.FID)
	if st := &c.state; st.nheld != 0 {
		defer func() {
			s.mu.Lock()
			if s.fids.remove(m.FID, st.fid) != nil {
				st.fid.refs-- // the table's; the request's is left
			}
			s.mu.Unlock()
			st.clunks = true
		}()
	}
	switch {
	case err != nil:
		return 0, err
	case s.cfg.ReadOnly:
		return 0, unix.EROFS
	}
	f.removes = false
	if err := f.file.Remove(c); err != nil {
		return 0, err
	}
	return c.sendEmpty()
}
