// SPDX-License-Identifier: Apache-2.0

package ninetest

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"sync"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// Local is a Transport that calls a Session in this process, as a transport over
// virtqueues does: a bounded number of Calls, begun in order, served by several
// threads, each reply published before its Call is ended.
type Local struct {
	sess  *ninep.Session
	shape int
	calls chan *ninep.Call
	jobs  chan *ninep.Call

	workers sync.WaitGroup // that have not ended
	flying  sync.WaitGroup // requests that have not ended
}

// Sizes of a Local.
const (
	localCalls   = 64
	localThreads = 4
	maxPieces    = 400 // of a message; larger ones have larger pieces
)

// ErrFault is what a request gets for which Serve returned ninep.Fault.
var ErrFault = errors.New("ninetest: the server met a fault in the request's memory")

// NewLocal returns a Transport to sess. If shape is not 0, requests and replies
// lie in pieces of shape bytes (or more), with empty pieces between them; else in
// one piece.
func NewLocal(sess *ninep.Session, shape int) *Local {
	l := &Local{
		sess:  sess,
		shape: shape,
		calls: make(chan *ninep.Call, localCalls),
		jobs:  make(chan *ninep.Call, localCalls),
	}
	for range localCalls {
		c := sess.NewCall()
		c.Transport = l
		l.calls <- c
	}
	for range localThreads {
		l.workers.Go(l.work)
	}
	return l
}

// Close waits for all requests, which it makes end soon, stops the threads, and
// resets the session, so that no File is left open.
func (l *Local) Close() {
	l.sess.Drain()
	l.flying.Wait()
	close(l.jobs)
	l.workers.Wait()
	for range localCalls {
		l.sess.FreeCall(<-l.calls)
	}
	l.sess.Reset()
}

// work is one thread. It is never unlocked: a backend may have changed its
// credentials, and then it must not be used for anything else.
func (l *Local) work() {
	runtime.LockOSThread()
	debug.SetPanicOnFault(true)
	var th ninep.Thread
	for c := range l.jobs {
		c.Thread = &th
		if n := l.sess.Serve(c); n != ninep.Deferred {
			l.Complete(c, n)
		}
	}
}

// localReq is one request on its way.
type localReq struct {
	reply []byte
	done  chan int // takes Serve's result
}

// Send implements Transport. It waits while as many requests are on their way as
// there are Calls.
func (l *Local) Send(req []byte, space int) (func(context.Context) ([]byte, error), error) {
	c := <-l.calls
	l.flying.Add(1)
	r := &localReq{reply: make([]byte, space), done: make(chan int, 1)}
	c.Cookie = r
	c.In, c.InLen = l.iovecs(append([]byte(nil), req...)), len(req)
	c.Out, c.OutLen = l.iovecs(r.reply), space

	l.sess.Lock()
	l.sess.BeginLocked(c)
	l.jobs <- c // there is room for all Calls
	l.sess.Unlock()

	return func(ctx context.Context) ([]byte, error) {
		select {
		case n := <-r.done:
			if n < 0 {
				return nil, ErrFault
			}
			return r.reply[:n], nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}, nil
}

// WillBlock implements ninep.Transport.
func (l *Local) WillBlock(*ninep.Call) {}

// Resume implements ninep.Transport. There is room for all Calls.
func (l *Local) Resume(c *ninep.Call) { l.jobs <- c }

// Complete implements ninep.Transport.
func (l *Local) Complete(c *ninep.Call, n int) {
	l.sess.Lock()
	c.Cookie.(*localReq).done <- n // which is never waited for
	more := l.sess.EndLocked(c)
	l.sess.Unlock()
	if more {
		l.sess.EndRest(c)
	}
	l.calls <- c
	l.flying.Done()
}

func (l *Local) iovecs(b []byte) []unix.Iovec {
	piece := max(len(b), 1)
	if l.shape != 0 {
		piece = max(l.shape, len(b)/maxPieces)
	}
	var iov []unix.Iovec
	for len(b) > 0 {
		n := min(piece, len(b))
		v := unix.Iovec{Base: &b[0]}
		v.SetLen(n)
		iov = append(iov, v)
		if l.shape != 0 {
			iov = append(iov, unix.Iovec{Base: &b[0]}, unix.Iovec{})
		}
		b = b[n:]
	}
	return iov
}
