// SPDX-License-Identifier: Apache-2.0

package vhostuser

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// Config is a Server's configuration. Its zero value is useful.
type Config struct {
	// If set, what happens is logged here. If not set, nothing is logged.
	Logger *slog.Logger
}

// Server serves a Device to front ends, one after the other.
type Server struct {
	dev   Device
	log   *slog.Logger
	stats counters

	closed context.Context // done: Close was called
	close  context.CancelFunc

	serving chan struct{} // holds one token: one session at a time
}

// NewServer returns a Server for dev.
func NewServer(dev Device, cfg Config) *Server {
	s := &Server{dev: dev, log: cfg.Logger, serving: make(chan struct{}, 1)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.closed, s.close = context.WithCancel(context.Background())
	return s
}

// Stats returns the counters as they are now.
func (s *Server) Stats() Stats { return s.stats.snapshot() }

// Close makes Serve and ServeConn stop: they drain the rings, unrealize the Device and return
// nil. Close does not wait for that. It may be called more than once, from any goroutine.
func (s *Server) Close() error {
	s.close()
	return nil
}

// until returns a context that ends with ctx or by Close.
func (s *Server) until(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.closed, cancel)
	return ctx, func() { stop(); cancel() }
}

// ServeConn serves the front end at the other end of conn, which it takes over, until it hangs
// up, ctx is done, or Close is called; then it returns nil. If another front end is being served
// it waits for its end first.
func (s *Server) ServeConn(ctx context.Context, conn *net.UnixConn) error {
	c, err := newConn(conn)
	if err != nil {
		return err
	}
	ctx, cancel := s.until(ctx)
	defer cancel()
	return s.serve(ctx, c)
}

func (s *Server) serve(ctx context.Context, c *conn) error {
	defer c.close()
	select {
	case s.serving <- struct{}{}:
		defer func() { <-s.serving }()
	case <-ctx.Done():
		return nil
	}
	defer context.AfterFunc(ctx, c.interrupt)()

	log := s.log.With("connection", s.stats.connections.Add(1))
	s.stats.connected.Store(true)
	defer s.stats.connected.Store(false)
	log.Info("front end connected", "pid", c.peerPID())
	err := newSession(s.dev, log, &s.stats, c).run()
	if err != nil {
		log.Warn("front end disconnected", "error", err)
		return err
	}
	log.Info("front end disconnected")
	return nil
}

// Serve serves the front ends that connect to l, one after the other, until ctx is done or Close
// is called; then it returns nil. l stays the caller's, who closes it.
//
// A front end that connects while another is served is disconnected at once, as by QEMU's own
// back ends: QEMU then says that it could not start the device, where it would hang without a
// word if it were left in the backlog. But if the one before has hung up, and is only being
// wound up, the new one waits for that: UML connects again when the guest reboots.
func (s *Server) Serve(ctx context.Context, l *net.UnixListener) error {
	ctx, cancel := s.until(ctx)
	defer cancel()
	defer unblock(ctx, l)()

	var current *conn
	done := make(chan struct{}) // closed: current has been served
	close(done)
	defer func() {
		cancel()
		<-done
	}()
	for {
		uc, err := accept(ctx, l, s.log)
		if err != nil {
			// A listener that fails is no reason to drop the virtual machine that is connected.
			select {
			case <-done:
			case <-ctx.Done():
			}
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		select {
		case <-done:
		default:
			if !current.hungUp() {
				s.stats.refused.Add(1)
				s.log.Warn("front end refused: another one is being served")
				_ = uc.Close()
				continue
			}
			<-done
		}
		c, err := newConn(uc)
		if err != nil {
			s.log.Error("front end cannot be served", "error", err)
			continue
		}
		current, done = c, make(chan struct{})
		go func(done chan struct{}) {
			defer close(done)
			_ = s.serve(ctx, c) // logged
		}(done)
	}
}

// unblock makes Accept fail when ctx is done. The function that it returns undoes that.
func unblock(ctx context.Context, l *net.UnixListener) func() {
	past := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = l.SetDeadline(time.Unix(1, 0))
		close(past)
	})
	return func() {
		if !stop() {
			<-past
			_ = l.SetDeadline(time.Time{})
		}
	}
}

// acceptRetry is how long accept waits when the system is short of something.
const acceptRetry = 100 * time.Millisecond

// accept accepts the next connection. What can pass (no file descriptor left) is no reason to end:
// somebody's virtual machine may be connected.
func accept(ctx context.Context, l *net.UnixListener, log *slog.Logger) (*net.UnixConn, error) {
	for first := true; ; first = false {
		uc, err := l.AcceptUnix()
		switch {
		case err == nil:
			return uc, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOMEM),
			errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.ECONNABORTED):
		default:
			return nil, fmt.Errorf("accept: %w", err)
		}
		if first {
			log.Warn("accepting a connection failed, trying again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(acceptRetry):
		}
	}
}
