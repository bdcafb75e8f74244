// SPDX-License-Identifier: Apache-2.0

package virtqueue

// DrainKick does what Wait does when the time has come to empty the kick fd, with the
// number that the event names.
func DrainKick(q *Queue, fd int) { q.waiter.drain(int32(fd)) }
