// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// StartupTime starts the daemon and returns how long it takes from there to its first reply, to
// Tversion, whose sender waits already: it has connected to the socket that the daemon
// is started with.
func StartupTime(t testing.TB) time.Duration {
	t.Helper()
	dir := Dir(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "socket")})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	conn, err := net.DialUnix("unix", nil, l.Addr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	export := filepath.Join(dir, "export")
	if err := os.Mkdir(export, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(Binary(t), "--fd", "3", "--shared-dir", export, "--tag", Tag, "--state-dir", filepath.Join(dir, "state"))
	cmd.ExtraFiles = []*os.File{socket}

	began := time.Now()
	p, err := startProcess(cmd, unix.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	defer p.end(Moment)
	ring := NewRing(t, conn, 1)
	defer ring.Close()
	version := "\x15\x00\x00\x00" + "\x64" + "\xff\xff" + "\x00\x00\x01\x00" + "\x08\x00" + "9P2000.L" // size, Tversion, NOTAG, msize
	if _, err := ring.Write([]byte(version)); err != nil {
		t.Fatal(err)
	}
	reply := make([]byte, len(version))
	if _, err := ring.Read(reply); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	if reply[4] != 'e' { // Rversion
		t.Fatalf("the reply to Tversion is % x", reply)
	}
	return took
}
