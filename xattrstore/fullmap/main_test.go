// SPDX-License-Identifier: Apache-2.0

package fullmap

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"vhost-user-9p/qidpath"
	"vhost-user-9p/test/leaks"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(appenderEnv); dir != "" {
		appender(dir)
	}
	os.Exit(leaks.Run(m))
}

func testLogger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// withDir calls f with the directory path, open.
func withDir(t testing.TB, path string, f func(dir *os.File)) {
	t.Helper()
	dir, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	f(dir)
}

// openMap opens the Map named test in the directory path, which is its root too.
func openMap(t testing.TB, path string) (m *Map) {
	t.Helper()
	withDir(t, path, func(dir *os.File) {
		var err error
		m, err = Open(Config{Dir: dir, Name: "test", Root: dir, Logger: testLogger(t)})
		if err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { m.Close() })
	return m
}

// openMem opens the Map named test on d.
func openMem(t testing.TB, d disk) *Map {
	m := newMap(d, Config{Name: "test", Logger: testLogger(t)})
	t.Cleanup(func() { m.Close() })
	return m
}

func mapPath(dir string) string { return filepath.Join(dir, "test.fullmap") }

// numbered is one number of a file.
type numbered struct {
	f qidpath.File
	n uint64
}

func (x numbered) String() string { return fmt.Sprintf("%v/%d=%d", x.f.FS, x.f.Ino, x.n) }

var testFS = qidpath.Identity{1, 2, 3, 15: 16}

// inode is a file of the file system that tests use.
func inode(ino uint64) qidpath.File { return qidpath.File{FS: testFS, Dev: 7, Ino: ino} }

// inodes are the files with inode numbers from..to, numbered from n on.
func inodes(from, to, n uint64) (list []numbered) {
	for ino := from; ino <= to; ino++ {
		list = append(list, numbered{inode(ino), n})
		n++
	}
	return list
}

// fileOf is the content of a file with these numbers.
func fileOf(list ...numbered) []byte {
	b := appendHeader(nil)
	for _, x := range list {
		b = appendRecord(b, x.f, x.n)
	}
	return b
}

// mustLoad returns what m loads.
func mustLoad(t testing.TB, m *Map) (list []numbered) {
	t.Helper()
	if err := m.Load(collect(&list)); err != nil {
		t.Fatal(err)
	}
	return list
}

func collect(list *[]numbered) func(f qidpath.File, n uint64) {
	return func(f qidpath.File, n uint64) { *list = append(*list, numbered{f, n}) }
}

// mustAppend appends f, and returns its number and what was yielded.
func mustAppend(t testing.TB, m *Map, f qidpath.File) (n uint64, others []numbered) {
	t.Helper()
	n, err := m.Append(f, collect(&others))
	if err != nil {
		t.Fatal(err)
	}
	return n, others
}

// wantAppend appends the file ino and checks its number and what is yielded.
func wantAppend(t testing.TB, m *Map, ino, want uint64, others ...numbered) {
	t.Helper()
	n, got := mustAppend(t, m, inode(ino))
	if n != want {
		t.Errorf("inode %d has number %d, want %d", ino, n, want)
	}
	if fmt.Sprint(got) != fmt.Sprint(others) {
		t.Errorf("yielded %v, want %v", got, others)
	}
}

func mustSync(t testing.TB, m *Map) {
	t.Helper()
	if err := m.Sync(); err != nil {
		t.Fatal(err)
	}
}

func wantLoad(t testing.TB, m *Map, want ...numbered) {
	t.Helper()
	if got := mustLoad(t, m); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("loaded %v, want %v", got, want)
	}
}

func wantReason(t testing.TB, err error, want qidpath.Reason) {
	t.Helper()
	if err == nil || qidpath.ReasonOf(err) != want {
		t.Errorf("error %v (%v), want reason %v", err, qidpath.ReasonOf(err), want)
	}
}

func ignore(qidpath.File, uint64) {}

var (
	errFault = errors.New("a fault")
	quiet    = slog.New(slog.DiscardHandler)
)
