// SPDX-License-Identifier: Apache-2.0

package rootlock

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/leaks"
)

func TestMain(m *testing.M) { os.Exit(leaks.Run(m)) }

// open returns a Lock of the directory path, by a descriptor with the flags.
func open(t testing.TB, path string, flags int) *Lock {
	t.Helper()
	root, err := os.OpenFile(path, flags, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	l, err := Open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func TestExcludes(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir, os.O_RDONLY), open(t, dir, unix.O_PATH)
	a.Timeout, b.Timeout = 0, 0
	wantErr(t, a.Lock(), nil)
	wantErr(t, a.Lock(), nil) // it has it
	wantErr(t, b.Lock(), ErrLocked)
	wantErr(t, b.Unlock(), nil) // which it does not hold
	wantErr(t, b.Lock(), ErrLocked)
	wantErr(t, a.Unlock(), nil)
	wantErr(t, b.Lock(), nil)
	wantErr(t, a.Lock(), ErrLocked)
	wantErr(t, b.Close(), nil)
	wantErr(t, a.Lock(), nil)

	other := open(t, t.TempDir(), os.O_RDONLY)
	wantErr(t, other.Lock(), nil)
}

// Roots of their own that share a state directory exclude each other, and who does not
// get all of the lock has none of it.
func TestSharedStateDirectory(t *testing.T) {
	state, rootA, rootB := t.TempDir(), t.TempDir(), t.TempDir()
	both := func(root string) *Lock {
		l := open(t, root, os.O_RDONLY)
		l.Timeout = 0
		l.dirs = append(l.dirs, open(t, state, os.O_RDONLY).dirs...)
		return l
	}
	a, b := both(rootA), both(rootB)
	wantErr(t, a.Lock(), nil)
	wantErr(t, b.Lock(), ErrLocked)
	alone := open(t, rootB, os.O_RDONLY)
	wantErr(t, alone.Lock(), nil)
	wantErr(t, alone.Unlock(), nil)
	wantErr(t, a.Unlock(), nil)
	wantErr(t, b.Lock(), nil)
	wantErr(t, a.Lock(), ErrLocked)
}

// A state directory that is the root is no other one.
func TestStateDirectoryIsTheRoot(t *testing.T) {
	dir := t.TempDir()
	root, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	l, err := Open(root, root)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.Timeout = 0
	wantErr(t, l.Lock(), nil)
	other := open(t, dir, os.O_RDONLY)
	other.Timeout = 0
	wantErr(t, other.Lock(), ErrLocked)
	wantErr(t, l.Unlock(), nil)
	wantErr(t, other.Lock(), nil)
}

func TestWaits(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir, os.O_RDONLY), open(t, dir, os.O_RDONLY)
	wantErr(t, a.Lock(), nil)
	release := time.AfterFunc(50*time.Millisecond, func() {
		if err := a.Unlock(); err != nil {
			t.Error(err)
		}
	})
	defer release.Stop()
	wantErr(t, b.Lock(), nil)
}

// Who keeps the lock costs everybody the full wait once.
func TestTimeout(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir, os.O_RDONLY), open(t, dir, os.O_RDONLY)
	const long = 500 * time.Millisecond
	b.Timeout = long
	took := func() time.Duration {
		start := time.Now()
		wantErr(t, b.Lock(), ErrLocked)
		return time.Since(start)
	}
	wantErr(t, a.Lock(), nil)
	if d := took(); d < long {
		t.Errorf("gave up after %v, want %v", d, long)
	}
	for range 3 {
		if d := took(); d >= long {
			t.Errorf("waited %v for a lock that someone keeps", d)
		}
	}
	wantErr(t, a.Unlock(), nil)
	wantErr(t, b.Lock(), nil)
	wantErr(t, b.Unlock(), nil)
	wantErr(t, a.Lock(), nil)
	if d := took(); d < long {
		t.Errorf("gave up after %v, want %v: it was free meanwhile", d, long)
	}
}

func TestClosed(t *testing.T) {
	l := open(t, t.TempDir(), os.O_RDONLY)
	wantErr(t, l.Lock(), nil)
	for range 2 {
		wantErr(t, l.Close(), nil)
	}
	wantErr(t, l.Lock(), os.ErrClosed)
	wantErr(t, l.Unlock(), os.ErrClosed)
}

func TestNotADirectory(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(f)
	wantErr(t, err, unix.ENOTDIR)
	f.Close()
	if _, err := Open(f); err == nil {
		t.Error("no error for a closed root")
	}
}
