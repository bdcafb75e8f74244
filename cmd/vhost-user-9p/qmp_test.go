// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// monitor plays QEMU's monitor, as the daemon sees it.
type monitor struct {
	t testing.TB
	l *net.UnixListener
	c *net.UnixConn // nil: not accepted
}

func listenMonitor(t testing.TB, path string) *monitor {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	m := &monitor{t: t, l: l}
	t.Cleanup(m.close)
	return m
}

// accept serves the daemon, up to where it listens to events.
func (m *monitor) accept() {
	m.t.Helper()
	if err := m.l.SetDeadline(time.Now().Add(patience)); err != nil {
		m.t.Fatal(err)
	}
	c, err := m.l.AcceptUnix()
	if err != nil {
		m.t.Fatal(err)
	}
	m.c = c
	m.send(`{"QMP": {"version": {"qemu": {"micro": 3, "minor": 1, "major": 11}, "package": ""}, "capabilities": []}}`)
	if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
		m.t.Fatal(err)
	}
	m.send(`{"return": {}}`)
}

func (m *monitor) send(line string) {
	m.t.Helper()
	if _, err := m.c.Write([]byte(line + "\r\n")); err != nil {
		m.t.Fatal(err)
	}
}

func (m *monitor) event(name string) {
	m.t.Helper()
	m.send(`{"timestamp": {"seconds": 1795862400, "microseconds": 7}, "event": "` + name + `"}`)
}

func (m *monitor) close() {
	if m.c != nil {
		m.c.Close()
	}
	m.l.Close()
}

// wantMetrics waits until the metrics have all these lines.
func wantMetrics(t testing.TB, sock string, lines ...string) {
	t.Helper()
	eventually(t, func() error {
		_, body := fetch(t, sock, "/metrics")
		for _, line := range lines {
			if !strings.Contains(body, "\n"+line+"\n") {
				return fmt.Errorf("no %q in\n%s", line, body)
			}
		}
		return nil
	})
}

// TestTableIsFlushedByQMP: for each event that matters the table is whole again, and log and
// metrics say when and why.
func TestTableIsFlushedByQMP(t *testing.T) {
	dir := t.TempDir()
	path, metrics := filepath.Join(dir, "qmp"), filepath.Join(dir, "m")
	p := startDaemon(t, "--qmp", path, "--metrics-listen=unix:"+metrics)
	p.waitFor("waiting for qemu")
	wantMetrics(t, metrics, "vhost_user_9p_qmp_connected 0", "vhost_user_9p_qid_last_flush_timestamp_seconds 0")
	m := listenMonitor(t, path)
	g := connect(t, p.socket)
	g.mount()
	m.accept()
	wantMetrics(t, metrics, "vhost_user_9p_qmp_connected 1", "vhost_user_9p_qmp_connections_total 1")
	for event, trigger := range map[string]string{
		"STOP": "qmp_stop", "SUSPEND": "qmp_suspend", "SUSPEND_DISK": "qmp_suspend_disk",
		"POWERDOWN": "qmp_powerdown", "SHUTDOWN": "qmp_shutdown",
	} {
		removeTable(t, p.share)
		m.event("RESUME")
		m.event(event)
		wantMetrics(t, metrics,
			`vhost_user_9p_qmp_events_total{event="`+event+`"} 1`,
			`vhost_user_9p_qid_flushes_total{trigger="`+trigger+`"} 1`)
		if _, err := unix.Getxattr(p.share, qidTable, nil); err != nil {
			t.Errorf("%s: the table is not there: %v", event, err)
		}
		p.waitFor(`msg="qid table flushed" trigger=` + trigger + " ")
	}
	wantMetrics(t, metrics, `vhost_user_9p_qmp_events_total{event="other"} 5`)
	if _, body := fetch(t, metrics, "/metrics"); strings.Contains(body, "vhost_user_9p_qid_last_flush_timestamp_seconds 0\n") {
		t.Error("no time of the last flush")
	}
	m.close()
	wantMetrics(t, metrics, "vhost_user_9p_qmp_connected 0")
	g.Close()
	wantMetrics(t, metrics, `vhost_user_9p_qid_flushes_total{trigger="disconnected"} 1`)
	p.signal(unix.SIGTERM)
	if status := p.wait(); status != exitOK {
		t.Errorf("exit status %d", status)
	}
	p.waitFor(`msg="qid table flushed" trigger=daemon_end `)
}

// TestFlushesWithoutQMP: what the connection tells is counted by its reason.
func TestFlushesWithoutQMP(t *testing.T) {
	metrics := filepath.Join(t.TempDir(), "m")
	p := startDaemon(t, "--metrics-listen=unix:"+metrics)
	g := connect(t, p.socket)
	g.mount()
	stop(t, g)
	wantMetrics(t, metrics, `vhost_user_9p_qid_flushes_total{trigger="suspended"} 1`)
	g.CloseChannel()
	wantMetrics(t, metrics, `vhost_user_9p_qid_flushes_total{trigger="unplugged"} 1`)
	g.Close()
	g = connect(t, p.socket)
	g.mount()
	spoilTable(t, p.share)
	g.Close()
	wantMetrics(t, metrics,
		`vhost_user_9p_qid_flush_failures_total{trigger="disconnected"} 1`,
		`vhost_user_9p_qid_flushes_total{trigger="disconnected"} 0`,
		`vhost_user_9p_qmp_connected 0`)
	p.waitFor(`level=WARN msg="qid table not flushed" trigger=disconnected `)
}

// TestMonitorThatHangs: it is in nobody's way, neither a guest's nor the end's.
func TestMonitorThatHangs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "qmp")
	listenMonitor(t, path) // and nobody accepts
	p := startDaemon(t, "--qmp", path)
	connect(t, p.socket).mount()
	began := time.Now()
	p.signal(unix.SIGTERM)
	if status := p.wait(); status != exitOK {
		t.Errorf("exit status %d", status)
	}
	if took := time.Since(began); took > patience/2 {
		t.Errorf("the end took %v", took)
	}
	if log := p.log.String(); strings.Contains(log, "level=WARN msg=qmp") {
		t.Errorf("log:\n%s", log)
	}
}
