// SPDX-License-Identifier: Apache-2.0

// Package vhostuser is the back-end side of the vhost-user protocol: it serves one
// virtio device with one queue to front ends (QEMU, User Mode Linux, crosvm,
// cloud-hypervisor) that connect to a Unix socket, one after the other.
//
// # Life of a connection
//
// A Server accepts a connection and gives it to a session, which reads one request
// after the other, checks its payload size and file descriptors against the row of its
// dispatch table, and answers. Requests take effect in order, and an answer is sent
// only when its request has taken effect.
//
//	connected    protocol features, back-end channel
//	  realized   SET_OWNER: a session. Memory, log and rings of an earlier one are gone
//	    running  a ring was kicked off (SET_VRING_KICK) and enabled, and has a size, an
//	             address and memory: the Device has its Queue (Device.Start)
//	    stopped  GET_VRING_BASE, SET_VRING_ENABLE 0: Device.Stop has drained the ring
//	             before the answer is sent
//	  unrealized the back-end channel was closed (unplug), with the socket alive
//	gone         end of file on the socket
//
// A front end may begin again with SET_OWNER on the same connection. Memory that is added
// is swapped in below a running ring; memory that goes away pauses it: drain, swap, restart
// where it was. A ring whose memory is gone waits for memory that has its addresses again.
//
// # Errors
//
// QEMU aborts when its back end goes away at the wrong time, so that the main socket is
// never closed because of an error. What cannot be done is refused: the answer is non-zero
// where one is wanted, else there is a log line, and the connection goes on. After bytes
// that are no message the rings are stopped, and what follows is discarded until the front
// end hangs up. A message cannot end the process: a page of guest memory that is gone, and
// any other panic of a request, refuses that request.
//
// Every file descriptor that is received is closed at the end of its request, unless the
// request's handler took it.
//
// # Goroutines and lock order
//
// A session is one goroutine, which polls the socket, the back-end channel and the order to
// shut down, and calls the Device; its state has no lock.
//
//	Server.serving (one session at a time)
//	  conn.mu (the socket's fd against Server's look at a connection that may have ended)
//
// # Sources
//
// QEMU's docs/interop/vhost-user.rst; for what front ends really send, hw/virtio/vhost-user.c
// of QEMU and arch/um/drivers/virtio_uml.c of Linux.
package vhostuser
