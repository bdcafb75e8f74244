// SPDX-License-Identifier: Apache-2.0

package fullmap

import (
	"bufio"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"vhost-user-9p/qidpath"
)

const (
	appenderEnv     = "FULLMAP_TEST_APPENDER"
	appenderBaseEnv = "FULLMAP_TEST_BASE"
)

// appender is the daemon that TestKill kills: it numbers files from base on, a
// few for each sync, and writes each with its number when that is durable. Now
// and then it starts anew.
func appender(path string) {
	must := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "appender:", err)
			os.Exit(1)
		}
	}
	base, err := strconv.ParseUint(os.Getenv(appenderBaseEnv), 10, 64)
	must(err)
	dir, err := os.Open(path)
	must(err)
	for ino := base; ; {
		m, err := Open(Config{Dir: dir, Name: "test", Root: dir, Logger: slog.New(slog.DiscardHandler)})
		must(err)
		numbers := make(map[uint64]uint64)
		adopt := func(f qidpath.File, n uint64) {
			if numbers[f.Ino] == 0 {
				numbers[f.Ino] = n
			}
		}
		must(m.Load(adopt))
		for range 30 {
			first := ino
			for range rand.IntN(8) {
				if numbers[ino] == 0 {
					n, err := m.Append(inode(ino), adopt)
					must(err)
					numbers[ino] = n
				}
				ino++
			}
			must(m.Sync())
			for ; first < ino; first++ {
				fmt.Println(first, numbers[first])
			}
		}
		must(m.Close())
	}
}

// TestKill runs daemons on one file and kills them, again and again, while the
// file is damaged and repaired. Every number that one of them has told is the same
// ever after, and no other file's.
func TestKill(t *testing.T) {
	for _, daemons := range []uint64{2, 8} {
		t.Run(fmt.Sprintf("daemons=%d", daemons), func(t *testing.T) { killRounds(t, tmpfsDir(t), daemons, 50) })
	}
}

func killRounds(t *testing.T, dir string, daemons, rounds uint64) {
	told := make(map[uint64]uint64)  // by inode number
	given := make(map[uint64]uint64) // by number
	for round := range rounds {
		var cmds []*exec.Cmd
		var outputs []*bufio.Scanner
		for i := range daemons {
			// The ranges overlap, within a round and with the one before.
			base := 1000 + 60*round + 10*i
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), appenderEnv+"="+dir, fmt.Sprintf("%s=%d", appenderBaseEnv, base))
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			cmds = append(cmds, cmd)
			outputs = append(outputs, bufio.NewScanner(out))
		}
		kill := func() {
			for _, cmd := range cmds {
				if err := cmd.Process.Kill(); err != nil {
					t.Error(err)
				}
			}
		}
		time.AfterFunc(time.Duration(10+rand.IntN(20))*time.Millisecond, func() {
			damage(t, dir, 1<<40+round)
			time.AfterFunc(time.Duration(10+rand.IntN(20))*time.Millisecond, kill)
		})
		for i, out := range outputs {
			for out.Scan() {
				var ino, n uint64
				if fields, _ := fmt.Sscanln(out.Text(), &ino, &n); fields != 2 {
					continue // killed while it wrote the line
				}
				if before, ok := told[ino]; ok && before != n {
					t.Fatalf("round %d: inode %d had number %d and has %d", round, ino, before, n)
				}
				if other, ok := given[n]; ok && other != ino {
					t.Fatalf("round %d: number %d was inode %d and is inode %d", round, n, other, ino)
				}
				told[ino], given[n] = n, ino
			}
			if err := cmds[i].Wait(); err == nil || err.Error() != "signal: killed" {
				t.Errorf("a daemon ended by itself: %v", err)
			}
		}
	}
	stored := make(map[uint64]uint64)
	for _, x := range mustLoad(t, openMap(t, dir)) {
		if stored[x.f.Ino] == 0 {
			stored[x.f.Ino] = x.n
		}
	}
	for ino, n := range told {
		if stored[ino] != n {
			t.Errorf("inode %d: told number %d, stored %d", ino, n, stored[ino])
		}
	}
	t.Logf("%d numbers told, %d files stored", len(told), len(stored))
}

// damage appends a damaged record, and one for the file ino, so that it is not
// the end that is damaged.
func damage(t *testing.T, path string, ino uint64) {
	dir, err := os.Open(path)
	if err != nil {
		t.Error(err)
		return
	}
	defer dir.Close()
	m, err := Open(Config{Dir: dir, Name: "test", Root: dir, Logger: quiet})
	if err != nil {
		t.Error(err)
		return
	}
	defer m.Close()
	if err := m.exclusiveLocked(func() error {
		if err := m.catchUpLocked(ignore); err != nil || m.file == nil || m.have.end == 0 {
			return err // the daemons may not have come that far
		}
		m.known += 2
		rec := appendRecord(make([]byte, recordSize), inode(ino), m.known)
		_, err := m.file.WriteAt(rec, m.have.end)
		return err
	}); err != nil {
		t.Error(err)
	}
}
