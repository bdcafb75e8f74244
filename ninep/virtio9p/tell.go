// SPDX-License-Identifier: Apache-2.0

package virtio9p

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// teller says when the driver is told of replies while there is always a next request to go on
// with. To tell costs about as much as to answer: a system call, and a thread that wakes up.
// A driver with a processor of its own takes the replies while the device goes on, and is told
// soon, unless so much waits that the device has work until the driver puts more on the ring;
// one that takes the device's processor for that waits for it anyway, and is told late.
// Which it is shows when it is told: the thread that tells it is still there, or was preempted.
type teller struct {
	// Under the session's lock.
	unsent int    // replies since the driver was last told
	since  int64  // when the first of them was ready, by ninep.Nanotime
	told   uint32 // times that it was told

	near atomic.Int32 // samples of late in which it took this processor, less the others
}

// call is how the driver is to be told.
type call uint8

const (
	callNone   call = iota // not
	callPlain              // and that is all
	callSample             // and it is looked at what the driver does
)

const (
	// It is told after so many replies, or so many nanoseconds.
	soonReplies, soon = 5, 30_000
	lateReplies, late = 32, 250_000
	// It is told late, too, while what waits takes longer than this, in nanoseconds: the device
	// does not run out of requests before a driver that has just been told puts more on the ring.
	runway = 50_000
	// Late is later where that takes long, by this part of it, up to a time: who has so much on the
	// ring waits longer for the rest of it.
	lateShare, latest = 4, 1_000_000
	// sampleEvery is how seldom is looked at what it does when it is told.
	sampleEvery = 64
	// surely bounds how many more samples of one kind than of the other count.
	surely = 3
)

// add takes account of a reply that was ready at a time.
func (t *teller) add(now int64) {
	if t.unsent++; t.unsent == 1 {
		t.since = now
	}
}

// any reports whether there are replies to tell of.
func (t *teller) any() bool { return t.unsent > 0 }

// take takes it that the driver is told of the replies there are, if it wants to know, and says how.
func (t *teller) take(wanted bool) call {
	t.unsent = 0
	if !wanted {
		return callNone
	}
	if t.told++; t.told%sampleEvery == 0 {
		return callSample
	}
	return callPlain
}

// due reports whether the driver is to be told before one more request is executed, which will
// take cost nanoseconds, as will each of the left ones that wait behind it.
func (t *teller) due(now, cost, left int64) bool {
	if t.unsent == 0 {
		return false
	}
	most, after := soonReplies, int64(soon)
	if rest := left * cost; rest > runway || t.late() {
		most, after = lateReplies, max(late, min(rest/lateShare, latest))
	}
	return t.unsent >= most || now-t.since+cost > after
}

func (t *teller) late() bool { return t.near.Load() > 0 }

// tell calls notify, which reports whether it woke the driver.
func (t *teller) tell(c call, notify func() bool) {
	if c == callPlain {
		notify()
		return
	}
	if before := preemptions(); notify() {
		t.sample(preemptions() != before)
	}
}

// sample takes account of whether the driver took this processor when it was told. Samples of
// several threads at once may be lost.
func (t *teller) sample(preempted bool) {
	if n := t.near.Load(); preempted {
		t.near.Store(min(n+1, surely))
	} else {
		t.near.Store(max(n-1, -surely))
	}
}

// preemptions returns how often this thread has lost its processor to another one.
func preemptions() int64 {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_THREAD, &u)
	return u.Nivcsw
}
