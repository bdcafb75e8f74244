// SPDX-License-Identifier: Apache-2.0

package xattrstore

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
	appenderEnv     = "XATTRSTORE_TEST_APPENDER"
	appenderBaseEnv = "XATTRSTORE_TEST_BASE"
)

// appender is the daemon that TestKill kills: it writes each device and its
// path's prefix as soon as it knows that.
func appender(dir string) {
	base, err := strconv.ParseUint(os.Getenv(appenderBaseEnv), 10, 64)
	if err != nil {
		panic(err)
	}
	root, err := os.Open(dir)
	if err != nil {
		panic(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	store, err := Open(root, Config{Logger: quiet})
	if err != nil {
		panic(err)
	}
	store.chunkMax = 256
	table := qidpath.New(qidpath.Config{Store: store, Logger: quiet})
	if err := table.Load(); err != nil {
		panic(err)
	}
	for dev := base; ; dev++ {
		path, err := table.Path(dev, 0)
		if err != nil {
			panic(err)
		}
		fmt.Println(dev, path>>48)
	}
}

// TestKill runs two daemons on one directory and kills them, again and again.
// Every path that one of them has told is the same ever after.
func TestKill(t *testing.T) {
	dir := tmpfsDir(t)
	told := make(map[uint64]uint64)
	for round := range uint64(6) {
		var daemons []*exec.Cmd
		var outputs []*bufio.Scanner
		for i := range uint64(2) {
			// The ranges overlap, within a round and with the one before.
			base := 1000 + 40*round + 10*i
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
			daemons = append(daemons, cmd)
			outputs = append(outputs, bufio.NewScanner(out))
		}
		time.AfterFunc(time.Duration(20+rand.IntN(60))*time.Millisecond, func() {
			for _, cmd := range daemons {
				if err := cmd.Process.Kill(); err != nil {
					t.Error(err)
				}
			}
		})
		for i, out := range outputs {
			for out.Scan() {
				var dev, prefix uint64
				if n, _ := fmt.Sscanln(out.Text(), &dev, &prefix); n != 2 {
					continue // killed while it wrote the line
				}
				if before, ok := told[dev]; ok && before != prefix {
					t.Errorf("device %d had prefix %d and has %d", dev, before, prefix)
				}
				told[dev] = prefix
			}
			if err := daemons[i].Wait(); err == nil {
				t.Error("a daemon ended by itself")
			}
		}
	}
	keys := mustLoad(t, openStore(t, dir, testConfig(t)))
	stored := make(map[uint64]uint64)
	for i, k := range keys {
		stored[k.Dev] = uint64(i + 1)
	}
	for dev, prefix := range told {
		if prefix > qidpath.MaxElements {
			t.Errorf("device %d: volatile prefix %d", dev, prefix)
		} else if stored[dev] != prefix {
			t.Errorf("device %d: told prefix %d, stored %d", dev, prefix, stored[dev])
		}
	}
	t.Logf("%d paths told, %d elements stored", len(told), len(keys))
}
