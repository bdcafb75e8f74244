// SPDX-License-Identifier: Apache-2.0

package qmp

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience = 20 * time.Second

	// As QEMU 11 writes them.
	greeting = `{"QMP": {"version": {"qemu": {"micro": 3, "minor": 1, "major": 11}, "package": "Debian 1:11.1.3"}, "capabilities": ["oob"]}}` + "\r\n"
	answer   = `{"return": {}}` + "\r\n"
)

// line is an event as QEMU writes it.
func line(event string) string {
	return fmt.Sprintf(`{"timestamp": {"seconds": 1795862400, "microseconds": 7}, "event": "%s", "data": {"guest": true, "reason": "guest-shutdown"}}`+"\r\n", event)
}

// qemu plays QEMU's monitor: it serves one client at a time.
type qemu struct {
	t testing.TB
	l *net.UnixListener
}

func listen(t testing.TB, path string) *qemu {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &qemu{t, l}
}

// client is a connection to the monitor.
type client struct {
	*net.UnixConn
	t     testing.TB
	lines *bufio.Reader
}

func (q *qemu) accept() *client {
	q.t.Helper()
	if err := q.l.SetDeadline(time.Now().Add(patience)); err != nil {
		q.t.Fatal(err)
	}
	c, err := q.l.AcceptUnix()
	if err != nil {
		q.t.Fatal(err)
	}
	q.t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		q.t.Fatal(err)
	}
	return &client{c, q.t, bufio.NewReader(c)}
}

// serve accepts a client and negotiates.
func (q *qemu) serve() *client {
	q.t.Helper()
	c := q.accept()
	c.send(greeting)
	c.wantCommand()
	c.send(answer)
	return c
}

func (c *client) send(text ...string) {
	c.t.Helper()
	if _, err := c.Write([]byte(strings.Join(text, ""))); err != nil {
		c.t.Fatal(err)
	}
}

// try is send to a watcher that may hang up meanwhile. It reports whether it has not.
func (c *client) try(text string) bool {
	_, err := c.Write([]byte(text))
	return err == nil
}

func (c *client) wantCommand() {
	c.t.Helper()
	command, err := c.lines.ReadString('\n')
	if err != nil || command != `{"execute":"qmp_capabilities"}`+"\n" {
		c.t.Fatalf("command %q, %v", command, err)
	}
}

// wantEnd waits until the watcher has hung up, which may be with an error if it has not
// read everything.
func (c *client) wantEnd() {
	c.t.Helper()
	b, err := c.lines.ReadByte()
	if err == nil {
		c.t.Fatalf("%q instead of an end", b)
	}
	if e, ok := err.(net.Error); ok && e.Timeout() {
		c.t.Fatal("the watcher does not hang up")
	}
}

// log keeps what is logged.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *log) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

// watched is a Watcher under test.
type watched struct {
	*Watcher
	t      testing.TB
	path   string
	events chan Event
	log    log
}

// watch starts a Watcher of a socket that is not there. It tries again so often that no test
// waits for it, unless cfg says otherwise.
func watch(t testing.TB, cfg Config) *watched {
	t.Helper()
	w := &watched{t: t, path: filepath.Join(t.TempDir(), "qmp"), events: make(chan Event, 1000)}
	cfg.Event = func(e Event) { w.events <- e }
	cfg.Logger = slog.New(slog.NewTextHandler(&w.log, nil))
	if cfg.MinDelay == 0 {
		cfg.MinDelay, cfg.MaxDelay = time.Millisecond, 20*time.Millisecond
	}
	var err error
	if w.Watcher, err = Watch(w.path, cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		w.close()
		if t.Failed() {
			t.Logf("log:\n%s", w.log.String())
		}
	})
	return w
}

// close closes the Watcher, which must not take long.
func (w *watched) close() {
	w.t.Helper()
	closed := make(chan error, 1)
	go func() { closed <- w.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			w.t.Errorf("close: %v", err)
		}
	case <-time.After(patience):
		w.t.Fatal("Close does not return")
	}
}

func (w *watched) want(events ...Event) {
	w.t.Helper()
	for i, want := range events {
		select {
		case got := <-w.events:
			if got != want {
				w.t.Fatalf("event %d: %v, want %v", i, got, want)
			}
		case <-time.After(patience):
			w.t.Fatalf("event %d, %v, has not come", i, want)
		}
	}
}

// eventually waits until the counters are as they should be.
func (w *watched) eventually(what string, f func(Stats) bool) {
	w.t.Helper()
	for end := time.Now().Add(patience); !f(w.Stats()); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("not so: %s: %+v", what, w.Stats())
		}
	}
}

func (w *watched) connectedTimes(n uint64) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("connected for the %d. time", n), func(s Stats) bool { return s.Connected && s.Connections == n })
}
