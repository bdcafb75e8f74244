// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Tag is the mount tag of what the daemon serves.
const Tag = "share"

// peer is what serves the guests; empty for the daemon.
var peer = os.Getenv("V9P_TEST_PEER")

// Peer reports whether another server than the daemon is under test, for what only the
// daemon can do.
func Peer() bool { return peer != "" }

// Daemon serves a folder.
type Daemon struct {
	Export string // what it serves
	Socket string // where guests connect

	t       testing.TB
	peer    string // what it is; empty for the daemon
	program string // that is run, unless it is a peer; empty for Binary's
	dir     string // socket and logs
	args    []string
	allowed []string // see AllowError
	shown   int      // lines of the log, if the test fails
	process *process
}

// StartDaemon serves a folder for the rest of the test, with more arguments for the
// daemon. At the end the daemon must still run, must not have logged an error, and must
// end with status 0 when it is asked to.
func StartDaemon(t testing.TB, export string, args ...string) *Daemon {
	t.Helper()
	d := &Daemon{Export: export, t: t, peer: peer, args: args}
	if peer == "virtiofsd" {
		d.args = []string{"--posix-acl"} // the daemon's are not for it
	}
	return d.begin()
}

// StartProgram is StartDaemon for another program that is a build of the daemon.
func StartProgram(t testing.TB, program, export string, args ...string) *Daemon {
	t.Helper()
	d := &Daemon{Export: export, t: t, program: program, args: args}
	return d.begin()
}

// StartVirtiofsd serves a folder by virtiofsd, with more arguments for it.
func StartVirtiofsd(t testing.TB, export string, args ...string) *Daemon {
	t.Helper()
	d := &Daemon{Export: export, t: t, peer: "virtiofsd", args: args}
	return d.begin()
}

// begin is the common part of the ways to start one.
func (d *Daemon) begin() *Daemon {
	t := d.t
	t.Helper()
	d.dir, d.shown = Dir(t), 60
	d.Socket = filepath.Join(d.dir, "socket")
	d.AllowError("reason=read_only") // a daemon that may not write could not store its table
	t.Cleanup(func() {
		if d.process != nil {
			d.Stop()
		}
		if t.Failed() {
			showTail(t, "the daemon's log", d.logPath(), d.shown)
			return
		}
		for line := range strings.Lines(d.Log()) {
			if strings.Contains(line, "level=ERROR") && !d.isAllowed(line) || strings.Contains(line, "panic") {
				t.Errorf("the daemon has logged an error: %s", line)
			}
		}
	})
	d.Start()
	return d
}

// AllowError lets the daemon log errors whose line has a text in it.
func (d *Daemon) AllowError(text string) { d.allowed = append(d.allowed, text) }

func (d *Daemon) isAllowed(line string) bool {
	return slices.ContainsFunc(d.allowed, func(text string) bool { return strings.Contains(line, text) })
}

// StateDir is where the daemon keeps files of its own.
func (d *Daemon) StateDir() string { return filepath.Join(d.dir, "state") }

func (d *Daemon) logPath() string { return filepath.Join(d.dir, "log") }

// Log returns all that the daemon has logged.
func (d *Daemon) Log() string {
	content, err := os.ReadFile(d.logPath())
	if err != nil {
		d.t.Error(err)
	}
	return string(content)
}

// Binary returns the path of the daemon's program: V9P_TEST_DAEMON, or one built from the
// checkout.
func Binary(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("V9P_TEST_DAEMON"); path != "" {
		return path
	}
	return Program(t, "cmd/vhost-user-9p")
}

func (d *Daemon) command() *exec.Cmd {
	args := []string{"--socket-path", d.Socket, "--shared-dir", d.Export, "--tag", Tag}
	if d.peer == "virtiofsd" {
		root := script(d.t, "debian-root.sh")
		return exec.Command(root+"/lib64/ld-linux-x86-64.so.2", append([]string{
			"--library-path", root + "/usr/lib/x86_64-linux-gnu", root + "/usr/libexec/virtiofsd",
			"--sandbox", "none", "--xattr", "--cache", "never", "--log-level", "warn",
		}, append(args, d.args...)...)...)
	}
	args = append(args, "--metrics-listen", "unix:"+d.metrics(), "--state-dir", d.StateDir())
	program := d.program
	if program == "" {
		program = Binary(d.t)
	}
	return exec.Command(program, append(args, d.args...)...)
}

