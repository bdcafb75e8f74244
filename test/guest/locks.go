// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// locks tries record locks between processes. Another process is this program again,
// which takes orders on its standard input (see lockChild).
func locks(dir string) error {
	var c checks
	path := filepath.Join(dir, "locked")
	if err := os.WriteFile(path, make([]byte, 1000), 0o644); err != nil {
		return err
	}
	a, err := startLocker(path)
	if err != nil {
		return err
	}
	defer a.end()
	b, err := startLocker(path)
	if err != nil {
		return err
	}
	defer b.end()
	step := func(name string, l *locker, order, want string) {
		c.check("locks: "+name, func() error {
			got, err := l.do(order)
			if err != nil {
				return err
			}
			return equal("answer to "+order, got, want)
		})
	}
	step("write lock on a range", a, "set w 100 50", "ok")
	step("another process is refused", b, "set w 120 1", "busy")
	step("so is its read lock", b, "set r 149 1", "busy")
	step("it learns who holds what", b, "get w 0 0", fmt.Sprintf("w 100 50 %d", a.cmd.Process.Pid))
	step("beside the range it may", b, "set w 150 50", "ok")
	step("the first is refused there", a, "set r 0 0", "busy")
	step("unlock a part", a, "set u 120 10", "ok")
	step("that part is free", b, "set w 120 10", "ok")
	step("the part before is not", b, "set w 119 1", "busy")
	step("the part after is not", b, "set w 130 1", "busy")
	step("release all", b, "set u 0 0", "ok")
	step("downgrade to a read lock", a, "set r 100 20", "ok")
	step("read locks are shared", b, "set r 100 20", "ok")
	step("no write lock over a shared one", a, "set w 100 20", "busy")
	step("release the shared one", b, "set u 0 0", "ok")
	c.check("locks: a waiter gets the lock when it is released", func() error {
		if err := b.send("wait w 0 0"); err != nil {
			return err
		}
		time.Sleep(300 * time.Millisecond)
		select {
		case line := <-b.answers:
			return fmt.Errorf("the waiter got %q while the lock was held", line)
		default:
		}
		if got, err := a.do("set u 0 0"); err != nil || got != "ok" {
			return fmt.Errorf("unlock gave %q, %v", got, err)
		}
		began := time.Now()
		got, err := b.answer()
		if err != nil {
			return err
		}
		if d := time.Since(began); d > 5*time.Second {
			return fmt.Errorf("the waiter got the lock %v after the release", d)
		}
		return equal("the waiter's answer", got, "ok")
	})
	step("the waiter holds it", a, "set w 0 1", "busy")
	c.check("locks: a killed process's locks are released", func() error {
		b.kill()
		for range 50 {
			got, err := a.do("set w 0 0")
			if err != nil || got == "ok" {
				return err
			}
			time.Sleep(100 * time.Millisecond)
		}
		return errors.New("still refused after 5 s")
	})
	return c.err()
}

// locker is another process with the file open.
type locker struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	answers chan string
}

func startLocker(path string) (*locker, error) {
	l := &locker{cmd: exec.Command("/proc/self/exe", "lockchild", path), answers: make(chan string, 1)}
	l.cmd.Stderr = os.Stderr
	var err error
	if l.in, err = l.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := l.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			l.answers <- s.Text()
		}
		close(l.answers)
	}()
	return l, nil
}

func (l *locker) send(order string) error {
	_, err := fmt.Fprintln(l.in, order)
	return err
}

func (l *locker) answer() (string, error) {
	select {
	case line, ok := <-l.answers:
		if !ok {
			return "", errors.New("the other process has ended")
		}
		return line, nil
	case <-time.After(40 * time.Second):
		return "", errors.New("no answer in 40 s")
	}
}

func (l *locker) do(order string) (string, error) {
	if err := l.send(order); err != nil {
		return "", err
	}
	return l.answer()
}

func (l *locker) kill() {
	_ = l.cmd.Process.Kill()
	_ = l.cmd.Wait()
}

func (l *locker) end() {
	_ = l.in.Close()
	l.kill()
}

var lockTypes = map[string]int16{"r": unix.F_RDLCK, "w": unix.F_WRLCK, "u": unix.F_UNLCK}

// lockChild takes orders: "set TYPE START LENGTH", "wait TYPE START LENGTH" and "get
// TYPE START LENGTH" with TYPE r, w or u, and answers "ok", "busy", or what it got.
func lockChild(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for s := bufio.NewScanner(os.Stdin); s.Scan(); {
		var order, kind string
		var start, length int64
		if _, err := fmt.Sscan(s.Text(), &order, &kind, &start, &length); err != nil {
			return err
		}
		cmd := map[string]int{"set": unix.F_SETLK, "wait": unix.F_SETLKW, "get": unix.F_GETLK}[order]
		lock := unix.Flock_t{Type: lockTypes[kind], Start: start, Len: length}
		err := unix.FcntlFlock(f.Fd(), cmd, &lock)
		switch {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES):
			fmt.Println("busy")
		case err != nil:
			fmt.Println(strings.ReplaceAll(err.Error(), "\n", " "))
		case order == "get":
			for name, kind := range lockTypes {
				if kind == lock.Type {
					fmt.Println(name, lock.Start, lock.Len, lock.Pid)
				}
			}
		default:
			fmt.Println("ok")
		}
	}
	return nil
}
