// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"encoding/binary"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// What run returns, besides the length of a reply, to Serve alone.
const (
	waitLock  = -3 // the backend has called Defer
	waitFlush = -4 // a Tflush: to be answered now or later
	waitTurn  = -5 // the request is to be served once more, when it may be
)

// firstCopy is how much of a message is copied together with its header: all of most.
const firstCopy = 64

// BeginLocked takes in the request that c's In and Out describe: it copies the header,
// and from then on a Tflush can find the tag. It is called in the order in which the
// requests came, while s is locked.
func (s *Session) BeginLocked(c *Call) {
	st := &c.state
	st.terms = s.terms.Load()
	st.failed, st.resumed, st.bytes = false, false, 0
	s.readHeader(c)
	st.op = &ops[opIndex[st.typ]]
	if st.op.class != classNone && st.copied >= headerSize+4 {
		st.fid = s.fids.get(binary.LittleEndian.Uint32(st.scratch[headerSize:]))
	}
	s.begun++
	st.seq = s.begun
	st.park.busy = true
	c.Ended = 0
}

func (s *Session) readHeader(c *Call) {
	st := &c.state
	st.typ, st.tag, st.bad, st.fault = 0, NoTag, true, true
	defer recoverFault()
	st.copied = CopyFrom(st.scratch[:firstCopy], c.In, 0)
	st.fault = false
	if st.copied < headerSize {
		return
	}
	var size uint32
	size, st.typ, st.tag = getHeader(st.scratch[:])
	if size >= headerSize && uint64(size) <= uint64(c.InLen) {
		st.size, st.bad = int(size), false
	}
}

// Serve executes the request, on any thread, and returns the length of the reply
// that now stands in c.Out: 0 if there is none, Deferred if it comes through
// Transport.Complete or another Serve that Transport.Resume asks for (which may
// already have happened: c is not to be touched then), Fault if the peer's memory has
// gone.
func (s *Session) Serve(c *Call) (n int) {
	defer s.finish(c, &n)
	st := &c.state
	switch {
	case st.fault:
		return Fault
	case !st.bad && st.park.flushed.Load() && st.op.flags&opMustRun == 0:
		// The Tflush came before this got a thread. What has not begun has no
		// effect, and needs no reply.
		return 0
	}
	err := s.admit(c)
	if err == nil {
		n, err = st.op.run(s, c)
	}
	if err != nil {
		n = s.refuse(c, err)
	}
	s.letGo(c)
	return n
}

// admit does all that the operations have in common.
func (s *Session) admit(c *Call) error {
	st := &c.state
	o := st.op
	switch {
	case st.bad:
		return errMalformed
	case st.resumed && s.terms.Load() != st.terms:
		return unix.EBADF // the fid has gone, and its number may be another's
	case st.resumed:
		return nil // all that follows has been seen to
	case !o.in.has(st.terms.dialect) && st.terms.dialect == DialectNone:
		// There is no session, or no longer.
		return unix.EPROTO
	case !o.in.has(st.terms.dialect) || o.run == nil:
		return unix.EOPNOTSUPP
	case uint32(st.size) > st.terms.msize && !o.in.has(DialectNone):
		return unix.EMSGSIZE
	case c.OutLen < o.reply:
		// Found out now, not after the operation.
		return unix.EMSGSIZE
	case s.cfg.ReadOnly && o.flags&opChanges != 0:
		return unix.EROFS
	}
	// All but the data of a Twrite is copied, once.
	n := st.size
	if st.typ == MsgTwrite {
		n = min(n, writeHeader)
	}
	if n > scratchSize {
		return unix.ENAMETOOLONG
	}
	if at := st.copied; n > at && CopyFrom(st.scratch[at:n], c.In, at) != n-at {
		return errMalformed
	}
	return nil
}

// refuse answers c with err.
func (s *Session) refuse(c *Call, err error) int {
	e, known := Errno(err)
	if !known {
		s.logUnknown(c, err)
	}
	return c.sendError(e)
}

// finish is the end of Serve, with the one recover of the package on a request's way. No lock is
// held by then, whatever has happened, and c may have to wait.
func (s *Session) finish(c *Call, n *int) {
	if r := recover(); r != nil {
		*n = s.rescue(c, r)
	}
	switch *n {
	case waitLock:
		*n = s.parkLock(c)
	case waitFlush:
		*n = s.parkFlush(c)
	case waitTurn:
		*n = s.parkTurn(c)
	default:
		c.ended(*n)
	}
}

// rescue is what becomes of an operation that panicked: it is answered with EIO, unless it was the
// peer's memory that failed.
func (s *Session) rescue(c *Call, r any) int {
	s.letGo(c) // what dropping a file runs has a recover of its own
	if isFault(r) {
		return Fault
	}
	s.logPanic(c.state.op.name, r)
	return s.guarded(c, func() int { return c.sendError(unix.EIO) })
}

// guarded calls send, which writes to c.Out, where a fault in that memory is not
// yet guarded against: on the goroutine of a backend, or after a panic.
func (s *Session) guarded(c *Call, send func() int) (n int) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	n = Fault
	defer recoverFault()
	return send()
}

// recoverFault is deferred around accesses to the peer's memory; other panics go
// on.
func recoverFault() {
	if r := recover(); r != nil && !isFault(r) {
		panic(r)
	}
}

// isFault reports whether a panic was a memory fault at an address, which under
// debug.SetPanicOnFault means memory that the peer shares. A nil pointer of ours
// has no address.
func isFault(r any) bool {
	_, ok := r.(interface{ Addr() uintptr })
	return ok
}

// EndLocked ends the life of the request, after the reply (if any) was published, and while s has
// been locked since: it is counted, and lets go of its fid. It reports whether EndRest is to be
// called when s is not locked any more, before the transport uses c again.
func (s *Session) EndLocked(c *Call) (more bool) {
	s.stats.count(c)
	st := &c.state
	st.park.busy = false
	if f := st.fid; f != nil {
		st.fid = nil
		if f.refs--; f.refs == 0 {
			st.ending = f
		}
	}
	return st.ending != nil || st.park.flushed.Load()
}
