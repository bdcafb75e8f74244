// SPDX-License-Identifier: Apache-2.0

package virtio9p

import (
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

const (
	// monitorPeriod is how long an operation may take before other requests, if there
	// are any, get another thread: longer than a cached operation takes, shorter than a
	// person or a disk notices.
	monitorPeriod = 250 * time.Microsecond
	// After calmPeriods without such an operation the period is twice as long, and so on: a
	// timer costs ten microseconds where a hypervisor sets it. calmShift and aloneShift bound
	// that, the latter while requests come one at a time, and none could have to wait.
	calmPeriods           = 16
	calmShift, aloneShift = 2, 4
	// stuckAfter is how long it may take when no other request waits.
	stuckAfter = 2 * time.Millisecond
	// quietPeriods is the number of periods without an operation after which the monitor
	// goes to sleep.
	quietPeriods = 2
)

// monitor looks for operations that block without having said so. It has a thread of its
// own, because Go's timers are too coarse, and sleeps for good while there is no work.
type monitor struct {
	awake    atomic.Bool
	stopping atomic.Bool
	parked   parking
	calm     int  // periods since an operation took long
	alone    bool // in the last one each request came when nothing else was in flight
	done     chan struct{}
}

// period returns how long to nap.
func (m *monitor) period() time.Duration {
	limit := calmShift
	if m.alone {
		limit = aloneShift
	}
	return monitorPeriod << min(m.calm/calmPeriods, limit)
}

func (m *monitor) start(s *service) {
	m.done = make(chan struct{})
	go m.run(s)
}

func (m *monitor) stop() {
	m.stopping.Store(true)
	m.parked.wake()
	<-m.done
}

// poke wakes the monitor if it sleeps: an operation begins.
func (m *monitor) poke() {
	if !m.awake.Load() && m.awake.CompareAndSwap(false, true) {
		m.parked.wake()
	}
}

func (m *monitor) run(s *service) {
	defer close(m.done)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	debug.SetPanicOnFault(true) // it looks at the ring
	for {
		m.parked.sleep()
		for awake := true; awake; {
			m.watch(s)
			if m.stopping.Load() {
				return
			}
			began := s.started()
			m.awake.Store(false)
			// An operation that began before the store poked nobody.
			awake = s.started() != began && m.awake.CompareAndSwap(false, true)
		}
	}
}

// watch returns when there was no work for some time, or at stop.
func (m *monitor) watch(s *service) {
	var period unix.Timespec
	began := s.started()
	for quiet := 0; quiet < quietPeriods; quiet++ {
		period = unix.NsecToTimespec(int64(m.period()))
		nap(&period)
		if m.stopping.Load() {
			return
		}
		busy, stuck, crowded := s.findStuck()
		m.alone = !crowded
		if m.calm++; stuck {
			m.calm = 0
		}
		if now := s.started(); busy || now != began {
			began, quiet = now, -1
		}
	}
}

// findStuck hands the ring over from workers that have been in one operation for too long,
// and reports whether others execute, whether there was any of the former, and whether
// several requests were there at once since the last call.
func (s *service) findStuck() (busy, stuck, crowded bool) {
	s.mu.Lock()
	defer s.unlock()
	crowded, s.crowded = s.crowded, false
	if s.running == 0 {
		return false, false, crowded
	}
	limit := stuckAfter
	if s.unattended() {
		limit = monitorPeriod
	}
	now := ninep.Nanotime()
	for _, w := range s.workers {
		if !w.running {
			continue
		}
		if now-w.since < int64(limit) {
			busy = true
			continue
		}
		s.d.stats.Stuck.Add(1)
		s.flush()
		w.stuck, stuck = true, true
		s.blocked(w)
	}
	return busy, stuck, crowded
}

// unattended reports whether chains wait, or replies of which the driver has not been told.
// Preconditions: s.mu is held.
func (s *service) unattended() bool { return s.teller.any() || s.q.Pending() > 0 }
