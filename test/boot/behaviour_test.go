// SPDX-License-Identifier: Apache-2.0

//go:build boot

package boot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/rig"
)

func TestUMLBehaviour(t *testing.T) { testBehaviour(t, rig.UML, time.Minute) }

func TestQEMUBehaviour(t *testing.T) { testBehaviour(t, rig.QEMU, 4*time.Minute) }

// testBehaviour tries open files whose names change, and record locks between processes
// of the guest and between guest and host.
func testBehaviour(t *testing.T, vehicle rig.Vehicle, timeout time.Duration) {
	export := rig.Export(t)
	write(t, strings.Repeat("x", 100), export, "file")
	d := rig.StartDaemon(t, export)
	g := vehicle(t, d, rig.GuestConfig{Script: `
mkdir openfiles locks
part openfiles "$guest" openfiles openfiles
part locks "$guest" locks locks
lock() { "$guest" lockchild file; }
(
	echo set w 10 10
	while [ ! -e host-has-looked ]; do sleep 0.1; done
) | lock >answer
while [ ! -e host-has-locked ]; do sleep 0.1; done
printf '%s\n' 'set r 10 10' 'set w 20 1' 'get w 0 0' | lock >answers
while [ ! -e host-has-unlocked ]; do sleep 0.1; done
echo set w 0 0 | lock >last-answer
`})
	defer func() {
		for line := range strings.Lines(g.Stdout()) {
			if strings.HasPrefix(line, "FAIL") {
				t.Error(strings.TrimSpace(line))
			}
		}
	}()
	g.Part("openfiles", timeout)
	g.Part("locks", timeout)
	if rig.Peer() {
		return // other servers' locks do not reach the host
	}

	fd, err := unix.Open(filepath.Join(export, "file"), unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	rig.Eventually(t, time.Minute, func() error {
		lock := unix.Flock_t{Type: unix.F_WRLCK, Start: 0, Len: 100}
		if err := unix.FcntlFlock(uintptr(fd), unix.F_OFD_GETLK, &lock); err != nil {
			return err
		}
		return equal("the lock that the host sees", [3]int64{int64(lock.Type), lock.Start, lock.Len}, [3]int64{unix.F_WRLCK, 10, 10})
	})
	write(t, "", export, "host-has-looked")
	rig.Eventually(t, time.Minute, func() error {
		return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Start: 5, Len: 10})
	})
	write(t, "", export, "host-has-locked")
	rig.Eventually(t, time.Minute, func() error {
		answers, err := os.ReadFile(filepath.Join(export, "answers"))
		if err != nil {
			return err
		}
		return equal("lines of answers", strings.Count(string(answers), "\n"), 3)
	})
	if err := unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK}); err != nil {
		t.Fatal(err)
	}
	write(t, "", export, "host-has-unlocked")
	g.Wait(time.Minute)
	for name, want := range map[string]string{"answer": "ok\n", "last-answer": "ok\n"} {
		if got := read(t, export, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := read(t, export, "answers"); !strings.HasPrefix(got, "busy\nok\nw 5 10 ") {
		t.Errorf("answers while the host held a lock: %q", got)
	}
}
