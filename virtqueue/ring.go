// SPDX-License-Identifier: Apache-2.0

package virtqueue

import "fmt"

// Pop takes the next available chain. It returns false when there is none, and ErrBroken
// when the queue is, or turns out to be, broken. Malformed chains are given back and
// skipped; after a ring full of them Pop returns false, so that the caller can see whether
// it is to stop, and Pending is still true. The queue is locked.
func (q *Queue) Pop(c *Chain) (ok bool, err error) {
	defer q.survive(&err)
	for range q.size {
		if q.broken.Load() {
			return false, ErrBroken
		}
		if q.packed != nil {
			ok, err = q.takePacked(c)
		} else {
			ok, err = q.takeSplit(c)
		}
		if !ok {
			return false, err
		}
		if err == nil {
			q.chains++
			return true, nil
		}
		q.stats.BadChains.Add(1)
		if q.onBad != nil {
			q.onBad(c.head, err)
		}
		ok, err = false, nil
		c.reset()
		q.Push(c, 0)
		if q.CallWanted() {
			q.Call()
		}
	}
	return false, nil
}

// takeSplit takes the next chain off a split ring, and says what is wrong with it. It returns
// false when there is none, or the ring is corrupt.
func (q *Queue) takeSplit(c *Chain) (bool, error) {
	if !q.pendingSplit() {
		return false, nil
	}
	if waiting := q.availSeen - q.nextAvail; waiting > q.size {
		q.Break(fmt.Errorf("available index %d is %d ahead of %d, the ring has %d entries", q.availSeen, waiting, q.nextAvail, q.size))
		return false, ErrBroken
	}
	head := q.avail.load16(availRing + 2*int(q.nextAvail&q.mask))
	if head >= q.size {
		q.Break(fmt.Errorf("available entry %d names descriptor %d, the ring has %d entries", q.nextAvail, head, q.size))
		return false, ErrBroken
	}
	q.nextAvail++
	c.reset()
	c.head = head
	q.walker.use(q.memory)
	return true, q.walker.walk(c, q.desc, head)
}

// pendingSplit reports whether a chain waits that was not there when the index was last read,
// or is not yet taken.
func (q *Queue) pendingSplit() bool {
	if q.availSeen == q.nextAvail {
		q.availSeen = q.avail.load16(availIdx)
	}
	return q.availSeen != q.nextAvail
}

// Pending returns how many chains wait to be popped, as far as is known: 0 means that none
// does. The queue is locked.
func (q *Queue) Pending() (n int) {
	defer q.survive(nil)
	switch {
	case q.broken.Load():
		return 0
	case q.packed != nil:
		q.packed.look()
	default:
		q.pendingSplit()
	}
	return q.Seen()
}

func (q *Queue) pending() bool {
	if q.packed != nil {
		return q.packed.pending()
	}
	return q.pendingSplit()
}

// Seen returns how many chains Pop and Pending have seen that are not popped yet. It does not
// look at the ring. The queue is locked.
func (q *Queue) Seen() int {
	if q.packed != nil {
		return q.packed.seen
	}
	return int(q.availSeen - q.nextAvail)
}

// Position returns where Pop has got to, for Arrived. The queue is locked.
func (q *Queue) Position() uint16 {
	if q.packed != nil {
		return q.packed.encoded(q.packed.next)
	}
	return q.nextAvail
}

// Arrived reports whether the driver has made a chain available since Pop had got to a
// position and found no more. Any thread may ask, again and again; the queue is not locked.
func (q *Queue) Arrived(position uint16) bool {
	defer func() {
		if v := recover(); v != nil {
			q.Lock()
			q.Break(fault(v))
			q.Unlock()
		}
	}()
	switch {
	case q.broken.Load():
		return true
	case q.packed != nil:
		return q.packed.arrived(position)
	}
	return q.avail.load16(availIdx) != position
}

// Push gives a chain back with the number of bytes that were written to it, from the start
// of Writable. The driver sees it at once, but is told by Call. On a broken queue it does
// nothing. The queue is locked.
func (q *Queue) Push(c *Chain, written int) {
	defer q.survive(nil)
	if q.broken.Load() {
		return
	}
	log := q.log
	if log != nil {
		q.memory.logWritten(log, c, written)
	}
	if q.packed != nil {
		q.pushPacked(c, written, log)
		return
	}
	slot := int(q.usedIdx & q.mask)
	q.used.put32(usedRing+8*slot, uint32(c.head))
	q.used.put32(usedRing+8*slot+4, uint32(written))
	q.usedIdx++
	if q.usedIdx == q.signalled {
		q.everSignal = false // 65536 since: not to be taken for none
	}
	q.storeUsedWord()
	if log != nil {
		if q.logUsed {
			log.Mark(q.usedLogAddr+usedRing+8*uint64(slot), 8)
			log.Mark(q.usedLogAddr, 4)
		}
		log.signal()
	}
}

