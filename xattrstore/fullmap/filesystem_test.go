// SPDX-License-Identifier: Apache-2.0

package fullmap

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
)

// fill takes all space of the file system that dir is on, and returns a function
// that gives it back.
func fill(t testing.TB, dir string) (release func()) {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, os.Getpagesize()))
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// On a full file system appends fail, and go on when there is space again.
func TestNoSpace(t *testing.T) {
	dir := smallTmpfs(t, "size=256k")
	m := openMap(t, dir)
	release := fill(t, dir)
	wantLoad(t, m)
	_, err := m.Append(inode(1), ignore)
	wantReason(t, err, qidpath.ReasonNoSpace)
	release()
	wantAppend(t, m, 1, 1)
	release = fill(t, dir)
	// What fits into the page that there is.
	given := uint64(1)
	for ; err == nil || given == 1; given++ {
		if given > 1000 {
			t.Fatal("the file system is not full")
		}
		_, err = m.Append(inode(given+1), ignore)
	}
	given--
	wantReason(t, err, qidpath.ReasonNoSpace)
	mustSync(t, m)
	wantLoad(t, openMap(t, dir), inodes(1, given, 1)...)
	release()
	wantAppend(t, m, given+1, given+1)
	want := inodes(1, given+1, 1)
	wantLoad(t, openMap(t, dir), want...)

	// There is no space to repair it, but what is sound is used.
	content := read(t, mapPath(dir))
	content[headerSize] ^= 1
	write(t, mapPath(dir), content)
	release = fill(t, dir)
	wantLoad(t, openMap(t, dir), want[1:]...)
	wantFiles(t, dir, "filler", "test.fullmap")
	release()
	wantLoad(t, openMap(t, dir), want[1:]...)
	if got := len(read(t, mapPath(dir))); got != len(content)-recordSize {
		t.Errorf("%d bytes after a repair of %d", got, len(content))
	}
}

func wantFiles(t testing.TB, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(want) {
		t.Fatalf("files %v, error %v, want %v", entries, err, want)
	}
	for i, e := range entries {
		if e.Name() != want[i] {
			t.Errorf("files %v, want %v", entries, want)
		}
	}
}

// A read-only file system is read.
func TestReadOnly(t *testing.T) {
	dir := smallTmpfs(t, "size=256k")
	readOnly := func(on bool) {
		t.Helper()
		flags := uintptr(unix.MS_REMOUNT)
		if on {
			flags |= unix.MS_RDONLY
		}
		if err := unix.Mount("", dir, "", flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	readOnly(true)
	m := openMap(t, dir)
	wantLoad(t, m)
	_, err := m.Append(inode(1), ignore)
	wantReason(t, err, qidpath.ReasonReadOnly)
	readOnly(false)
	wantAppend(t, m, 1, 1)
	m.Close()

	readOnly(true)
	m = openMap(t, dir)
	wantLoad(t, m, inodes(1, 1, 1)...)
	_, err = m.Append(inode(2), ignore)
	wantReason(t, err, qidpath.ReasonReadOnly)
	if err := m.Sync(); err != nil {
		t.Error(err)
	}
	readOnly(false)
	wantAppend(t, m, 2, skip+2)
	mustSync(t, m)
	wantLoad(t, openMap(t, dir), numbered{inode(1), 1}, numbered{inode(2), skip + 2})
}

// A Map does not need its caller's descriptors, nor more than O_PATH.
func TestPathDescriptors(t *testing.T) {
	dir, err := os.OpenFile(t.TempDir(), unix.O_PATH, 0)
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenFile(t.TempDir(), unix.O_PATH, 0)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(Config{Dir: dir, Name: "test", Root: root, Logger: testLogger(t)})
	dir.Close()
	root.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	wantAppend(t, m, 1, 1)
	mustSync(t, m)
}
