// SPDX-License-Identifier: Apache-2.0

package flush

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

var quiet = slog.New(slog.DiscardHandler)

func TestNow(t *testing.T) {
	var log bytes.Buffer
	var failure error
	f := New(func() error { return failure }, slog.New(slog.NewTextHandler(&log, nil)))
	if s := f.Stats(); !s.Last.IsZero() || len(s.Flushes) != int(triggerCount) || len(s.Failures) != int(triggerCount) {
		t.Errorf("at first: %+v", s)
	}
	before := time.Now()
	if err := f.Now(Suspended); err != nil {
		t.Error(err)
	}
	s := f.Stats()
	last := s.Last
	if s.Flushes[Suspended] != 1 || last.Before(before) || last.After(time.Now()) {
		t.Errorf("after a flush: %+v", s)
	}
	failure = errors.New("the disk is full")
	if err := f.Now(Disconnected); err != failure {
		t.Errorf("error %v", err)
	}
	s = f.Stats()
	if s.Flushes[Disconnected] != 0 || s.Failures[Disconnected] != 1 || s.Last != last {
		t.Errorf("after a failure: %+v", s)
	}
	for _, want := range []string{
		`level=INFO msg="qid table flushed" trigger=suspended seconds=`,
		`level=WARN msg="qid table not flushed" trigger=disconnected seconds=`,
		`error="the disk is full"`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in the log:\n%s", want, &log)
		}
	}
}

// TestSoon: while a flush takes long, everybody else goes on, and what comes meanwhile is
// done together.
func TestSoon(t *testing.T) {
	began, goOn := make(chan struct{}), make(chan struct{})
	f := New(func() error { began <- struct{}{}; <-goOn; return nil }, quiet)
	f.Soon(QMPStop)
	<-began
	for range 1000 {
		f.Soon(QMPShutdown)
		f.Soon(QMPStop)
	}
	goOn <- struct{}{}
	<-began
	goOn <- struct{}{}
	if err := f.End(func() error { return nil }); err != nil {
		t.Error(err)
	}
	s := f.Stats()
	if s.Flushes[QMPStop] != 2 || s.Flushes[QMPShutdown] != 1 || s.Flushes[DaemonEnd] != 1 {
		t.Errorf("%+v", s)
	}
	f.Soon(QMPStop) // too late, and no harm
	if err := f.End(nil); err == nil {
		t.Error("ended twice")
	}
	if again := f.Stats(); again.Flushes[QMPStop] != 2 {
		t.Errorf("%+v", again)
	}
}

// TestFlood: events that come all the time do not have the table flushed all the time.
func TestFlood(t *testing.T) {
	var n atomic.Int64
	f := New(func() error { n.Add(1); return nil }, quiet)
	began := time.Now()
	for time.Since(began) < 3*pause {
		f.Soon(QMPStop)
		time.Sleep(time.Millisecond)
	}
	most := int64(time.Since(began)/pause) + 1
	if got := n.Load(); got < 2 || got > most {
		t.Errorf("%d flushes in %v, want 2 to %d", got, time.Since(began), most)
	}
	if err := f.End(func() error { return nil }); err != nil {
		t.Error(err)
	}
}

// TestEnd waits for what was begun, and does what was asked for, without a pause.
func TestEnd(t *testing.T) {
	began, goOn := make(chan struct{}, 1), make(chan struct{})
	var last atomic.Bool
	f := New(func() error {
		if last.Load() {
			t.Error("flushed after the last time")
		}
		select {
		case began <- struct{}{}:
		default:
		}
		<-goOn
		return nil
	}, quiet)
	f.Soon(QMPSuspend)
	<-began
	f.Soon(QMPPowerdown)
	ended := make(chan error, 1)
	go func() { ended <- f.End(func() error { last.Store(true); return nil }) }()
	select {
	case err := <-ended:
		t.Errorf("ended during a flush: %v", err)
	case <-time.After(10 * time.Millisecond):
	}
	close(goOn)
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("does not end")
	}
	if s := f.Stats(); s.Flushes[QMPSuspend] != 1 || s.Flushes[QMPPowerdown] != 1 || s.Flushes[DaemonEnd] != 1 {
		t.Errorf("%+v", s)
	}
}

// TestTriggers: each has a name of its own, and what vhostuser says is known.
func TestTriggers(t *testing.T) {
	names := map[string]bool{}
	for trigger := range triggerCount {
		names[trigger.String()] = true
	}
	if len(names) != int(triggerCount) || names[""] {
		t.Errorf("names: %v", names)
	}
	for reason, want := range map[string]string{
		"disconnected":            "disconnected",
		"new owner":               "new_owner",
		"back-end channel closed": "unplugged",
		"shutdown":                "daemon_end",
		"a new one":               "unrealized",
	} {
		if got := ByReason(reason).String(); got != want {
			t.Errorf("%q: %s, want %s", reason, got, want)
		}
	}
}
