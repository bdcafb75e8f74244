// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"vhost-user-9p/qidpath"
)

// start serves sample's metrics and returns how to reach them.
func start(t *testing.T, health func() error) (base string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(NewRegistry(sample()), health, slog.New(slog.DiscardHandler))
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(l)
	}()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		<-done
	})
	return "http://" + l.Addr().String()
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestServer(t *testing.T) {
	var health error
	base := start(t, func() error { return health })

	status, body := get(t, base+"/metrics")
	for _, line := range []string{
		`vhost_user_9p_requests_total{op="read"} 6`,
		`vhost_user_9p_request_duration_seconds_bucket{op="read",le="+Inf"} 6`,
		`# TYPE go_goroutines gauge`,
		`# TYPE process_open_fds gauge`,
	} {
		if status != http.StatusOK || !strings.Contains(body, line+"\n") {
			t.Errorf("status %d, no %q in\n%s", status, line, body)
		}
	}
	if status, body := get(t, base+"/healthz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("healthy: %d %q", status, body)
	}
	health = errors.New("the disk is full")
	if status, body := get(t, base+"/healthz"); status != http.StatusServiceUnavailable || body != "degraded: the disk is full\n" {
		t.Errorf("degraded: %d %q", status, body)
	}
	if status, _ := get(t, base+"/debug/pprof/"); status != http.StatusNotFound {
		t.Errorf("something else: %d", status)
	}
	resp, err := http.Post(base+"/metrics", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", resp.StatusCode)
	}
}

func TestHealth(t *testing.T) {
	for name, c := range map[string]struct {
		stats qidpath.Stats
		want  string
	}{
		"well": {qidpath.Stats{Entries: 1, Stores: 1}, ""},
		// A failure that a later success has made good.
		"well again": {qidpath.Stats{StoreFailures: map[qidpath.Reason]uint64{qidpath.ReasonIO: 1}}, ""},
		"load": {
			qidpath.Stats{Degraded: true, LoadFailures: map[qidpath.Reason]uint64{qidpath.ReasonRejected: 1, qidpath.ReasonIO: 0}},
			"file IDs may change at the next start: 1 loads failed (rejected)",
		},
		"store": {
			qidpath.Stats{
				Degraded: true, Volatile: 2,
				StoreFailures: map[qidpath.Reason]uint64{qidpath.ReasonNoSpace: 3, qidpath.ReasonDenied: 1},
			},
			"file IDs may change at the next start: 1 stores failed (denied), 3 stores failed (no_space), 2 entries are not stored",
		},
		"full": {
			qidpath.Stats{Degraded: true, VolatileNumbers: 5},
			"file IDs may change at the next start: 5 numbers of single files are not stored",
		},
	} {
		got := ""
		if err := Health(c.stats); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
