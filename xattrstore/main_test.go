// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vhost-user-9p/qidpath"
)

// TestMain fails when a test leaves a file descriptor open.
func TestMain(m *testing.M) {
	if dir := os.Getenv(appenderEnv); dir != "" {
		appender(dir)
	}
	before := openFiles()
	code := m.Run()
	for fd, target := range openFiles() {
		// The runtime opens its poller when it needs it, and keeps it.
		if before[fd] != target && !strings.HasPrefix(target, "anon_inode:[event") {
			fmt.Fprintf(os.Stderr, "leaked fd %s: %s\n", fd, target)
			code = 1
		}
	}
	os.Exit(code)
}

func openFiles() map[string]string {
	files := make(map[string]string)
	const dir = "/proc/self/fd"
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		// The descriptor that reads the list is gone by now.
		if target, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			files[e.Name()] = target
		}
	}
	return files
}

func testConfig(t testing.TB) Config {
	return Config{Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

// openStore opens a Store of the directory path.
func openStore(t testing.TB, path string, cfg Config) *Store {
	t.Helper()
	root, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	s, err := Open(root, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// newKeys returns n different keys; those of different bases differ too.
func newKeys(base uint64, n int) []qidpath.Key {
	keys := make([]qidpath.Key, n)
	for i := range keys {
		keys[i] = qidpath.Key{Dev: base<<32 | uint64(i/7), InoPrefix: uint16(i % 7)}
	}
	return keys
}

// mustLoad returns what s loads.
func mustLoad(t testing.TB, s *Store) []qidpath.Key {
	t.Helper()
	keys, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// mustAppend appends and returns the tail.
func mustAppend(t testing.TB, s *Store, known int, keys ...qidpath.Key) []qidpath.Key {
	t.Helper()
	tail, err := s.Append(known, keys)
	if err != nil {
		t.Fatal(err)
	}
	return tail
}

func wantReason(t testing.TB, err error, want qidpath.Reason) {
	t.Helper()
	if err == nil || qidpath.ReasonOf(err) != want {
		t.Errorf("error %v (%v), want reason %v", err, qidpath.ReasonOf(err), want)
	}
}
