// SPDX-License-Identifier: Apache-2.0

package virtqueue

// Notify tells the driver of the chains pushed since it was last told, unless it does not want
// to know, and reports whether it did.
func (q *Queue) Notify() (told bool) {
	q.Lock()
	wanted := q.CallWanted()
	q.Unlock()
	return wanted && q.Call()
}

// DrainKick does what Wait does when the time has come to empty the kick fd, with the
// number that the event names.
func DrainKick(q *Queue, fd int) { q.waiter.drain(int32(fd)) }
