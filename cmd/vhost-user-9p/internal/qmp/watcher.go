// SPDX-License-Identifier: Apache-2.0

package qmp

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Config says what to do with what is seen.
type Config struct {
	// Event is called with each event but Other, in their order. Events wait while it
	// runs, and so does Close. Not nil.
	Event func(Event)

	// Logger gets what an operator should know. If nil, nothing is logged.
	Logger *slog.Logger

	// MinDelay is the pause after a connection, or an attempt at one, that failed. It
	// doubles up to MaxDelay, and falls back after a connection that lasted longer than
	// that. If 0, 100 ms and 5 s.
	MinDelay, MaxDelay time.Duration

	// Silence is how long a connection may wait for the greeting without a word in the
	// log. If 0, 10 s.
	Silence time.Duration
}

// Watcher watches the QMP monitor at a socket, whenever there is one.
type Watcher struct {
	cfg    Config
	log    *slog.Logger
	socket *socket
	stats  counters

	ctx   context.Context // until Close
	end   context.CancelFunc
	retry chan struct{} // has room for one
	done  chan struct{} // closed: run has returned
	once  sync.Once     // closes socket

	said string // of a failure that is in the log already; run's
}

// Watch starts to watch. The socket at path need not exist yet, but its folder must.
func Watch(path string, cfg Config) (*Watcher, error) {
	s, err := openSocket(path)
	if err != nil {
		return nil, err
	}
	cfg.MinDelay = cmp.Or(cfg.MinDelay, 100*time.Millisecond)
	cfg.MaxDelay = cmp.Or(cfg.MaxDelay, 5*time.Second)
	cfg.Silence = cmp.Or(cfg.Silence, 10*time.Second)
	w := &Watcher{cfg: cfg, log: cfg.Logger, socket: s, retry: make(chan struct{}, 1), done: make(chan struct{})}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	w.ctx, w.end = context.WithCancel(context.Background())
	go w.run()
	return w, nil
}

// Stats returns the counters as they are now.
func (w *Watcher) Stats() Stats { return w.stats.snapshot() }

// Retry ends the pause between two attempts: there is a sign that QEMU runs.
func (w *Watcher) Retry() {
	select {
	case w.retry <- struct{}{}:
	default:
	}
}

// Close ends the Watcher; no Event is called any more when it returns. It may be called
// more than once.
func (w *Watcher) Close() error {
	w.end()
	<-w.done
	var err error
	w.once.Do(func() { err = w.socket.dir.Close() })
	return err
}

func (w *Watcher) run() {
	defer close(w.done)
	delay := w.cfg.MinDelay
	for {
		lasted := w.attempt()
		if lasted > w.cfg.MaxDelay {
			delay = w.cfg.MinDelay
		}
		pause := time.NewTimer(delay)
		select {
		case <-w.ctx.Done():
			pause.Stop()
			return
		case <-w.retry:
			pause.Stop()
			delay = w.cfg.MinDelay
		case <-pause.C:
			delay = min(2*delay, w.cfg.MaxDelay)
		}
	}
}

// attempt is one connection, up to its end. It returns for how long events were received.
func (w *Watcher) attempt() time.Duration {
	conn, err := w.socket.dial()
	if err != nil {
		w.failed(ReasonConnect, err)
		return 0
	}
	g, monitor, err := newGuard(conn)
	if err != nil {
		_ = conn.Close()
		w.failed(ReasonConnect, err)
		return 0
	}
	defer context.AfterFunc(w.ctx, g.cut)()
	silence := time.AfterFunc(w.cfg.Silence, func() {
		w.log.Warn("qmp monitor silent: another client may have it, and it serves one at a time")
	})
	err = g.negotiate(monitor)
	silence.Stop()
	if err != nil {
		g.close()
		_ = monitor.Disconnect()
		w.failed(ReasonNegotiate, err)
		return 0
	}
	began := time.Now()
	w.connected(monitor.Version.String())
	events, _ := monitor.Events(w.ctx) // never an error; the context is not looked at
	close(g.ready)
	// Until QEMU or the guard ends the connection: not to take an event would stop the
	// SocketMonitor's reader.
	for e := range events {
		w.event(eventOf(e.Event))
	}
	g.close()
	_ = monitor.Disconnect()
	w.disconnected(g.err)
	return time.Since(began)
}

func (w *Watcher) event(e Event) {
	w.stats.events[e].Add(1)
	if e != Other && w.ctx.Err() == nil {
		w.cfg.Event(e)
	}
}

func (w *Watcher) connected(version string) {
	w.said = ""
	w.log.Info("qmp monitor connected", "qemu", version)
	w.stats.connections.Add(1)
	w.stats.connected.Store(true)
}

func (w *Watcher) disconnected(err error) {
	w.stats.connected.Store(false)
	switch {
	case w.ctx.Err() != nil:
	case err != nil:
		w.log.Warn("qmp monitor disconnected", "error", err)
		w.stats.failures[ReasonRead].Add(1)
	default:
		w.log.Info("qmp monitor disconnected")
	}
}

// failed counts an attempt that came to nothing, and logs it unless it failed as the one
// before.
func (w *Watcher) failed(reason Reason, err error) {
	if w.ctx.Err() != nil {
		return
	}
	defer w.stats.failures[reason].Add(1)
	said := reason.String() + ": " + err.Error()
	if said == w.said {
		return
	}
	w.said = said
	switch {
	case reason == ReasonConnect && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ECONNREFUSED)):
		w.log.Info("qmp monitor not there yet, waiting for qemu", "reason", reason.String(), "error", err)
	case errors.Is(err, io.EOF):
		w.log.Info("qmp monitor disconnected before it had answered")
	default:
		w.log.Warn("qmp monitor cannot be used, trying again", "reason", reason.String(), "error", err)
	}
}
