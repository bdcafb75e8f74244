// SPDX-License-Identifier: Apache-2.0

package qmp

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/digitalocean/go-qemu/qmp"
	"golang.org/x/sys/unix"
)

// maxLine is how long a line may be, its end included: what the SocketMonitor's reader
// takes. It also bounds the events that are held back until that runs.
const maxLine = 64 << 10

// dialTimeout is SocketMonitor's. A Unix socket has an answer at once.
const dialTimeout = 10 * time.Second

var (
	errNoValue = errors.New("not QMP, which has one JSON object a line (pretty=on is not possible)")
	errLong    = fmt.Errorf("a line of more than %d bytes", maxLine-1)
	errHeld    = fmt.Errorf("more than %d bytes of events before the answer to the first command", maxLine)
)

// guard passes QEMU's lines on to a SocketMonitor, as that can bear them.
type guard struct {
	qemu    *net.UnixConn
	monitor *net.UnixConn // the other end is the SocketMonitor's

	ready chan struct{} // closed: the SocketMonitor's reader runs
	ended chan struct{} // closed: nothing is passed on any more
	err   error         // why; nil for an end of file. Set before ended is closed
}

// newGuard takes qemu over, and returns a SocketMonitor that is connected to the guard. If
// it fails qemu stays the caller's.
func newGuard(qemu *net.UnixConn) (*guard, *qmp.SocketMonitor, error) {
	// Without a name, the kernel chooses one that is not in use.
	l, err := net.ListenUnix("unix", &net.UnixAddr{})
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	monitor, err := qmp.NewSocketMonitor("unix", l.Addr().String(), dialTimeout)
	if err != nil {
		return nil, nil, err
	}
	near, err := acceptOwn(l)
	if err != nil {
		_ = monitor.Disconnect()
		return nil, nil, err
	}
	g := &guard{qemu: qemu, monitor: near, ready: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(g.ended)
		g.err = g.pass()
		_ = g.qemu.Close()
		// The SocketMonitor finds an end of file behind what it has not read yet, and no
		// error.
		_ = g.monitor.CloseWrite()
	}()
	return g, monitor, nil
}

// acceptOwn accepts this process's connection, which is there already: others may have
// been quicker.
func acceptOwn(l *net.UnixListener) (*net.UnixConn, error) {
	if err := l.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return nil, err
	}
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if peerPID(c) == os.Getpid() {
			return c, nil
		}
		_ = c.Close()
	}
}

// peerPID returns who connected, 0 if that cannot be found out.
func peerPID(c *net.UnixConn) int {
	pid := 0
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	})
	return pid
}

// negotiate has the SocketMonitor negotiate with QEMU. After an error the guard can only be
// closed.
func (g *guard) negotiate(monitor *qmp.SocketMonitor) error {
	err := monitor.Connect()
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		<-g.ended // which has the cause
		if g.err != nil {
			err = g.err
		}
	}
	g.cut()
	close(g.ready)
	return err
}

// cut interrupts the guard wherever it is. It may be called more than once, from any
// goroutine.
func (g *guard) cut() {
	_ = g.qemu.Close()
	_ = g.monitor.SetDeadline(time.Unix(1, 0))
}

// close ends the guard. Preconditions: the SocketMonitor's reader has ended.
func (g *guard) close() {
	g.cut()
	<-g.ended
	_ = g.monitor.Close()
}

// pass passes on the greeting, the command that answers it, the result of that, and then
// events, until QEMU hangs up.
func (g *guard) pass() error {
	lines := bufio.NewReaderSize(g.qemu, maxLine)
	line, err := readValue(lines)
	if err != nil {
		return err
	}
	if _, err := g.monitor.Write(line); err != nil {
		return err
	}
	command, err := readLine(bufio.NewReader(g.monitor))
	if err != nil {
		return err
	}
	if _, err := g.qemu.Write(command); err != nil {
		return bare(err)
	}
	var held []byte
	for {
		if line, err = readValue(lines); err != nil {
			return err
		}
		if !isEvent(line) {
			break
		}
		if held = append(held, line...); len(held) > maxLine {
			return errHeld
		}
	}
	if _, err := g.monitor.Write(line); err != nil {
		return err
	}
	<-g.ready
	if _, err := g.monitor.Write(held); err != nil {
		return err
	}
	for {
		line, err := readLine(lines)
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if !isEvent(line) {
			continue
		}
		if _, err := g.monitor.Write(line); err != nil {
			return err
		}
	}
}

// readLine returns the next line, its end included, which is valid until the next call.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, errLong
	}
	if err != nil {
		return nil, bare(err)
	}
	return line, nil
}

// readValue is readLine for what the SocketMonitor reads as a stream of JSON: with less or
// more than one value in a line it would be at another place than the guard.
func readValue(r *bufio.Reader) ([]byte, error) {
	line, err := readLine(r)
	if err == nil && !json.Valid(line) {
		return nil, errNoValue
	}
	return line, err
}

// isEvent reports whether the SocketMonitor will take a line for an event.
func isEvent(line []byte) bool {
	var e qmp.Event
	return json.Unmarshal(line, &e) == nil && e.Event != ""
}
