// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"math"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep/throttle"
)

// maxIovecs is the number of iovecs that one system call takes (IOV_MAX). A
// payload of more is cut there: Tread and Twrite may be answered short.
const maxIovecs = 1024

// blockSize is what iounit rounds to.
const blockSize = 4096

// ioUnit returns the size that the client should split its reads and writes into.
// It is what msize allows, rounded down to whole blocks, so that a long read or
// write does not straddle a page with each of its parts; unless rounding costs
// more than an eighth, as with a small msize, where 0 (that is, "whatever msize
// allows") means fewer round trips.
func (t *terms) ioUnit(q QID) uint32 {
	n := t.msize - ioHeader
	if rounded := n &^ (blockSize - 1); q.Type&QTDir == 0 && rounded >= n-n/8 {
		return rounded
	}
	return 0
}

// openFlagsChanging are the flags of open(2) that a read-only export refuses. As with
// open(2), what is only read may come with O_CREAT, which Linux sends along for a file
// that it has seen to be there, and with O_APPEND.
const openFlagsChanging = unix.O_WRONLY | unix.O_RDWR | unix.O_TRUNC

func (s *Session) lopen(c *Call) (int, error) {
	var m Tlopen
	if m.fields(c.state.decoder()); !c.state.dec.exact() {
		return 0, errMalformed
	}
	if s.cfg.ReadOnly && m.Flags&openFlagsChanging != 0 {
		return 0, unix.EROFS
	}
	f, err := s.hold(c, m.FID)
	if err != nil {
		return 0, err
	}
	qid, err := f.file.Open(c, m.Flags)
	if err != nil {
		return 0, err
	}
	f.kind = fidFile
	if qid.Type&QTDir != 0 {
		f.kind = fidDir
	}
	r := Rlopen{QID: qid, IOUnit: c.state.terms.ioUnit(qid)}
	return c.send(r.fields)
}

func (s *Session) lcreate(c *Call) (int, error) {
	var m Tlcreate
	if m.fields(c.state.decoder()); !c.state.dec.exact() {
		return 0, errMalformed
	}
	if err := checkName(m.Name, nameCreate); err != nil {
		return 0, err
	}
	f, err := s.hold(c, m.FID)
	if err != nil {
		return 0, err
	}
	qid, err := f.file.Create(c, m.Name, m.Flags, m.Mode&permMask, m.GID)
	if err != nil {
		return 0, err
	}
	f.kind = fidFile
	r := Rlcreate{QID: qid, IOUnit: c.state.terms.ioUnit(qid)}
	return c.send(r.fields)
}

// payload returns the part of iov that holds n bytes from off on.
func (st *callState) payload(iov []unix.Iovec, off, n int) []unix.Iovec {
	st.iov = Slice(st.iov[:0], iov, off, n)
	if len(st.iov) > maxIovecs {
		st.iov = st.iov[:maxIovecs]
	}
	return st.iov
}

// checkRange refuses offsets that no file has.
func checkRange(off uint64, n int) error {
	if off > math.MaxInt64-uint64(n) {
		return unix.EINVAL
	}
	return nil
}

func (s *Session) read(c *Call) (int, error) {
	st := &c.state
	var m Tread
	if m.fields(st.decoder()); !st.dec.exact() {
		return 0, errMalformed
	}
	f, err := s.hold(c, m.FID)
	if err != nil {
		return 0, err
	}
	n := min(int(min(m.Count, math.MaxInt32)), c.room()-readHeader)
	if err := checkRange(m.Offset, n); err != nil {
		return 0, err
	}
	switch f.kind {
	case fidDir:
		if f.more == nil { // opened by Tlopen
			return 0, unix.EISDIR
		}
		n, err = s.readStats(c, f, m.Offset, min(n, maxDirData))
	case fidXattrRead:
		n = f.more.xattr.read(c.Out, m.Offset, n)
	default:
		if s.mustWait(c, throttle.Read, n) {
			return waitTurn, nil
		}
		n, err = f.file.Read(c, st.payload(c.Out, readHeader, n), m.Offset)
	}
	if err != nil {
		return ioError(err)
	}
	st.bytes = uint64(n)
	return c.sendCount(n)
}

func (s *Session) write(c *Call) (int, error) {
	st := &c.state
	var m Twrite
	st.dec = coder{b: st.scratch[headerSize:min(st.size, writeHeader)]}
	m.head(&st.dec)
	// The count goes by the memory that there is, not by the message's size:
	// old Linux clients leave the data of a zero-copy write out of the size.
	if !st.dec.exact() || uint64(m.Count) > uint64(c.InLen-writeHeader) {
		return 0, errMalformed
	}
	n := int(m.Count)
	if n > int(st.terms.msize)-writeHeader {
		return 0, unix.EMSGSIZE
	}
	f, err := s.hold(c, m.FID)
	if err != nil {
		return 0, err
	}
	if err := checkRange(m.Offset, n); err != nil {
		return 0, err
	}
	if f.kind == fidXattrWrite {
		n, err = f.more.xattr.write(c.In, m.Offset, n)
	} else {
		if s.mustWait(c, throttle.Write, n) {
			return waitTurn, nil
		}
		n, err = f.file.Write(c, st.payload(c.In, writeHeader, n), m.Offset)
	}
	if err != nil {
		return ioError(err)
	}
	st.bytes = uint64(n)
	r := Rwrite{Count: uint32(n)}
	return c.send(r.fields)
}

// ioError tells the failure of the peer's memory, which the kernel reports as
// EFAULT, from the errors of files.
func ioError(err error) (int, error) {
	if e, _ := Errno(err); e == unix.EFAULT {
		return Fault, nil
	}
	return 0, err
}

func (s *Session) readdir(c *Call) (int, error) {
	st := &c.state
	var m Treaddir
	if m.fields(st.decoder()); !st.dec.exact() {
		return 0, errMalformed
	}
	f, err := s.hold(c, m.FID)
	if err != nil {
		return 0, err
	}
	if f.kind != fidDir {
		return 0, unix.ENOTDIR
	}
	n := min(int(min(m.Count, maxDirData)), c.room()-readHeader)
	w := &st.dir
	*w = DirWriter{buf: st.buffer(n)}
	if err := f.file.ReadDir(c, m.Offset, w); err != nil {
		return 0, err
	}
	if w.n == 0 && w.refused {
		// No bytes would mean the end of the directory; getdents(2) says this.
		return 0, unix.EINVAL
	}
	st.bytes = uint64(w.n)
	CopyTo(c.Out, readHeader, w.Bytes())
	return c.sendCount(w.n)
}

func (s *Session) fsync(c *Call) (int, error) {
	var m Tfsync
	if m.fields(c.state.decoder()); !c.state.dec.exact() {
		return 0, errMalformed
	}
	f, err := s.hold(c, m.FID)
	if err != nil {
		return 0, err
	}
	if err := f.file.Sync(c, m.DataSync != 0); err != nil {
		return 0, err
	}
	return c.sendEmpty()
}
