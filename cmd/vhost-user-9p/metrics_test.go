// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

func TestMetrics(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "m")
	p := startDaemon(t, "--metrics-listen=unix:"+sock)
	if mode := stat(t, sock).Mode & 0o777; mode != 0o600 {
		t.Errorf("mode of the socket %#o", mode)
	}
	g := connect(t, p.socket)
	g.mount()
	for range 3 {
		if _, err := g.Getattr(rootFID, ninep.AttrBasic); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := g.WalkTo(rootFID, "nothing"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("walk: %v", err)
	}
	status, body := fetch(t, sock, "/metrics")
	for _, line := range []string{
		`vhost_user_9p_requests_total{op="getattr"} 3`,
		`vhost_user_9p_request_duration_seconds_count{op="getattr"} 3`,
		`vhost_user_9p_request_errors_total{op="walk"} 1`,
		`vhost_user_9p_fids 1`,
		`vhost_user_9p_front_end_connected 1`,
		`vhost_user_9p_front_end_connections_total 1`,
		`vhost_user_9p_queue_starts_total 1`,
		`vhost_user_9p_queue_chains_total 6`,
		`vhost_user_9p_qid_entries 1`,
		`vhost_user_9p_qid_loads_total 1`,
		`vhost_user_9p_qid_degraded 0`,
		`process_max_fds ` + maxFDs(t, p),
	} {
		if status != http.StatusOK || !strings.Contains(body, line+"\n") {
			t.Errorf("status %d, no %q", status, line)
		}
	}
	if t.Failed() {
		t.Log(body)
	}
	if status, body := fetch(t, sock, "/healthz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("health: %d %q", status, body)
	}
	p.signal(unix.SIGTERM)
	if status := p.wait(); status != exitOK {
		t.Errorf("exit status %d", status)
	}
	if _, err := os.Lstat(sock); err == nil {
		t.Error("the socket is still there")
	}
}

// TestDegraded: a table that cannot be read stops nothing, and is told; the next session tries
// again.
func TestDegraded(t *testing.T) {
	dir := t.TempDir()
	sock := filepath.Join(dir, "m")
	share := filepath.Join(dir, "share")
	if err := os.Mkdir(share, 0o755); err != nil {
		t.Fatal(err)
	}
	spoilTable(t, share)
	p := startDaemonAt(t, filepath.Join(dir, "s"), share, "--metrics-listen=unix:"+sock)
	g := connect(t, p.socket)
	g.mount()
	if status, body := fetch(t, sock, "/healthz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "version") {
		t.Errorf("health: %d %q", status, body)
	}
	if _, body := fetch(t, sock, "/metrics"); !strings.Contains(body, "vhost_user_9p_qid_degraded 1\n") {
		t.Errorf("metrics:\n%s", body)
	}
	g.Close()
	removeTable(t, share)
	connect(t, p.socket).mount()
	if _, body := fetch(t, sock, "/metrics"); !strings.Contains(body, "vhost_user_9p_qid_loads_total 1\n") {
		t.Errorf("metrics of the second session:\n%s", body)
	}
}

// TestMetricsByTCP finds the port that the system chose in the log.
func TestMetricsByTCP(t *testing.T) {
	p := startDaemon(t, "--metrics-listen=127.0.0.1:0")
	_, after, ok := strings.Cut(p.log.String(), `msg="metrics are served" address=`)
	address, _, _ := strings.Cut(after, "\n")
	if !ok || strings.HasSuffix(address, ":0") {
		t.Fatalf("log:\n%s", p.log.String())
	}
	resp, err := http.Get("http://" + address + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}

	// Somebody else's address.
	dir := t.TempDir()
	got := runArgs(t, "--socket-path", filepath.Join(dir, "s"), "--shared-dir", dir, "--tag=t", "--metrics-listen="+address)
	if got.status != exitFailure || !strings.Contains(got.stderr, "--metrics-listen") || !strings.Contains(got.stderr, "address already in use") {
		t.Errorf("%+v", got)
	}
}

func maxFDs(t testing.TB, p *process) string {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_NOFILE, nil, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur != limit.Max {
		t.Errorf("the limit of open files is %d, not the hard limit, %d", limit.Cur, limit.Max)
	}
	return strconv.FormatUint(limit.Cur, 10)
}

func fetch(t testing.TB, sock, path string) (int, string) {
	t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", sock)
		},
	}}
	resp, err := client.Get("http://daemon" + path)
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
