// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep/reuse"
)

// What Session.Serve returns besides the length of a reply.
const (
	// Deferred says that the reply comes later, through Transport.Complete.
	Deferred = -1
	// Fault says that the peer's memory has gone: no reply can be written, and the
	// queue is of no more use. No lock of the session is left held.
	Fault = -2
)

// Thread is what a worker thread keeps between requests for the backend: the
// credentials that it last took on, buffers. Workers are locked to OS threads.
type Thread struct {
	Local any // owned by the Backend; nil at first

	fids reuse.List[fid]
}

// Transport is what a Call asks of whatever carries it.
type Transport interface {
	// WillBlock is called on c's thread before an operation that is known to take
	// long (fsync, a cold read): others should be served meanwhile by other
	// threads. It may be called more than once for a Call.
	WillBlock(c *Call)
	// Resume has some thread call Session.Serve for c once more: the first one returned
	// Deferred without having done anything. It may be called from any goroutine, must not
	// call Serve itself, and has c served even if the transport stops.
	Resume(c *Call)
	// Complete publishes the reply of n bytes that now stands in c.Out (0: none;
	// Fault: there is no memory to publish to), and ends the request (EndLocked,
	// EndRest). It may be called from any goroutine, once for each Call for which Serve
	// returns Deferred, also before Serve has returned that, and from within Serve,
	// EndRest, Drain and Reset for another Call.
	Complete(c *Call, n int)
}

// Call is one request in execution, and the scratch memory it is decoded to.
// Calls are reused, and none is shared between two requests at a time.
type Call struct {
	// Set by the transport before BeginLocked. In holds the T-message, Out the
	// room for the reply; both lie in the peer's memory.
	In, Out       []unix.Iovec
	InLen, OutLen int // sums of the lengths
	Thread        *Thread
	Transport     Transport
	// Began is when the transport took the request, by Nanotime.
	Began int64
	// Tag for the transport: what the chain is to it.
	Cookie any

	// Set by the session for the backend.
	UID uint32 // of the fid's attach: the user the request is made for, or NoUID

	// Ended is set by the session for the transport, when the reply is made: one reading
	// of the clock is the end of one request and the beginning of the next.
	Ended int64

	state callState
}
