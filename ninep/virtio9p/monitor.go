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
	// stuckAfter is how long it may take when no other request waits, or when it needs a processor
	// for all that time: one more thread would take that from it.
	stuckAfter = 2 * time.Millisecond
	// endless is how long it must need a processor to be left to the kernel's scheduler: others, of
	// which some may be as long, are not to wait for its end.
	endless = 100 * time.Millisecond
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
	tasks    tasks
	suspects []suspect
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
	m.tasks = newTasks()
	defer m.tasks.forget()
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
		busy, stuck, crowded := m.findStuck(s)
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
// and reports whether others execute, whether there was any of the former that was not known,
// and whether several requests were there at once since the last call.
func (m *monitor) findStuck(s *service) (busy, stuck, crowded bool) {
	m.suspects = m.suspects[:0]
	s.session.Lock()
	crowded, s.crowded = s.crowded, false
	busy = s.running+s.long > 0
	if busy {
		limit := int64(stuckAfter)
		if s.unattended() {
			// Where operations take long as a rule, another thread does not make them shorter.
			limit = min(max(int64(monitorPeriod), 2*s.cost), limit)
		}
		now := ninep.Nanotime()
		for _, w := range s.workers {
			if (w.running || w.long) && now-w.since >= limit {
				m.suspects = append(m.suspects, suspect{w, w.since})
			}
		}
	}
	s.unlock()
	if len(m.suspects) > 0 {
		s.flush()
	}
	for _, u := range m.suspects {
		waits := m.tasks.waits(u.w.tid) // under no lock: it takes some microseconds
		took := ninep.Nanotime() - u.since
		if !waits && took < int64(stuckAfter) {
			continue
		}
		s.session.Lock()
		if u.since == u.w.since {
			stuck = s.tookLong(u.w, waits || took >= int64(endless)) || stuck
		}
		s.unlock()
	}
	return busy, stuck, crowded
}

// suspect is a worker that may be stuck in the operation that it began at a time.
type suspect struct {
	w     *worker
	since int64
}

// tookLong takes account of a worker that has been in one operation for long, and either is not to
// be counted any more, because it waits, or needs a processor for all that time. It reports whether
// that is news. Preconditions: the session is locked.
func (s *service) tookLong(w *worker, discount bool) (news bool) {
	if !w.running && !w.long {
		return false // it has said itself that it would block
	}
	if news = !w.stuck; news {
		w.stuck = true
		s.d.stats.Stuck.Add(1)
	}
	switch {
	case discount:
		s.blocked(w)
	case w.running:
		w.setRunning(false)
		w.setLong(true)
		s.handOver()
	}
	return news
}

// unattended reports whether chains wait, or replies of which the driver has not been told.
// Preconditions: the session is locked.
func (s *service) unattended() bool { return s.teller.any() || s.q.Pending() > 0 }