// storeUsedWord writes used.flags and used.idx, which share a word that only we write to.
func (q *Queue) storeUsedWord() {
	w := uint32(q.usedIdx) << 16
	if q.noNotify {
		w |= usedNoNotify
	}
	q.used.store32(usedFlags, w)
}

// logWritten marks the first n bytes of Writable. They are marked before the chain shows on
// the used ring: what the driver sees is in the log.
func (m *Memory) logWritten(log *Log, c *Chain, n int) {
	rest := uint64(n)
	for i := range c.Writable {
		v := &c.Writable[i]
		part := min(v.Len, rest)
		for _, r := range m.regions {
			if at := offset(r.mem, v.Base); at < r.Size() {
				log.Mark(r.guestAddr+at, part)
				break
			}
		}
		rest -= part
	}
}

// Call tells the driver of the chains that were pushed, after CallWanted has said that it wants
// to know, and reports whether it could. The queue is better not locked: the driver may well take
// this processor at once, and other threads have chains to push.
func (q *Queue) Call() (told bool) {
	q.callMu.RLock()
	defer q.callMu.RUnlock()
	if q.call.fd >= 0 {
		q.stats.Interrupts.Add(1)
		q.call.signal()
		return true
	}
	return false
}

// CallWanted reports whether the driver wants to know of what was pushed since it was last
// called, and takes it that the driver is told. The queue is locked.
func (q *Queue) CallWanted() bool {
	defer q.survive(nil)
	switch {
	case q.broken.Load():
		return false
	case q.packed != nil:
		return q.packed.callWanted()
	}
	return q.callWanted()
}

// callWanted is CallWanted for a split ring.
func (q *Queue) callWanted() bool {
	if q.signalled == q.usedIdx && q.everSignal {
		return false
	}
	old, first := q.signalled, !q.everSignal
	q.signalled, q.everSignal = q.usedIdx, true
	if q.eventIdx {
		// 2.7.7.2: told when used_event was passed. The store of the index came before this
		// load (both are sequentially consistent).
		event := q.avail.load16(availRing + 2*int(q.size))
		return first || q.usedIdx-event-1 < q.usedIdx-old
	}
	return q.avail.load16(availFlags)&availNoInterrupt == 0
}

// EnableKick asks the driver to kick for the next chain, and reports whether one came
// before that took effect: then the caller goes on popping. The queue is locked.
func (q *Queue) EnableKick() (pending bool) {
	defer q.survive(nil)
	if q.broken.Load() {
		return false
	}
	switch {
	case q.packed != nil:
		q.setDeviceEvent(q.packed.kickEvent())
	case q.eventIdx:
		q.setAvailEvent(q.nextAvail)
	default:
		q.setNoNotify(false)
	}
	return q.pending()
}

// DisableKick tells the driver that kicks are not needed. The queue is locked.
func (q *Queue) DisableKick() {
	defer q.survive(nil)
	// With the event index the driver kicks only when it passes avail_event, which stands
	// still: nothing to write.
	switch {
	case q.eventIdx || q.broken.Load():
	case q.packed != nil:
		q.setDeviceEvent(eventDisable)
	default:
		q.setNoNotify(true)
	}
}

func (q *Queue) setNoNotify(v bool) {
	if q.noNotify == v {
		return
	}
	q.noNotify = v
	q.storeUsedWord()
	if q.log != nil && q.logUsed {
		q.log.Mark(q.usedLogAddr, 4)
	}
}

// setAvailEvent writes avail_event, which shares its word with whatever the driver put
// behind the ring.
func (q *Queue) setAvailEvent(v uint16) {
	off := usedRing + 8*int(q.size)
	q.used.store16(off, v)
	if q.log != nil && q.logUsed {
		q.log.Mark(q.usedLogAddr+uint64(off), 2)
	}
}

// Wait waits for a kick, for Kick, or for timeout milliseconds (at most a second; -1: for
// ever). Of several threads that wait an event wakes one, the last that came. A ring without a
// kick fd is looked at every millisecond.
func (q *Queue) Wait(timeout int) {
	if q.waiter.kick.Load() < 0 && timeout != 0 {
		timeout = 1
	}
	if q.waiter.wait(timeout) {
		q.stats.Kicks.Add(1)
	}
}
