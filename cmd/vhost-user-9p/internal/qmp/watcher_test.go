// SPDX-License-Identifier: Apache-2.0

package qmp

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestEvents(t *testing.T) {
	w := watch(t, Config{})
	c := listen(t, w.path).serve()
	c.send(line("STOP"), line("RESUME"), line("POWERDOWN"), line("SUSPEND"), line("WAKEUP"), line("SUSPEND_DISK"))
	w.want(Stop, Powerdown, Suspend, SuspendDisk)
	w.connectedTimes(1)
	if !strings.Contains(w.log.String(), `msg="qmp monitor connected" qemu=11.1.3`) {
		t.Error("the log does not say so")
	}
	// QEMU's last words.
	c.send(line("SHUTDOWN"))
	c.Close()
	w.want(Shutdown)
	w.eventually("disconnected, and nothing failed but the next connection", func(s Stats) bool {
		return !s.Connected && s.Failures[ReasonRead] == 0 && s.Failures[ReasonNegotiate] == 0
	})
	events := w.Stats().Events
	for e := range eventCount {
		want := uint64(1)
		if e == Other {
			want = 2
		}
		if events[e] != want {
			t.Errorf("%v: %d times, want %d", e, events[e], want)
		}
	}
}

// TestPieces: how QEMU's output is cut into pieces makes no difference.
func TestPieces(t *testing.T) {
	stop := line("STOP")
	for name, send := range map[string]func(c *client){
		"event with the greeting":      func(c *client) { c.send(greeting, stop); c.wantCommand(); c.send(answer) },
		"event with the answer":        func(c *client) { c.send(greeting); c.wantCommand(); c.send(answer, stop) },
		"event cut by the answer":      func(c *client) { c.send(greeting); c.wantCommand(); c.send(answer, stop[:9]); c.send(stop[9:]) },
		"everything with the greeting": func(c *client) { c.send(greeting, answer, stop); c.wantCommand() },
		"byte by byte": func(c *client) {
			for _, b := range []byte(greeting + answer + stop) {
				c.send(string(b))
			}
			c.wantCommand()
		},
		"answers that nobody asked for": func(c *client) {
			c.send(greeting, answer, answer, "\r\n", `{"error": {"class": "C", "desc": "d"}}`+"\n", "garbage\n", `{"event": 7}`+"\n", stop)
			c.wantCommand()
		},
		"as long as possible": func(c *client) {
			c.send(greeting)
			c.wantCommand()
			end := `"}` + "\n"
			start := `{"event": "STOP", "x": "`
			c.send(answer, start, strings.Repeat("x", maxLine-len(start)-len(end)), end)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := watch(t, Config{})
			c := listen(t, w.path).accept()
			send(c)
			w.want(Stop)
			w.connectedTimes(1)
			c.send(line("SUSPEND"))
			w.want(Suspend)
		})
	}
}

// TestNoneIsLost: not while the SocketMonitor goes from negotiating to reading events either.
func TestNoneIsLost(t *testing.T) {
	const n = 300
	w := watch(t, Config{})
	for round := range 20 {
		q := listen(t, w.path)
		c := q.accept()
		c.send(greeting)
		c.wantCommand()
		c.send(answer, strings.Repeat(line("STOP"), n), line("SHUTDOWN"))
		c.Close()
		q.l.Close()
		for i := range n + 1 {
			want := Stop
			if i == n {
				want = Shutdown
			}
			select {
			case e := <-w.events:
				if e != want {
					t.Fatalf("round %d, event %d: %v, want %v", round, i, e, want)
				}
			case <-time.After(patience):
				t.Fatalf("round %d: %d of %d events", round, i, n+1)
			}
		}
	}
}

