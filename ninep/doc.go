// SPDX-License-Identifier: Apache-2.0

// Package ninep is a 9P server without a transport and without a file system: it
// decodes T-messages, keeps a session's fids and tags, calls a Backend, and
// encodes the replies. It speaks 9P2000.L, which the Backend is made for, and
// 9P2000.u and 9P2000, which it translates.
//
// # Life of a request
//
// A transport takes a free Call from the session (Session.NewCall), points its
// In and Out at the peer's memory, and calls
//
//	sess.Lock()
//	sess.BeginLocked(c) // in arrival order, before the next request is taken: copies the
//	                    // header out, makes the tag known, looks up the fid
//	sess.Unlock()
//	n := sess.Serve(c)  // on any thread; runs the operation, fills c.Out
//	sess.Lock()
//	publish(c, n)       // unless n is Deferred; n 0 means: give back, no reply
//	more := sess.EndLocked(c)
//	sess.Unlock()       // a client that acts on the reply finds the request ended
//	if more {
//		sess.EndRest(c) // completes the Tflushes that waited for c
//	}
//
// The next request can be begun while the session is still locked for the end of the last.
//
// A request whose Serve returned Deferred ends by Transport.Complete, which publishes
// and ends it in the same way; that can happen before Serve has returned. After a Fault
// nothing can be published, and the request is ended all the same.
//
// The bytes of a message that are not payload are copied out of the peer's
// memory once, and only the copy is looked at. The payload of Tread and Twrite
// is never copied: the Backend gets the iovecs.
//
// # Lock order
//
//	Session.resetMu
//	  fid.mu, by ascending number (class of the operation: shared or exclusive)
//	    whatever the Backend locks
//	      Session.mu (order of requests, calls in flight, flush waiters, fids; the transport's too)
//	        Session.callsMu
//
// Nothing is called while one of the last two is held, but by the transport. Neither they nor
// resetMu are held while the peer's memory is touched, but Session.mu while a header is copied; a
// fid.mu is, and is released by defer.
//
// # Sources
//
// 9P2000.L as the Linux client speaks it (include/net/9p/9p.h, net/9p/client.c)
// and as described at https://github.com/chaos/diod/blob/master/protocol.md.
//
// 9P2000 as in section 5 of Plan 9's manual. 9P2000.u by the draft "9P2000.u Unix
// Extensions to the 9P Protocol" of E. Van Hensbergen, and as the Linux client
// (fs/9p/vfs_inode.c) and QEMU's server speak it.
package ninep