// Start starts a daemon that does not run.
func (d *Daemon) Start() {
	d.t.Helper()
	if d.peer == "qemu" {
		return
	}
	_, missing := os.Lstat(d.Socket)
	log, err := os.OpenFile(d.logPath(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer log.Close()
	cmd := d.command()
	cmd.Stdout, cmd.Stderr = log, log
	if d.process, err = startProcess(cmd, unix.SIGKILL); err != nil {
		d.t.Fatal(err)
	}
	Eventually(d.t, 10*time.Second, func() error {
		if !d.process.running() {
			return fmt.Errorf("the daemon has ended: %v", d.process.cmd.ProcessState)
		}
		if missing == nil { // a dead daemon's, on which nobody listens
			conn, err := net.Dial("unix", d.Socket)
			if err == nil {
				_ = conn.Close()
			}
			return err
		}
		_, err := os.Lstat(d.Socket)
		return err
	})
}

// Stop ends the daemon as a service manager does. It must end by itself, with status 0.
func (d *Daemon) Stop() {
	d.t.Helper()
	d.StopBy(unix.SIGTERM)
}

// StopBy is Stop with another signal.
func (d *Daemon) StopBy(s syscall.Signal) {
	d.t.Helper()
	if d.process == nil {
		return
	}
	p := d.process
	d.process = nil
	if d.peer == "virtiofsd" {
		p.end(5 * time.Second)
		return
	}
	if !p.running() {
		d.t.Errorf("the daemon had ended already: %v", p.cmd.ProcessState)
		return
	}
	began := time.Now()
	p.signal(s)
	code, err := p.wait(5 * time.Second)
	if err != nil {
		p.signal(unix.SIGQUIT) // for the stacks, in its log
		p.end(5 * time.Second)
		d.t.Errorf("%v to the daemon: %v", s, err)
		return
	}
	if code != 0 {
		d.t.Errorf("%v to the daemon: it ended with %v after %v", s, p.cmd.ProcessState, time.Since(began))
	}
	if _, err := os.Lstat(d.Socket); err == nil {
		d.t.Error("the daemon has left its socket behind")
	}
}

// Kill ends the daemon without a chance to do anything.
func (d *Daemon) Kill() {
	d.t.Helper()
	if d.process == nil {
		return
	}
	d.process.signal(unix.SIGKILL)
	if _, err := d.process.wait(5 * time.Second); err != nil {
		d.t.Fatal(err)
	}
	d.process = nil
	if d.peer == "virtiofsd" {
		_ = os.Remove(d.Socket)
	}
}

// dump shows what the daemon was doing when something took too long, and ends it.
func (d *Daemon) dump() {
	d.t.Helper()
	if d.peer != "" || d.process == nil || !d.process.running() {
		return
	}
	for series, value := range d.Series() {
		if strings.HasPrefix(series, "vhost_user_9p_") && value != 0 && !strings.Contains(series, "_bucket") {
			d.t.Logf("%s %v", series, value)
		}
	}
	d.process.signal(unix.SIGQUIT) // for the stacks, in its log
	d.process.end(5 * time.Second)
	d.process = nil
	d.shown = 1000
}

// Restart ends the daemon and starts it again.
func (d *Daemon) Restart() {
	d.t.Helper()
	d.Stop()
	d.Start()
}

// Pid returns the daemon's process id.
func (d *Daemon) Pid() int { return d.process.cmd.Process.Pid }

// Alive fails the test if the daemon has ended.
func (d *Daemon) Alive() {
	d.t.Helper()
	if d.process != nil && !d.process.running() && d.peer == "" {
		d.t.Fatalf("the daemon has ended: %v", d.process.cmd.ProcessState)
	}
}

// Signal sends the daemon a signal.
func (d *Daemon) Signal(s syscall.Signal) { d.process.signal(s) }

func (d *Daemon) metrics() string { return filepath.Join(d.dir, "metrics") }

// Metrics returns the daemon's metrics: those with the same name are added up.
func (d *Daemon) Metrics() map[string]float64 {
	d.t.Helper()
	sums := map[string]float64{}
	for series, value := range d.Series() {
		name, _, _ := strings.Cut(series, "{")
		sums[name] += value
	}
	return sums
}

// Series returns the daemon's metrics by name and labels, as Prometheus writes them.
func (d *Daemon) Series() map[string]float64 {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", d.metrics())
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://daemon/metrics", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	all := map[string]float64{}
	for s := bufio.NewScanner(resp.Body); s.Scan(); {
		if strings.HasPrefix(s.Text(), "#") {
			continue
		}
		space := strings.LastIndexByte(s.Text(), ' ')
		value, err := strconv.ParseFloat(s.Text()[space+1:], 64)
		if err != nil {
			d.t.Fatalf("metrics line %q: %v", s.Text(), err)
		}
		all[s.Text()[:space]] = value
	}
	return all
}
