// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long one operation may take before it counts as stuck.
const patience = 60 * time.Second

// writers runs n writers in dir until a file named "stop" is there. Each makes files
// under a temporary name, writes, syncs and renames them, reads them back, and notes each
// finished one in a journal of its own, which verifyWriters compares with what is there.
func writers(dir string, n int) error {
	w := &load{dir: dir, beats: make([]atomic.Int64, n)}
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		w.beats[i].Store(time.Now().UnixNano())
		wg.Go(func() { errs[i] = w.write(i) })
	}
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	last := time.Now()
	for {
		select {
		case <-ended:
			fmt.Printf("writers: %d rounds\n", w.rounds.Load())
			return errors.Join(errs...)
		case <-time.After(500 * time.Millisecond):
		}
		// A guest that was stopped, or has lost the processor, is not stuck.
		if pause := time.Since(last) - 500*time.Millisecond; pause > time.Second {
			for i := range w.beats {
				w.beats[i].Add(int64(pause))
			}
		}
		last = time.Now()
		for i := range w.beats {
			if d := time.Since(time.Unix(0, w.beats[i].Load())); d > patience {
				return fmt.Errorf("writer %d is stuck for %v", i, d)
			}
		}
	}
}

type load struct {
	dir    string
	beats  []atomic.Int64 // when each writer last came through, in nanoseconds
	rounds atomic.Int64
}

func (w *load) stop() bool { return unix.Access(filepath.Join(w.dir, "stop"), unix.F_OK) == nil }

// content is what file number round of a writer holds: the sizes cover one page and
// more than one message.
func content(writer, round int) []byte {
	line := fmt.Sprintf("writer %d round %d\n", writer, round)
	return []byte(strings.Repeat(line, 1+(round%7)*(round%11)*1000))
}

// keep is how many of its files a writer keeps.
const keep = 20

func (w *load) write(writer int) error {
	dir := filepath.Join(w.dir, fmt.Sprint(writer))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	journal, err := os.OpenFile(filepath.Join(dir, "journal"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer journal.Close()
	for round := 0; !w.stop(); round++ {
		if err := w.round(dir, writer, round); err != nil {
			return fmt.Errorf("writer %d round %d: %w", writer, round, err)
		}
		if _, err := fmt.Fprintf(journal, "%d\n", round); err != nil {
			return err
		}
		w.rounds.Add(1)
		w.beats[writer].Store(time.Now().UnixNano())
	}
	return nil
}

func (w *load) round(dir string, writer, round int) error {
	temporary, final := filepath.Join(dir, "temporary"), filepath.Join(dir, fmt.Sprint(round))
	want := content(writer, round)
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(want); err != nil {
		return err
	}
	if round%8 == 0 {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if err := os.Rename(temporary, final); err != nil {
		return err
	}
	got, err := os.ReadFile(final)
	if err != nil {
		return err
	}
	if string(got) != string(want) {
		return fmt.Errorf("read back %d bytes, which are not the %d written", len(got), len(want))
	}
	if round >= keep {
		return os.Remove(filepath.Join(dir, fmt.Sprint(round-keep)))
	}
	return nil
}

// verifyWriters checks that dir holds what the journals of writers promise, and nothing
// else.
func verifyWriters(dir string) error {
	folders, err := filepath.Glob(filepath.Join(dir, "[0-9]*"))
	if err != nil || len(folders) == 0 {
		return fmt.Errorf("no writer's folder in %s: %w", dir, err)
	}
	for writer := range len(folders) {
		folder := filepath.Join(dir, fmt.Sprint(writer))
		journal, err := os.ReadFile(filepath.Join(folder, "journal"))
		if err != nil {
			return err
		}
		var want strings.Builder
		rounds := strings.Count(string(journal), "\n")
		for round := range rounds {
			fmt.Fprintln(&want, round)
		}
		if string(journal) != want.String() {
			return fmt.Errorf("writer %d: its journal has lost or doubled lines", writer)
		}
		names, err := os.ReadDir(folder)
		if err != nil {
			return err
		}
		kept := min(rounds, keep)
		if len(names) != kept+1 {
			return fmt.Errorf("writer %d: %d names in the folder, want %d", writer, len(names), kept+1)
		}
		for round := rounds - kept; round < rounds; round++ {
			got, err := os.ReadFile(filepath.Join(folder, fmt.Sprint(round)))
			if err != nil {
				return err
			}
			if string(got) != string(content(writer, round)) {
				return fmt.Errorf("writer %d: round %d has other content than was written", writer, round)
			}
		}
		fmt.Printf("writer %d: %d rounds\n", writer, rounds)
	}
	return nil
}
