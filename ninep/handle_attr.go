// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"math"

	"golang.org/x/sys/unix"
)

// permMask is the part of a mode that a client sets.
const permMask = 0o7777

func (s *Session) getattr(c *Call) (int, error) {
	st := &c.state
	var m Tgetattr
	if m.fields(st.decoder()); !st.dec.exact() {
		return 0, errMalformed
	}
	f, err := s.hold(c, m.FID)
	if err != nil {
		return 0, err
	}
	st.attr = Attr{}
	if err := f.file.GetAttr(c, m.Mask, &st.attr); err != nil {
		return 0, err
	}
	st.attr.put(st.reply[headerSize:])
	return c.sendFixed(attrSize)
}

// setMaskAll are the fields that Tsetattr knows; other bits are ignored, as QEMU
// does.
const setMaskAll = SetMode | SetUID | SetGID | SetSize | SetATime | SetMTime | SetCTime | SetATimeSet | SetMTimeSet

func (s *Session) setattr(c *Call) (int, error) {
	st := &c.state
	var m Tsetattr
	if m.fields(st.decoder()); !st.dec.exact() {
		return 0, errMalformed
	}
	set := &m.Set
	set.Valid &= setMaskAll
	set.Mode &= permMask
	switch {
	case set.Valid&SetSize != 0 && set.Size > math.MaxInt64,
		// Also keeps utimensat's special values out.
		set.Valid&SetATimeSet != 0 && set.ATime.Nsec >= 1e9,
		set.Valid&SetMTimeSet != 0 && set.MTime.Nsec >= 1e9:
		return 0, unix.EINVAL
	}
	f, err := s.hold(c, m.FID)
	if err != nil {
		return 0, err
	}
	st.set = *set
	if err := f.file.SetAttr(c, &st.set); err != nil {
		return 0, err
	}
	return c.sendEmpty()
}

func (s *Session) statfs(c *Call) (int, error) {
	st := &c.state
	var m Tstatfs
	if m.fields(st.decoder()); !st.dec.exact() {
		return 0, errMalformed
	}
	f, err := s.hold(c, m.FID)
	if err != nil {
		return 0, err
	}
	st.fs = StatFS{}
	if err := f.file.StatFS(c, &st.fs); err != nil {
		return 0, err
	}
	return c.send(st.fs.fields)
}
