// SPDX-License-Identifier: Apache-2.0

// Package drive drives servers as fast as they answer: a closed loop in one thread, with a
// fixed number of operations in flight.
//
// Each of them has a slot, with files of its own, and sends one message at a time. All its
// messages are laid out in guest memory before the loop begins, and only what differs from
// one time to the next is changed there. The loop takes all answers that there are, puts
// the next message of each slot that was answered on the ring, publishes them together,
// kicks if the server asked for it, and sleeps when there is no answer. It
// allocates nothing.
//
// A Server is one way to be served: 9P, FUSE, or the floor, which is no server but only
// makes the same system calls.
package drive
