// SPDX-License-Identifier: Apache-2.0

package fsx

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestLocal runs on the host's own file system: what it finds is the model's fault.
func TestLocal(t *testing.T) {
	for seed := range uint64(6) {
		dir := t.TempDir()
		result, err := Run(Local{dir}, Config{Seed: seed, Ops: 4000})
		if err != nil {
			t.Fatal(err)
		}
		if result.Ops != 4000 {
			t.Errorf("seed %d: %d operations, want 4000", seed, result.Ops)
		}
		state, err := State(dir)
		if err != nil {
			t.Fatal(err)
		}
		if state != result.State {
			t.Errorf("seed %d: the folder has\n%s\nthe model\n%s", seed, state, result.State)
		}
		if strings.Count(state, "\n") == 0 {
			t.Errorf("seed %d: no file is left: nothing was compared", seed)
		}
	}
}

// TestDeterministic runs a seed twice: the same operations leave the same tree.
func TestDeterministic(t *testing.T) {
	var states [3]string
	for n, seed := range []uint64{7, 7, 8} {
		result, err := Run(Local{t.TempDir()}, Config{Seed: seed, Ops: 500})
		if err != nil {
			t.Fatal(err)
		}
		states[n] = result.State
	}
	if states[0] != states[1] {
		t.Errorf("one seed has left\n%s\nand\n%s", states[0], states[1])
	}
	if states[0] == states[2] {
		t.Error("two seeds have left the same")
	}
}

// faulty is a file system with a fault.
type faulty struct {
	Local
	fault string
}

type faultyFile struct {
	localFile
	fault string
}

func (f faulty) Open(path string, flags int) (File, error) {
	file, err := f.Local.Open(path, flags)
	if err != nil {
		return nil, err
	}
	return faultyFile{file.(localFile), f.fault}, nil
}

func (f faulty) Rename(old, new string) error {
	if f.fault == "rename links" {
		return f.Link(old, new)
	}
	return f.Local.Rename(old, new)
}

func (f faulty) Unlink(path string) error {
	if err := f.Local.Unlink(path); err != nil || f.fault != "unlink twice" {
		return err
	}
	return f.Local.Unlink(path)
}

func (f faulty) List(path string) ([]string, error) {
	names, err := f.Local.List(path)
	if f.fault == "a name is missing" && len(names) > 0 {
		names = names[1:]
	}
	return names, err
}

func (f faulty) Stat(path string) (Stat, error) {
	st, err := f.Local.Stat(path)
	if f.fault == "links of one" && err == nil {
		st.Links = 1
	}
	return st, err
}

func (f faultyFile) WriteAt(p []byte, off int64) (int, error) {
	switch {
	case f.fault == "the last byte of a page is lost" && (off+int64(len(p)))%4096 == 0 && len(p) > 1:
		_, err := f.localFile.WriteAt(p[:len(p)-1], off)
		return len(p), err
	case f.fault == "a byte is moved" && off > 0:
		return f.localFile.WriteAt(p, off-1)
	}
	return f.localFile.WriteAt(p, off)
}

func (f faultyFile) Truncate(size int64) error {
	if st, err := f.Stat(); f.fault == "truncate leaves the tail" && err == nil && size > st.Size {
		return errors.Join(f.localFile.Truncate(size), func() error { _, err := f.localFile.WriteAt([]byte{1}, size-1); return err }())
	}
	return f.localFile.Truncate(size)
}

func (f faultyFile) MapRead(p []byte, off int64) error {
	err := f.localFile.MapRead(p, off)
	if f.fault == "a mapping is stale" {
		p[0]++
	}
	return err
}

// TestFaults has faults found, and reported with what is needed to find them again.
func TestFaults(t *testing.T) {
	for _, fault := range []string{
		"rename links", "unlink twice", "a name is missing", "links of one", "the last byte of a page is lost",
		"a byte is moved", "truncate leaves the tail", "a mapping is stale",
	} {
		t.Run(fault, func(t *testing.T) {
			_, err := Run(faulty{Local{t.TempDir()}, fault}, Config{Seed: 42, Ops: 20_000})
			if err == nil {
				t.Fatal("it was not found")
			}
			if text := fmt.Sprint(err); !strings.HasPrefix(text, "seed 42, operation ") || !strings.Contains(text, "the last operations:\n") {
				t.Errorf("the report is\n%s", text)
			}
		})
	}
}