// TestFailures: what is no QMP ends the connection, is counted and told, and is no reason to
// give up.
func TestFailures(t *testing.T) {
	negotiated := func(text string) func(*client) {
		return func(c *client) { c.send(greeting); c.wantCommand(); c.send(answer); go c.try(text) }
	}
	greeted := func(text string) func(*client) { return func(c *client) { go c.try(text) } }
	long := strings.Repeat("x", 10*maxLine)
	for name, c := range map[string]struct {
		send   func(c *client)
		reason Reason
		say    string
	}{
		"garbage":             {greeted("\x00\xff\n"), ReasonNegotiate, "not QMP"},
		"human monitor":       {greeted("QEMU 11.1.3 monitor - type 'help' for more information\r\n(qemu) "), ReasonNegotiate, "not QMP"},
		"over several lines":  {greeted("{\n    \"QMP\": {}\n}\n"), ReasonNegotiate, "pretty=on"},
		"two in a line":       {greeted(`{"QMP": {}}{"return": {}}` + "\n"), ReasonNegotiate, "not QMP"},
		"number":              {greeted("5\n"), ReasonNegotiate, "cannot unmarshal number"},
		"endless greeting":    {greeted(`{"QMP": "` + long), ReasonNegotiate, "a line of more than 65535 bytes"},
		"refusal":             {greeted(greeting + `{"error": {"class": "GenericError", "desc": "not today"}}` + "\n"), ReasonNegotiate, "not today"},
		"endless answer":      {greeted(greeting + `{"return": "` + long), ReasonNegotiate, "a line of more than 65535 bytes"},
		"events, no answer":   {greeted(greeting + strings.Repeat(line("STOP"), 1000)), ReasonNegotiate, "more than 65536 bytes of events"},
		"endless line":        {negotiated(long), ReasonRead, "a line of more than 65535 bytes"},
		"endless event":       {negotiated(`{"event": "` + long), ReasonRead, "a line of more than 65535 bytes"},
		"end after greeting":  {func(c *client) { c.send(greeting); c.wantCommand(); c.Close() }, ReasonNegotiate, "disconnected before it had answered"},
		"end before greeting": {func(c *client) { c.Close() }, ReasonNegotiate, "disconnected before it had answered"},
	} {
		t.Run(name, func(t *testing.T) {
			w := watch(t, Config{})
			q := listen(t, w.path)
			client := q.accept()
			c.send(client)
			w.eventually("the failure is counted", func(s Stats) bool { return s.Failures[c.reason] == 1 })
			if log := w.log.String(); !strings.Contains(log, c.say) {
				t.Errorf("the log does not say %q", c.say)
			}
			q.serve().send(line("STOP"))
			w.want(Stop)
		})
	}
}

// TestFlood: more than what any buffer between here and there takes.
func TestFlood(t *testing.T) {
	const n = 20_000
	w := watch(t, Config{})
	c := listen(t, w.path).serve()
	c.send(strings.Repeat(line("RTC_CHANGE"), n), line("STOP"))
	w.want(Stop)
	if got := w.Stats().Events[Other]; got != n {
		t.Errorf("%d of %d events", got, n)
	}
}

func TestReconnect(t *testing.T) {
	w := watch(t, Config{})
	for n := range 3 {
		failed := w.Stats().Failures[ReasonConnect]
		w.eventually("looked for it many times", func(s Stats) bool { return s.Failures[ReasonConnect] > failed+5 })
		q := listen(t, w.path) // a QEMU of its own each time
		c := q.serve()
		w.connectedTimes(uint64(n + 1))
		c.send(line("STOP"))
		w.want(Stop)
		q.l.Close()
		c.Close()
		w.eventually("disconnected", func(s Stats) bool { return !s.Connected })
	}
	// Without a word for each attempt: one for each way in which a socket is not there.
	if n := strings.Count(w.log.String(), "waiting for qemu"); n < 3 || n > 6 {
		t.Errorf("%d times told that QEMU is not there", n)
	}
}

// TestRetry: a sign that QEMU runs ends the longest pause.
func TestRetry(t *testing.T) {
	w := watch(t, Config{MinDelay: time.Hour, MaxDelay: time.Hour})
	w.eventually("tried once", func(s Stats) bool { return s.Failures[ReasonConnect] == 1 })
	q := listen(t, w.path)
	w.Retry()
	w.Retry()
	q.serve()
	w.connectedTimes(1)
}

// TestPauses: a socket that is not there is looked for ever more rarely.
func TestPauses(t *testing.T) {
	w := watch(t, Config{MinDelay: 40 * time.Millisecond, MaxDelay: time.Hour})
	began := time.Now()
	w.eventually("tried 4 times", func(s Stats) bool { return s.Failures[ReasonConnect] >= 4 })
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("4 attempts took %v: the pauses do not double", took)
	}
}

