// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a daemon in a process of its own: this test binary.
type process struct {
	t   testing.TB
	cmd *exec.Cmd
	end chan struct{} // closed: the process has ended
	log output

	socket, share string
}

// output keeps what is written to it.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// startDaemon starts a daemon that listens at a socket and serves a directory, both new.
func startDaemon(t testing.TB, args ...string) *process {
	t.Helper()
	dir := t.TempDir()
	share := filepath.Join(dir, "share")
	if err := os.Mkdir(share, 0o755); err != nil {
		t.Fatal(err)
	}
	return startDaemonAt(t, filepath.Join(dir, "s"), share, args...)
}

func startDaemonAt(t testing.TB, socket, share string, args ...string) *process {
	t.Helper()
	p := start(t, nil, append([]string{"--socket-path", socket, "--shared-dir", share, "--tag", "share"}, args...)...)
	p.socket, p.share = socket, share
	p.waitFor(`msg=ready`)
	return p
}

// start starts a daemon that has files as its descriptors from 3 on.
func start(t testing.TB, files []*os.File, args ...string) *process {
	t.Helper()
	return startPrepared(t, files, nil, args...)
}

// startPrepared is start with another standard error, if that is not nil.
func startPrepared(t testing.TB, files []*os.File, stderr *os.File, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0], args...), end: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), asDaemon+"=1", "GORACE=atexit_sleep_ms=0")
	p.cmd.Stderr = &p.log
	if stderr != nil {
		p.cmd.Stderr = stderr
	}
	p.cmd.ExtraFiles = files
	// However the test ends, it leaves no daemon behind.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.end)
		_ = p.cmd.Wait() // the state is in p.cmd
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		select {
		case <-p.end:
		case <-time.After(patience):
			t.Error("the daemon cannot be killed")
		}
		if t.Failed() {
			t.Logf("the daemon's log:\n%s", p.log.String())
		}
	})
	return p
}

// eventually waits until f returns nil.
func eventually(t testing.TB, f func() error) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

func waitForFile(t testing.TB, path string) {
	t.Helper()
	eventually(t, func() error { _, err := os.Lstat(path); return err })
}

// waitFor waits until the log has text.
func (p *process) waitFor(text string) {
	p.t.Helper()
	eventually(p.t, func() error {
		if log := p.log.String(); !strings.Contains(log, text) {
			return fmt.Errorf("no %q in the log:\n%s", text, log)
		}
		return nil
	})
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// wait waits for the end and returns the exit status, -1 for an end by a signal.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.end:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("the daemon does not end; its log:\n%s", p.log.String())
		return 0
	}
}

// running fails the test if the daemon has ended.
func (p *process) running() {
	p.t.Helper()
	select {
	case <-p.end:
		p.t.Fatalf("the daemon has ended: %v; its log:\n%s", p.cmd.ProcessState, p.log.String())
	default:
	}
}
