// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"testing"

	"vhost-user-9p/qidpath"
	"vhost-user-9p/test/leaks"
)

func TestMain(m *testing.M) {
	if args := os.Getenv(appenderEnv); args != "" {
		if err := appender(args); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(leaks.Run(m))
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

// newElements returns n different elements; those of different bases differ too.
// Every second file system has no identity.
func newElements(base uint64, n int) []qidpath.Element {
	elements := make([]qidpath.Element, n)
	for i := range elements {
		fs := uint64(i / 7)
		dev := base<<32 | fs
		e := qidpath.Element{Key: qidpath.Key{FS: testIdentity(dev), InoPrefix: uint16(i % 7)}, Dev: dev}
		if fs%2 == 1 {
			e.FS = qidpath.DeviceIdentity(dev)
		}
		elements[i] = e
	}
	return elements
}

// testIdentity returns the identity number n.
func testIdentity(n uint64) (id qidpath.Identity) {
	binary.BigEndian.PutUint64(id[:8], 0x1d)
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

// unproven returns the elements as one loads them without their identities.
func unproven(elements []qidpath.Element) []qidpath.Element {
	elements = slices.Clone(elements)
	for i := range elements {
		elements[i].FS = qidpath.DeviceIdentity(elements[i].Dev)
		elements[i].Unproven = true
	}
	return elements
}

// mustLoad returns what s loads.
func mustLoad(t testing.TB, s *Store) []qidpath.Element {
	t.Helper()
	elements, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	return elements
}

// mustAppend appends and returns the tail.
func mustAppend(t testing.TB, s *Store, known int, elements ...qidpath.Element) []qidpath.Element {
	t.Helper()
	tail, err := s.Append(known, elements)
	if err != nil {
		t.Fatal(err)
	}
	return tail
}

// mustIdentify says on which file system the element i is.
func mustIdentify(t testing.TB, s *Store, i int, fs qidpath.Identity) {
	t.Helper()
	if err := s.Identify(i, fs); err != nil {
		t.Fatal(err)
	}
}

func wantReason(t testing.TB, err error, want qidpath.Reason) {
	t.Helper()
	if err == nil || qidpath.ReasonOf(err) != want {
		t.Errorf("error %v (%v), want reason %v", err, qidpath.ReasonOf(err), want)
	}
}

// openDir opens the directory path until the test ends.
func openDir(t testing.TB, path string) *os.File {
	t.Helper()
	dir, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dir.Close() })
	return dir
}

func quietConfig() Config { return Config{Logger: slog.New(slog.DiscardHandler)} }
