// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep/throttle"
)

// Defaults of Config.
const (
	DefaultMaxMsize      = 1 << 20
	DefaultMaxFIDs       = 4 << 20
	DefaultMaxXattrBytes = 64 << 20
	DefaultMaxWaiting    = 32
)

// Config says how a Session serves. The zero value of each field but Backend is a
// working default.
type Config struct {
	// Backend is the tree that is served. It must be set.
	Backend Backend

	// MaxMsize is the largest message size that is agreed to, in bytes: the
	// smaller of it and the client's is answered. If not set, DefaultMaxMsize is
	// used.
	MaxMsize uint32

	// ReadOnly refuses with EROFS everything that would change the tree.
	ReadOnly bool

	// MaxFIDs bounds the number of fids; beyond, ENFILE. If not set,
	// DefaultMaxFIDs is used; if negative, there is no limit.
	MaxFIDs int

	// MaxXattrBytes bounds the memory of all values that fids of Txattrwalk and
	// Txattrcreate hold; beyond, ENOMEM. If not set, DefaultMaxXattrBytes is used.
	MaxXattrBytes int64

	// Throttle bounds how much and how often files are read and written. If nil, nothing
	// does.
	Throttle *throttle.Limiter

	// Logger gets the few lines that there are to say. If not set,
	// slog.Default() is used.
	Logger *slog.Logger
}

// Validate reports what is wrong with cfg.
func (cfg *Config) Validate() error {
	switch {
	case cfg.Backend == nil:
		return errors.New("ninep: no backend")
	case cfg.MaxMsize != 0 && cfg.MaxMsize < MinMsize:
		return errors.New("ninep: the maximal msize is below 4096")
	case cfg.MaxXattrBytes < 0:
		return errors.New("ninep: the limit of xattr bytes is negative")
	}
	return nil
}

// terms are what Tversion agreed to. They are replaced as a whole, and never
// changed; a request goes by those that held when it came, and can tell by the
// pointer that the session has been reset since.
type terms struct {
	msize   uint32
	dialect Dialect
}

// Session is one client's use of a Backend, from Tversion to Tversion.
type Session struct {
	cfg Config
	log *slog.Logger

	terms atomic.Pointer[terms]
	xattr atomic.Int64 // bytes that count against MaxXattrBytes

	muffle muffler

	// resetMu is held by Reset, so that there is one at a time.
	resetMu sync.Mutex

	// mu guards the fields below, and those of each callState that say so. See Lock.
	mu         sync.Mutex
	begun      uint64 // requests: the seq of the last
	fids       fidTable
	stats      sessionStats
	parked     atomic.Int32 // Tlocks that wait; written under mu
	drained    uint64       // no request up to this seq may wait
	waiting    int          // requests deferred, parked or about to be
	maxWaiting int

	callsMu sync.Mutex
	calls   []*Call // all that NewCall has made

	_ [0]func() // not comparable
}

// Lock locks the order of the requests: while s is locked none begins, and none ends. It is for
// the transport, which has an order of its own: with BeginLocked and EndLocked a request costs
// one lock for both, and all that is known of requests in flight costs none.
func (s *Session) Lock() { s.mu.Lock() }

// Unlock undoes Lock.
func (s *Session) Unlock() { s.mu.Unlock() }

