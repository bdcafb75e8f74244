// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

func TestSignalEndsTheDaemon(t *testing.T) {
	for _, s := range []unix.Signal{unix.SIGTERM, unix.SIGINT} {
		for name, before := range map[string]func(p *process){
			"idle":      func(*process) {},
			"mounted":   func(p *process) { connect(t, p.socket).mount() },
			"stopped":   func(p *process) { g := connect(t, p.socket); g.mount(); stop(t, g) },
			"unplugged": func(p *process) { g := connect(t, p.socket); g.mount(); unplug(t, g) },
		} {
			t.Run(s.String()+"/"+name, func(t *testing.T) {
				p := startDaemon(t)
				before(p)
				p.signal(s)
				if status := p.wait(); status != exitOK {
					t.Errorf("exit status %d", status)
				}
				if _, err := os.Lstat(p.socket); err == nil {
					t.Error("the socket is still there")
				}
				if log := p.log.String(); strings.Contains(log, "level=ERROR") {
					t.Errorf("log:\n%s", log)
				}
			})
		}
	}
}

func stop(t testing.TB, g *guest) {
	t.Helper()
	if _, err := g.StopDriver(); err != nil {
		t.Fatal(err)
	}
}

func unplug(t testing.TB, g *guest) {
	t.Helper()
	if err := g.Unplug(); err != nil {
		t.Fatal(err)
	}
}

// TestSecondSignal: whoever holds the lock of the QID table makes the end take long, and an
// operator need not wait for that.
func TestSecondSignal(t *testing.T) {
	p := startDaemon(t)
	connect(t, p.socket).mount()
	root, err := os.Open(p.share)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := unix.Flock(int(root.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	p.signal(unix.SIGTERM)
	p.waitFor("finishing what is being executed")
	began := time.Now()
	p.signal(unix.SIGTERM)
	if status := p.wait(); status != exitFailure {
		t.Errorf("exit status %d", status)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("took %v", took)
	}
	if !strings.Contains(p.log.String(), "second signal") {
		t.Errorf("log:\n%s", p.log.String())
	}
}

// TestTableThatCannotBeStoredAtTheEnd is loud, but no failure of the daemon.
func TestTableThatCannotBeStoredAtTheEnd(t *testing.T) {
	p := startDaemon(t)
	connect(t, p.socket).mount()
	spoilTable(t, p.share)
	p.signal(unix.SIGTERM)
	if status := p.wait(); status != exitOK {
		t.Errorf("exit status %d", status)
	}
	if !strings.Contains(p.log.String(), `level=ERROR msg="qid table not stored`) {
		t.Errorf("log:\n%s", p.log.String())
	}
}

// TestSignalsThatEndNothing: a guest goes on as if nothing had happened.
func TestSignalsThatEndNothing(t *testing.T) {
	p := startDaemon(t)
	g := connect(t, p.socket)
	g.mount()
	p.signal(unix.SIGHUP)
	p.waitFor("hangup signal ignored")
	p.signal(unix.SIGPIPE)
	for range 3 {
		if _, err := g.Getattr(rootFID, ninep.AttrBasic); err != nil {
			t.Fatal(err)
		}
	}
	p.running()
}

// TestLogThatNobodyReads: the daemon outlives whoever reads its log.
func TestLogThatNobodyReads(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	dir := t.TempDir()
	p := startPrepared(t, nil, w, "--socket-path", filepath.Join(dir, "s"), "--shared-dir", dir, "--tag=t", "--log-level=debug")
	waitForFile(t, filepath.Join(dir, "s"))
	connect(t, filepath.Join(dir, "s")).mount()
	p.running()
}

// TestKilledDaemonIsReplaced: what it left behind is in nobody's way.
func TestKilledDaemonIsReplaced(t *testing.T) {
	p := startDaemon(t)
	p.signal(unix.SIGKILL)
	p.wait()
	stat(t, p.socket)
	p = startDaemonAt(t, p.socket, p.share)
	connect(t, p.socket).mount()
}
