// SPDX-License-Identifier: Apache-2.0

package drive

import (
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"

	"vhost-user-9p/test/bench/cases"
	"vhost-user-9p/test/bench/report"
	"vhost-user-9p/virtqueue/virtqtest"
)

// transport carries the messages of slots to a server.
type transport interface {
	// stage puts a slot's message before the server, which need not see it before publish.
	stage(slot int, m *message)
	publish()
	// reap returns how many answers it put into used: the slots are the heads.
	reap(used []virtqtest.Used) int
	// wait sleeps until there may be something to reap, or interrupt is called.
	wait()
	interrupt()
}

// slot is one operation in flight.
type slot struct {
	messages   []*message // of an operation
	occasional []*message // of one in cases.SyncEvery instead, if any

	current []*message
	at      int // in current
	began   time.Duration
}

// loop keeps slots busy.
type loop struct {
	tb    testing.TB
	to    transport
	check func(m *message, written uint32) bool // whether the answer is the expected one
	slots []slot
	used  []virtqtest.Used
	each  int64 // operations that a slot's messages are

	busy     int // slots in flight
	begun    int64
	most     int64 // operations to begin
	over     bool
	deadline time.Duration
	failed   error
	dead     atomic.Bool // no answer for too long
	latency  histogram
}

// epoch is what times are relative to.
var epoch = time.Now()

// unlimited is a number of operations that is not reached.
const unlimited = math.MaxInt64

// patience is how long a server may take beyond the time of a measurement.
const patience = 20 * time.Second

// start readies the loop for a case.
func (l *loop) start(c cases.Case, slots []slot) {
	l.slots, l.each = slots, c.Operations()
	l.used = make([]virtqtest.Used, len(slots))
}

// run measures for a time, or until so many operations are begun. Those that are in
// flight at the end are waited for: all that were begun are counted, and the time they take.
func (l *loop) run(d time.Duration, most int64) report.Round {
	l.tb.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer pinDriver()()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	watchdog := time.AfterFunc(d+patience, func() {
		l.dead.Store(true)
		l.to.interrupt()
	})
	defer watchdog.Stop()

	l.latency = histogram{}
	l.begun, l.most, l.over = 0, most, false
	start := time.Since(epoch)
	l.deadline = start + d
	end := start
	for i := range l.slots {
		l.begin(i, start)
	}
	l.to.publish()
	for l.busy > 0 && l.failed == nil {
		n := l.to.reap(l.used)
		if n == 0 {
			if l.dead.Load() {
				l.tb.Fatalf("no answer within %v, %d requests are out", patience, l.busy)
			}
			l.to.wait()
			continue
		}
		end = time.Since(epoch)
		for _, u := range l.used[:n] {
			l.answered(u, end)
		}
		l.to.publish()
	}
	if l.failed != nil {
		l.tb.Fatal(l.failed)
	}
	return report.Round{
		Operations: l.begun * l.each,
		Elapsed:    end - start,
		P50:        l.latency.quantile(0.5),
		P99:        l.latency.quantile(0.99),
		P999:       l.latency.quantile(0.999),
	}
}

// begin begins a slot's next operation.
func (l *loop) begin(i int, now time.Duration) {
	s := &l.slots[i]
	l.begun++
	s.current, s.at, s.began = s.messages, 0, now
	if s.occasional != nil && l.begun%cases.SyncEvery == 0 {
		s.current = s.occasional
	}
	l.busy++
	l.send(i)
}

func (l *loop) send(i int) {
	m := l.slots[i].current[l.slots[i].at]
	if m.before != nil {
		m.before()
	}
	l.to.stage(i, m)
}

// answered goes on with a slot whose message was answered.
func (l *loop) answered(u virtqtest.Used, now time.Duration) {
	i := int(u.Head)
	s := &l.slots[i]
	m := s.current[s.at]
	if !l.check(m, u.Written) {
		l.failed = fmt.Errorf("slot %d, %s: unexpected answer of %d bytes: % x", i, m.name, u.Written, m.reply[:min(len(m.reply), int(u.Written), 32)])
		return
	}
	if m.after != nil && m.after(u.Written) {
		l.send(i)
		return
	}
	if s.at++; s.at < len(s.current) {
		l.send(i)
		return
	}
	if s.occasional == nil || &s.current[0] == &s.messages[0] {
		l.latency.add(now - s.began)
	}
	l.busy--
	// One slot looks at the clock: if all have the same to do and are answered in turn,
	// all end with the same number of operations.
	if i == 0 && now >= l.deadline || l.begun >= l.most {
		l.over = true
	}
	if !l.over {
		l.begin(i, now)
	}
}
