// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// process is a child.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// startProcess starts a command whose standard streams are set already. If this process
// dies, the child is sent a signal.
func startProcess(cmd *exec.Cmd, whenOrphaned syscall.Signal) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: whenOrphaned}
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Pdeathsig is about the thread that started the child: this one stays.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// StartProcess runs a program, whose standard streams are set already, for the rest of the
// test, and returns its process id.
func StartProcess(t testing.TB, cmd *exec.Cmd) (pid int) {
	t.Helper()
	p, err := startProcess(cmd, unix.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return cmd.Process.Pid
}

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// wait waits for the end and returns the exit status: -1 after a signal.
func (p *process) wait(timeout time.Duration) (int, error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(timeout):
		return 0, fmt.Errorf("still running after %v", timeout)
	}
}

func (p *process) signal(s syscall.Signal) {
	if p.running() {
		_ = p.cmd.Process.Signal(s)
	}
}

// end asks the process to end. What it has started itself and does not end in time is
// killed first, so that a script can clean up, and then the process.
func (p *process) end(timeout time.Duration) {
	p.signal(unix.SIGTERM)
	if _, err := p.wait(timeout); err == nil {
		return
	}
	for _, pid := range descendants(p.cmd.Process.Pid) {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	if _, err := p.wait(5 * time.Second); err != nil {
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// kill ends at once what the process has started, so that a script has nothing to do but
// to clean up, and then the process.
func (p *process) kill() {
	for _, pid := range descendants(p.cmd.Process.Pid) {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	p.end(2 * time.Second)
}

// descendants returns the ids of a process's children and theirs.
func descendants(pid int) []int {
	var all []int
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		children, _ := os.ReadFile(list)
		for _, field := range strings.Fields(string(children)) {
			child, err := strconv.Atoi(field)
			if err == nil {
				all = append(append(all, descendants(child)...), child)
			}
		}
	}
	return all
}

// tail returns the last lines of a file.
func tail(path string, lines int) string {
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	if err != nil {
		return err.Error()
	}
	all := strings.SplitAfter(strings.ReplaceAll(string(content), "\r", ""), "\n")
	return strings.Join(all[max(0, len(all)-lines-1):], "")
}

// showTail logs the end of a file, if it has any content.
func showTail(t testing.TB, what, path string, lines int) {
	t.Helper()
	if s := tail(path, lines); s != "" {
		t.Logf("the end of %s:\n%s", what, s)
	}
}

// Eventually calls f until it returns nil, and fails the test after a time.
func Eventually(t testing.TB, timeout time.Duration, f func() error) {
	t.Helper()
	deadline := time.Now().Add(timeout)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v: %v", timeout, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Moment is how long what should happen at once may take on a busy machine.
const Moment = 10 * time.Second
