// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"vhost-user-9p/qidpath"
	"vhost-user-9p/xattrstore/rootlock"
)

const appenderEnv = "XATTRSTORE_TEST_APPENDER"

// appender is one of the daemons of TestDaemons, in a process of its own. For
// each line "BASE COUNT" it asks for so many file systems, and writes each one's
// number and prefix as soon as it knows that, and "done". For each second one it
// begins anew.
func appender(args string) error {
	var dir, state string
	var devs uint64
	if _, err := fmt.Sscan(args, &dir, &state, &devs); err != nil {
		return err
	}
	root, err := os.Open(dir)
	if err != nil {
		return err
	}
	stateDir, err := os.Open(state)
	if err != nil {
		return err
	}
	quiet := slog.New(slog.DiscardHandler)
	var table *qidpath.Table
	for round := 0; ; round++ {
		var base, count uint64
		if _, err := fmt.Scanln(&base, &count); errors.Is(err, io.EOF) {
			return table.Close()
		} else if err != nil {
			return err
		}
		if round%2 == 0 {
			if table != nil {
				if err := table.Close(); err != nil {
					return err
				}
			}
			store, err := Open(root, Config{StateDir: stateDir, Logger: quiet})
			if err != nil {
				return err
			}
			store.xattrs.chunkMax = 512
			store.lock.(*rootlock.Lock).Timeout = time.Minute // the machine may be busy
			table = qidpath.New(qidpath.Config{Store: store, Logger: quiet})
			if err := table.Load(); err != nil {
				return err
			}
		}
		for fs := base; fs < base+count; fs++ {
			// Each daemon knows them under other numbers.
			table.Bind(devs+fs, testIdentity(fs), nil)
			path, err := table.Path(devs+fs, 0)
			if err != nil {
				return err
			}
			fmt.Println(fs, path>>48)
		}
		fmt.Println("done")
	}
}

// TestDaemons lets daemons on one directory append new file systems at the same
// time, again and again, and kills some. Every prefix that one of them has told is
// the same ever after.
func TestDaemons(t *testing.T) {
	for _, tc := range []struct {
		name    string
		dir     func(testing.TB) string
		daemons int
		place   string
	}{
		{"two", tmpfsDir, 2, PlaceXattr},
		{"eight", tmpfsDir, 8, PlaceXattr},
		{"eight, with a move to the file", smallDir, 8, PlaceFile},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir, state := tc.dir(t), tmpfsDir(t)
			told := prefixes{t: t, told: make(map[uint64]uint64)}
			daemons := make([]*daemon, tc.daemons)
			killed := 0
			for round := range 100 {
				var asked sync.WaitGroup
				for i := range daemons {
					if daemons[i] == nil {
						daemons[i] = startDaemon(t, fmt.Sprint(dir, " ", state, " ", 10000*i))
					}
					kill := rand.IntN(16) == 0
					// Most file systems are new, and some of them to several.
					asked.Go(func() { daemons[i].ask(t, 10*round+i, 5, kill, &told) })
				}
				asked.Wait()
				for i, d := range daemons {
					if d.killed {
						killed++
						daemons[i] = nil
					}
				}
			}
			for _, d := range daemons {
				if d != nil {
					d.stop(t)
				}
			}
			s := openStoreIn(t, dir, state)
			stored := make(map[qidpath.Identity]uint64)
			for i, e := range mustLoad(t, s) {
				if e.Unproven || stored[e.FS] != 0 {
					t.Errorf("element %d is %v", i, e)
				}
				stored[e.FS] = uint64(i + 1)
			}
			for fs, prefix := range told.told {
				if stored[testIdentity(fs)] != prefix {
					t.Errorf("file system %d: told prefix %d, stored %d", fs, prefix, stored[testIdentity(fs)])
				}
			}
			wantPlace(t, s, tc.place)
			t.Logf("%d file systems told, %d elements stored, %d daemons killed", len(told.told), len(stored), killed)
		})
	}
}

// prefixes is what daemons have told.
type prefixes struct {
	t    *testing.T
	mu   sync.Mutex
	told map[uint64]uint64
}

func (p *prefixes) tell(fs, prefix uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if before, ok := p.told[fs]; ok && before != prefix {
		p.t.Errorf("file system %d had prefix %d and has %d", fs, before, prefix)
	}
	p.told[fs] = prefix
}

// daemon is an appender's process.
type daemon struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	lines  *bufio.Scanner
	killed bool
}

func startDaemon(t *testing.T, args string) *daemon {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	// The race detector would let each wait a second at its end.
	cmd.Env = append(os.Environ(), appenderEnv+"="+args, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &daemon{cmd: cmd, in: in, lines: bufio.NewScanner(out)}
}

// ask asks for file systems and passes on what the daemon tells, which may be
// killed meanwhile.
func (d *daemon) ask(t *testing.T, base, count int, kill bool, p *prefixes) {
	fmt.Fprintln(d.in, base, count)
	last := rand.IntN(count)
	done := false
	for told := 0; !done && d.lines.Scan(); {
		var fs, prefix uint64
		if n, _ := fmt.Sscanln(d.lines.Text(), &fs, &prefix); n == 2 {
			p.tell(fs, prefix)
			told++
		}
		done = d.lines.Text() == "done"
		if kill && told > last {
			time.Sleep(time.Duration(rand.IntN(500)) * time.Microsecond) // into the next append
			d.killed, kill, done = true, false, false
			if err := d.cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	if d.killed {
		_ = d.cmd.Wait()
	} else if !done {
		t.Errorf("a daemon ended: %v", d.cmd.Wait())
	}
}

func (d *daemon) stop(t *testing.T) {
	d.in.Close()
	if err := d.cmd.Wait(); err != nil {
		t.Errorf("a daemon ended with %v", err)
	}
}

// smallDir returns an empty directory whose attributes have room for few elements.
func smallDir(t testing.TB) string {
	return loopMount(t, 16, "mkfs.ext4", "-q", "-b", "1024")
}

func openStoreIn(t testing.TB, dir, state string) *Store {
	t.Helper()
	cfg := testConfig(t)
	cfg.StateDir = openDir(t, state)
	return openStore(t, dir, cfg)
}