// TestTaken: who has to wait for the monitor says so, and gets it.
func TestTaken(t *testing.T) {
	w := watch(t, Config{Silence: time.Millisecond})
	q := listen(t, w.path) // and does not accept
	for end := time.Now().Add(patience); !strings.Contains(w.log.String(), "another client may have it"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the log does not say so")
		}
	}
	if s := w.Stats(); s.Connected || s.Failures[ReasonNegotiate] != 0 {
		t.Errorf("%+v", s)
	}
	q.serve()
	w.connectedTimes(1)
}

// TestClose: at every moment, at once, and again.
func TestClose(t *testing.T) {
	for name, until := range map[string]func(w *watched, q *qemu){
		"in the queue": func(*watched, *qemu) {},
		"no greeting":  func(_ *watched, q *qemu) { q.accept() },
		"half of it":   func(_ *watched, q *qemu) { q.accept().send(greeting[:20]) },
		"no answer":    func(_ *watched, q *qemu) { c := q.accept(); c.send(greeting); c.wantCommand() },
		"watching":     func(w *watched, q *qemu) { q.serve(); w.connectedTimes(1) },
		"half an event": func(_ *watched, q *qemu) {
			q.serve().send(line("STOP")[:20])
		},
		"flood": func(w *watched, q *qemu) {
			c := q.serve()
			go func() {
				for c.try(strings.Repeat(line("RTC_CHANGE"), 100)) {
				}
			}()
			w.eventually("under way", func(s Stats) bool { return s.Events[Other] > 100 })
		},
		"no socket any more": func(w *watched, q *qemu) {
			q.serve().Close()
			q.l.Close()
			w.Retry()
			w.eventually("tried", func(s Stats) bool { return s.Failures[ReasonConnect] == 2 })
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := watch(t, Config{MinDelay: time.Hour, MaxDelay: time.Hour})
			w.eventually("tried", func(s Stats) bool { return s.Failures[ReasonConnect] == 1 })
			q := listen(t, w.path)
			w.Retry()
			until(w, q)
			began := time.Now()
			w.close()
			if took := time.Since(began); took > patience/2 {
				t.Errorf("took %v", took)
			}
			w.close()
			if s := w.Stats(); s.Connected {
				t.Error("connected for ever")
			}
			if log := w.log.String(); strings.Contains(log, "level=WARN") {
				t.Errorf("the end is told as a failure")
			}
		})
	}
}

// TestCloseInEvent: Close waits for the function that it has called, and calls it no more.
func TestCloseInEvent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "qmp")
	began, goOn := make(chan struct{}, 100), make(chan struct{})
	w, err := Watch(path, Config{Event: func(Event) { began <- struct{}{}; <-goOn }, MinDelay: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	c := listen(t, path).serve()
	c.send(strings.Repeat(line("STOP"), 10))
	<-began
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = w.Close()
	}()
	c.wantEnd()
	select {
	case <-closed:
		t.Error("closed during an event")
	default:
	}
	close(goOn)
	<-closed
	if n := len(began); n != 0 {
		t.Errorf("%d more events", n)
	}
}

func TestFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "qmp")
	if _, err := Watch(path, Config{Event: func(Event) {}}); err == nil || !strings.Contains(err.Error(), "its folder") {
		t.Errorf("a folder that is not there: %v", err)
	}
	// A path of the longest length there is, and a file that is no socket.
	dir := t.TempDir()
	name := strings.Repeat("q", 107)
	t.Chdir(dir)
	listenLong := listen(t, name)
	if err := os.WriteFile("file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w := &watched{t: t, events: make(chan Event, 1)}
	var err error
	if w.Watcher, err = Watch(name, Config{Event: func(e Event) { w.events <- e }}); err != nil {
		t.Fatal(err)
	}
	listenLong.serve().send(line("STOP"))
	w.want(Stop)
	w.close()
	if w.Watcher, err = Watch("file", Config{Event: func(Event) {}, MinDelay: time.Hour}); err != nil {
		t.Fatal(err)
	}
	w.eventually("failed", func(s Stats) bool { return s.Failures[ReasonConnect] == 1 })
	w.close()
}
