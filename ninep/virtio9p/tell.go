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
	unsent atomic.Int32  // replies since the driver was last told
	since  atomic.Int64  // when the first of them was ready, by ninep.Nanotime
	told   atomic.Uint32 // times that there were any to tell of
	near   atomic.Int32  // samples of late in which it took this processor, less the others
}

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
	if t.unsent.Add(1) == 1 {
		t.since.Store(now)
	}
}

// any reports whether there are replies to tell of.
func (t *teller) any() bool { return t.unsent.Load() > 0 }

// due reports whether the driver is to be told before one more request is executed, which will
// take cost nanoseconds, as will each of the left ones that wait behind it.
func (t *teller) due(now, cost, left int64) bool {
	n := t.unsent.Load()
	if n == 0 {
		return false
	}
	most, after := int32(soonReplies), int64(soon)
	if rest := left * cost; rest > runway || t.late() {
		most, after = lateReplies, max(late, min(rest/lateShare, latest))
	}
	return n >= most || now-t.since.Load()+cost > after
}

func (t *teller) late() bool { return t.near.Load() > 0 }

// tell calls notify, which reports whether it woke the driver, if there are replies to tell of.
func (t *teller) tell(notify func() bool) {
	if t.unsent.Swap(0) == 0 {
		return
	}
	if t.told.Add(1)%sampleEvery != 0 {
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