// NewSession returns a session of which nothing has been agreed to yet.
// It panics if cfg does not validate.
func NewSession(cfg Config) *Session {
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	if cfg.MaxMsize == 0 {
		cfg.MaxMsize = DefaultMaxMsize
	}
	if cfg.MaxFIDs == 0 {
		cfg.MaxFIDs = DefaultMaxFIDs
	}
	if cfg.MaxXattrBytes == 0 {
		cfg.MaxXattrBytes = DefaultMaxXattrBytes
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	s := &Session{cfg: cfg, log: cfg.Logger, maxWaiting: DefaultMaxWaiting}
	s.fids.max = max(cfg.MaxFIDs, 0)
	s.terms.Store(noTerms())
	return s
}

func noTerms() *terms { return &terms{msize: MinMsize} }

// NewCall returns a Call for use with s. The transport makes as many as it has
// requests in flight at most, and uses each again and again. s may be locked.
func (s *Session) NewCall() *Call {
	c := new(Call)
	c.state.sess = s
	s.callsMu.Lock()
	s.calls = append(s.calls, c)
	s.callsMu.Unlock()
	return c
}

// FreeCall makes s forget c, which must not be in flight. s may be locked.
func (s *Session) FreeCall(c *Call) {
	s.callsMu.Lock()
	defer s.callsMu.Unlock()
	for i := range s.calls {
		if s.calls[i] == c {
			last := len(s.calls) - 1
			s.calls[i], s.calls[last] = s.calls[last], nil
			s.calls = s.calls[:last]
			return
		}
	}
}

// Reset ends what the client knows of the session, as Tversion does: waiting locks
// are answered, all fids are clunked (xattrs that were being written are not set),
// and the backend drops the locks. A request that is at work meanwhile finishes,
// but cannot make a fid any more; a File closes after the last request that uses
// it. The transport calls it when the front end takes or gives up the device; it
// must not hold a lock that Transport.Complete takes.
func (s *Session) Reset() { s.reset(noTerms(), s.lastBegun()) }

// reset is Reset with the terms to be in force after. Requests up to seq do not
// wait any longer.
func (s *Session) reset(next *terms, seq uint64) {
	s.resetMu.Lock()
	defer s.resetMu.Unlock()
	// Until the end of this, requests find no version agreed to.
	s.terms.Store(noTerms())
	s.release(func(c *Call) bool { return c.state.seq <= seq })
	s.mu.Lock()
	all := s.fids.removeAll()
	s.mu.Unlock()
	for i := range all {
		for _, f := range all[i].slots {
			if f != nil {
				s.drop(nil, f)
			}
		}
	}
	s.cfg.Backend.Reset()
	s.terms.Store(next)
}

// hold looks up a fid for the operation of c, takes it for the operation's class,
// and checks that it is in a state that the operation takes. letGo undoes it.
func (s *Session) hold(c *Call, id uint32) (*fid, error) {
	return s.holdAs(c, id, c.state.op.class)
}

func (s *Session) holdAs(c *Call, id uint32, as class) (*fid, error) {
	f := s.first(c, id)
	if f == nil {
		return nil, unix.EBADF
	}
	c.state.keep(f, as)
	c.UID = f.uid
	if f.kind&c.state.op.kinds == 0 {
		return nil, unix.EINVAL
	}
	return f, nil
}

// first returns c's fid, whose number is id, nil if there is none.
func (s *Session) first(c *Call, id uint32) *fid {
	st := &c.state
	if st.fid == nil { // nor was there when the request came
		s.mu.Lock()
		st.fid = s.fids.get(id)
		s.mu.Unlock()
	}
	return st.fid
}

// holdPair does so for two fids, the second of which is a file of the tree that is
// taken shared. All requests lock in the order of the numbers, so that no circle
// of them can wait for each other.
func (s *Session) holdPair(c *Call, id, id2 uint32) (f, g *fid, err error) {
	if id == id2 {
		f, err = s.hold(c, id)
		return f, f, err
	}
	s.mu.Lock()
	g = s.fids.get(id2)
	s.mu.Unlock()
	c.state.second = g
	if f = s.first(c, id); f == nil || g == nil {
		return nil, nil, unix.EBADF
	}
	if id < id2 {
		c.state.keep(f, c.state.op.class)
		c.state.keep(g, shared)
	} else {
		c.state.keep(g, shared)
		c.state.keep(f, c.state.op.class)
	}
	c.UID = f.uid
	if f.kind&c.state.op.kinds == 0 || g.kind&fidTree == 0 {
		return nil, nil, unix.EINVAL
	}
	return f, g, nil
}

// letGo ends what hold and holdPair began.
func (s *Session) letGo(c *Call) {
	st := &c.state
	for i := range st.held[:st.nheld] {
		if h := &st.held[i]; h.as == exclusive {
			h.f.mu.Unlock()
		} else {
			h.f.mu.RUnlock()
		}
		st.held[i].f = nil
	}
	st.nheld = 0
	if f := st.second; f != nil {
		st.second = nil
		s.drop(c.Thread, f)
	}
	if !st.clunks {
		return
	}
	f, alone := st.fid, st.alone
	st.fid, st.clunks, st.alone = nil, false, false
	if alone {
		s.end(c.Thread, f)
	} else {
		s.drop(c.Thread, f)
	}
}

// drop gives a reference to f back, and ends f if it was the last. t may be nil.
func (s *Session) drop(t *Thread, f *fid) {
	s.mu.Lock()
	f.refs--
	last := f.refs == 0
	s.mu.Unlock()
	if last {
		s.end(t, f)
	}
}

// end ends f, to which there is no reference any more but the caller's. t may be nil.
func (s *Session) end(t *Thread, f *fid) {
	if f.more != nil {
		s.xattr.Add(-f.more.xattr.charge)
		f.more = nil
	}
	file, removes, uid := f.file, f.removes, f.uid
	f.file, f.removes = nil, false
	fidPool.Put(t.fidList(), f)
	if removes {
		s.removeFile(file, uid)
	}
	if file != nil {
		s.closeFile(t, file)
	}
}

// removeFile removes file, as was asked for when it was opened. That fails where it
// has been removed already, and there is nobody to tell. A fid can end on any
// goroutine, and the thread of that may be in use by the backend; so this has a
// thread of its own, which ends with it.
func (s *Session) removeFile(file File, uid uint32) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		defer func() {
			if r := recover(); r != nil {
				s.logPanic("remove", r)
			}
		}()
		_ = file.Remove(&Call{Thread: new(Thread), Transport: noTransport{}, UID: uid})
	}()
	<-done
}

// noTransport is that of a Call that nobody waits for.
type noTransport struct{}

func (noTransport) WillBlock(*Call)     {}
func (noTransport) Resume(*Call)        {}
func (noTransport) Complete(*Call, int) {}

// closeFile closes file. A panic there must not keep the caller, which may be at
// its millionth fid, from going on.
func (s *Session) closeFile(t *Thread, file File) {
	defer func() {
		if r := recover(); r != nil {
			s.logPanic("close", r)
		}
	}()
	file.Close(t)
}
