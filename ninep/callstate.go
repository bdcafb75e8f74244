// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"sync/atomic"

	"vhost-user-9p/ninep/throttle"

	"golang.org/x/sys/unix"
)

// scratchSize bounds all of a message but the data of a Twrite. Whatever the
// limits of names allow fits: a Twalk of 16 names of 255 bytes is 4145 bytes, a
// symlink of 4095 bytes 4370. What does not fit holds a name that is too long, and
// is refused as such without a copy or an allocation of the size that it claims.
const scratchSize = 8192

// callState is the session's part of a Call.
type callState struct {
	sess  *Session
	terms *terms // the session's when the request came
	op    *op
	seq   uint64
	park  parking

	size   int // the message's, from its header
	copied int // bytes of it that are in scratch from the beginning
	typ    MsgType
	tag    uint16
	bad    bool // the header is not to be trusted
	fault  bool // the peer's memory was gone before the header was read

	oldTag     uint16          // of a Tflush
	asked      bool            // the backend has called Defer
	resumed    bool            // Serve is called for the second time
	turn       throttle.Waiter // for that
	cancelTurn func()          // ends the wait
	failed     bool            // an Rlerror was sent
	gone       bool            // no reply could be: there was no memory
	bytes      uint64          // of payload that was moved

	// fid is what the first fid of the message stands for, with a reference: from BeginLocked,
	// or else from when the operation looks for it, to EndLocked. That costs no lock of its own.
	fid    *fid
	clunks bool // letGo gives fid up
	alone  bool // and has the only reference
	ending *fid // EndLocked gave up the last reference: EndRest ends it
	second *fid // of messages that have two, with a reference, until letGo

	dec, enc coder
	held     [2]heldFID
	nheld    int

	// What is handed to the Backend lives here, for nothing that is passed to an
	// interface's method stays on the stack.
	names [maxWalkNames]Name
	qids  [maxWalkNames]QID
	attr  Attr
	set   SetAttr
	stat  Stat
	fs    StatFS
	lock  Lock
	dir   DirWriter
	iov   []unix.Iovec

	reply   [256]byte // replies without variable parts, and Rwalk (217)
	big     []byte    // for all others; grows to what was needed most
	scratch [scratchSize]byte
}

// heldFID is a fid whose mu the request holds, and how.
type heldFID struct {
	f  *fid
	as class
}

// parking is what other requests and goroutines look at, together with tag and seq. Guarded
// by Session.mu.
type parking struct {
	busy bool // from BeginLocked to EndLocked

	flushed  atomic.Bool // whether there are flushers; the call itself looks at it under no lock
	flushers flushList   // Tflushes that wait for this call to end
	next     *Call       // in another call's flushers

	state  parkState
	cancel func() // asks the backend to end the wait; nil once called
	fid    *fid   // kept by a call that waits, though not locked
	status LockStatus
	err    error
}

// parkState is where a Tlock stands that the backend answers later.
type parkState uint8

const (
	parkNone  parkState = iota
	parkAsked           // Defer was called, Serve is still at work
	parkEarly           // and the answer came already
	parked              // Serve has returned Deferred
)

// ended takes it that the request has the result n, as Serve has it, and returns n.
func (c *Call) ended(n int) int {
	c.state.gone = n == Fault
	c.Ended = Nanotime()
	return n
}

// keep takes f's mu for the class.
func (st *callState) keep(f *fid, as class) {
	if as == exclusive {
		f.mu.Lock()
	} else {
		f.mu.RLock()
	}
	st.held[st.nheld] = heldFID{f, as}
	st.nheld++
}

// decoder returns dec, to which the message's fields are to be named.
func (st *callState) decoder() *coder {
	st.dec = st.terms.dialect.coder(st.scratch[headerSize:st.size])
	return &st.dec
}

// room returns the number of bytes that the reply can have.
func (c *Call) room() int { return min(c.OutLen, int(c.state.terms.msize)) }

// buffer returns n bytes of c's own that hold anything.
func (st *callState) buffer(n int) []byte {
	if cap(st.big) < n {
		st.big = make([]byte, max(n, 2*cap(st.big)))
	}
	return st.big[:n]
}

// encodeTo points st.enc at b.
func (st *callState) encodeTo(b []byte) {
	st.enc = st.terms.dialect.coder(b)
	st.enc.enc = true
}

// send encodes the reply with the fields, writes it to c.Out, and returns its
// length.
func (c *Call) send(fields func(*coder)) (int, error) {
	st := &c.state
	buf := st.reply[:]
	st.encodeTo(buf[headerSize:])
	fields(&st.enc)
	if st.enc.bad {
		// A string of the backend's, or of the request's: at most 64 KiB.
		buf = st.buffer(len(st.reply) + 1<<16)
		st.encodeTo(buf[headerSize:])
		fields(&st.enc)
	}
	n := headerSize + st.enc.off
	if st.enc.bad || n > c.room() {
		return 0, unix.EMSGSIZE
	}
	putHeader(buf, n, st.typ+1, st.tag)
	CopyTo(c.Out, 0, buf[:n])
	return n, nil
}

// sendEmpty sends a reply that has no fields.
func (c *Call) sendEmpty() (int, error) { return c.sendFixed(0) }

// sendFixed sends a reply of the least size that its operation can have, for which there is room.
// Its fields, of so many bytes, stand in the reply already.
func (c *Call) sendFixed(fields int) (int, error) {
	st := &c.state
	n := headerSize + fields
	putHeader(st.reply[:], n, st.typ+1, st.tag)
	CopyTo(c.Out, 0, st.reply[:n])
	return n, nil
}

// sendCount writes the head of a reply that is a count and as much data, which is
// in its place already.
func (c *Call) sendCount(n int) (int, error) {
	st := &c.state
	st.enc = coder{b: st.reply[headerSize:readHeader], enc: true}
	count := uint32(n)
	st.enc.u32(&count)
	putHeader(st.reply[:], readHeader+n, st.typ+1, st.tag)
	CopyTo(c.Out, 0, st.reply[:readHeader])
	return readHeader + n, nil
}

// sendError sends an Rlerror or Rerror, if there is room for one.
func (c *Call) sendError(e unix.Errno) int {
	st := &c.state
	st.failed = true
	n, typ := rlerrorSize, MsgRlerror
	if st.terms.dialect.isL() {
		if c.OutLen < n {
			return 0
		}
		st.encodeTo(st.reply[headerSize:n])
		ecode := uint32(e)
		st.enc.u32(&ecode)
	} else {
		room := c.OutLen - rerrorSize
		if st.terms.dialect == Dialect2000U {
			room -= 4 // errno
		}
		if room < 0 {
			return 0
		}
		var text [maxErrorText]byte
		r := Rerror{EName: appendErrorText(text[:0], e), Errno: uint32(e)}
		r.EName = r.EName[:min(len(r.EName), room)]
		st.encodeTo(st.reply[headerSize:])
		r.fields(&st.enc)
		n, typ = headerSize+st.enc.off, MsgRerror
	}
	putHeader(st.reply[:], n, typ, st.tag)
	CopyTo(c.Out, 0, st.reply[:n])
	return n
}
