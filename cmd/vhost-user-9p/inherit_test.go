// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/vhostuser/vhosttest"
)

func TestInheritRefuses(t *testing.T) {
	open := func(fd int, err error) int {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return fd
	}
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	if err != nil {
		t.Fatal(err)
	}
	open(pair[1], nil)
	for name, c := range map[string]struct {
		fd  int
		say string
	}{
		"nothing":      {54321, "is not open"},
		"file":         {int(file.Fd()), "is not a socket"},
		"TCP":          {open(unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)), "is not a Unix stream socket"},
		"datagram":     {open(unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)), "is not a Unix stream socket"},
		"packets":      {open(pair[0], nil), "is not a Unix stream socket"},
		"unconnected":  {open(unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)), "neither listens nor is connected"},
		"bound at all": {boundSocket(t), "neither listens nor is connected"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := inherit(c.fd)
			if err == nil || !strings.Contains(err.Error(), c.say) {
				t.Errorf("got %v, want %q", err, c.say)
			}
		})
	}
}

func boundSocket(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: filepath.Join(t.TempDir(), "s")})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func TestInheritTellsListenersFromConnections(t *testing.T) {
	fd := boundSocket(t)
	if err := unix.Listen(fd, 1); err != nil {
		t.Fatal(err)
	}
	// inherit takes the descriptor over.
	own, err := unix.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	l, c, err := inherit(own)
	if err != nil || l == nil || c != nil {
		t.Fatalf("listening: %v, %v, %v", l, c, err)
	}
	l.Close()

	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	l, c, err = inherit(pair[0])
	if err != nil || l != nil || c == nil {
		t.Fatalf("connected: %v, %v, %v", l, c, err)
	}
	c.Close()
}

func TestListeningFD(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := start(t, []*os.File{f}, "--fd=3", "--shared-dir", t.TempDir(), "--tag=t")
	for range 2 {
		g := connect(t, path)
		g.mount()
		g.Close()
	}
	p.signal(unix.SIGTERM)
	if status := p.wait(); status != exitOK {
		t.Errorf("exit status %d", status)
	}
	stat(t, path) // it is not the daemon's to remove
}

func TestConnectedFD(t *testing.T) {
	ours, theirs := vhosttest.Pair(t)
	f, err := theirs.File()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, []*os.File{f}, "--fd=3", "--shared-dir", t.TempDir(), "--tag=t")
	theirs.Close()
	f.Close()
	g := boot(t, ours)
	g.mount()
	stop(t, g)
	p.running()
	g.Close()
	if status := p.wait(); status != exitOK {
		t.Errorf("exit status %d", status)
	}
}
