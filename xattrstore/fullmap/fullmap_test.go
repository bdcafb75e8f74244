// SPDX-License-Identifier: Apache-2.0

package fullmap

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"

	"vhost-user-9p/qidpath"
)

func write(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The bytes on the disk, once.
func TestFormat(t *testing.T) {
	dir := t.TempDir()
	m := openMap(t, dir)
	wantLoad(t, m)
	if _, err := os.Stat(mapPath(dir)); !os.IsNotExist(err) {
		t.Errorf("a load has made a file: %v", err)
	}
	mustAppend(t, m, qidpath.File{FS: qidpath.Identity{0xa0, 15: 0xaf}, Dev: 0x0102, Ino: 0xff00000000000003})
	mustAppend(t, m, qidpath.File{FS: qidpath.DeviceIdentity(0x0102), Dev: 0x0102, Ino: 4})
	mustSync(t, m)
	want := "0100000000000000" +
		"a00000000000000000000000000000af" + "0201000000000000" + "03000000000000ff" + "0100000000000000" + "1a9c5470" +
		"00000000000000000000000000000000" + "0201000000000000" + "0400000000000000" + "0200000000000000" + "ade28309"
	if got := fmt.Sprintf("%x", read(t, mapPath(dir))); got != want {
		t.Errorf("stored\n%s, want\n%s", got, want)
	}
	if m.BytesWritten() != 8+2*44 {
		t.Errorf("%d bytes written, want %d", m.BytesWritten(), 8+2*44)
	}
	st, err := os.Stat(mapPath(dir))
	if err != nil || st.Mode() != 0o600 {
		t.Errorf("mode %v, error %v", st.Mode(), err)
	}
	wantLoad(t, openMap(t, dir),
		numbered{qidpath.File{FS: qidpath.Identity{0xa0, 15: 0xaf}, Dev: 0x0102, Ino: 0xff00000000000003}, 1},
		numbered{qidpath.File{FS: qidpath.DeviceIdentity(0x0102), Dev: 0x0102, Ino: 4}, 2})
}

// A run goes on far above what the last one has left, and keeps all numbers.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	m := openMap(t, dir)
	for i := range uint64(3) {
		wantAppend(t, m, 11+i, 1+i)
	}
	mustSync(t, m)
	m.Close()

	m = openMap(t, dir)
	wantLoad(t, m, inodes(11, 13, 1)...)
	wantAppend(t, m, 20, 3+skip+1)
	wantAppend(t, m, 21, 3+skip+2)
	want := append(inodes(11, 13, 1), inodes(20, 21, 3+skip+1)...)
	wantLoad(t, m, want...)
	wantAppend(t, m, 22, 3+skip+3)
	want = append(want, numbered{inode(22), 3 + skip + 3})
	m.Close()

	// Whoever does not load finds everything at the first append.
	m = openMap(t, dir)
	wantAppend(t, m, 30, 3+2*skip+4, want...)
	m.Close()
	m = openMap(t, dir)
	wantAppend(t, m, 21, 3+skip+2, append(want, numbered{inode(30), 3 + 2*skip + 4})...)
}

// Two Maps see each other's numbers.
func TestTwo(t *testing.T) {
	dir := t.TempDir()
	a, b := openMap(t, dir), openMap(t, dir)
	wantAppend(t, a, 1, 1)
	wantAppend(t, b, 2, skip+2, numbered{inode(1), 1})
	wantAppend(t, b, 3, skip+3)
	wantAppend(t, a, 3, skip+3, inodes(2, 3, skip+2)...) // found, not given
	wantAppend(t, a, 4, skip+4)
	wantAppend(t, b, 5, skip+5, numbered{inode(4), skip + 4})
	// The same inode number elsewhere is another file.
	elsewhere := qidpath.File{FS: qidpath.Identity{9}, Dev: 7, Ino: 5}
	if n, _ := mustAppend(t, a, elsewhere); n != skip+6 {
		t.Errorf("number %d, want %d", n, skip+6)
	}
	mustSync(t, a)
	mustSync(t, b)
	wantLoad(t, openMap(t, dir), append(append(inodes(1, 1, 1), inodes(2, 5, skip+2)...), numbered{elsewhere, skip + 6})...)
}

// A Map that has the file open goes on with the one that has taken its place.
func TestReplacedMeanwhile(t *testing.T) {
	dir := t.TempDir()
	a := openMap(t, dir)
	for i := range uint64(4) {
		wantAppend(t, a, 1+i, 1+i)
	}
	mustSync(t, a)
	content := read(t, mapPath(dir))
	content[headerSize+recordSize] ^= 1
	write(t, mapPath(dir), content)

	b := openMap(t, dir)
	wantLoad(t, b, numbered{inode(1), 1}, numbered{inode(3), 3}, numbered{inode(4), 4})
	wantAppend(t, b, 5, 4+skip+1)
	wantAppend(t, a, 6, 4+skip+2, numbered{inode(5), 4 + skip + 1})
	wantAppend(t, b, 7, 4+skip+3, numbered{inode(6), 4 + skip + 2})
	mustSync(t, a)
	wantLoad(t, a, append([]numbered{{inode(1), 1}, {inode(3), 3}, {inode(4), 4}}, inodes(5, 7, 4+skip+1)...)...)
}

// A record that a Map has written may be lost without its knowing, and
// overwritten by others.
func TestOverwrittenMeanwhile(t *testing.T) {
	dir := t.TempDir()
	a := openMap(t, dir)
	wantAppend(t, a, 1, 1)
	wantAppend(t, a, 2, 2)
	content := read(t, mapPath(dir))
	clear(content[headerSize+recordSize:])
	write(t, mapPath(dir), content)
	b := openMap(t, dir)
	wantAppend(t, b, 3, 1+2*skip+1, numbered{inode(1), 1})
	wantAppend(t, a, 4, 1+2*skip+2, numbered{inode(3), 1 + 2*skip + 1})
	wantAppend(t, b, 5, 1+2*skip+3, numbered{inode(4), 1 + 2*skip + 2})

	// The same when the file is shorter.
	write(t, mapPath(dir), content[:headerSize+recordSize])
	wantAppend(t, a, 6, 1+2*skip+3)
}

// A file that was removed comes back as soon as a Map needs it.
func TestRemovedMeanwhile(t *testing.T) {
	dir := t.TempDir()
	a, b := openMap(t, dir), openMap(t, dir)
	wantAppend(t, a, 1, 1)
	wantAppend(t, b, 2, skip+2, numbered{inode(1), 1})
	if err := os.Remove(mapPath(dir)); err != nil {
		t.Fatal(err)
	}
	wantAppend(t, a, 3, skip+3, numbered{inode(2), skip + 2})
	wantAppend(t, b, 4, skip+4, numbered{inode(3), skip + 3})
	want := append(inodes(1, 1, 1), inodes(2, 4, skip+2)...)
	if err := os.Remove(mapPath(dir)); err != nil {
		t.Fatal(err)
	}
	wantLoad(t, b, want...)
	wantLoad(t, openMap(t, dir), want...)
}

// An empty file has never had a number.
func TestEmptyFile(t *testing.T) {
	dir := t.TempDir()
	write(t, mapPath(dir), nil)
	m := openMap(t, dir)
	wantLoad(t, m)
	wantAppend(t, m, 1, 1)
	m.Close()

	// One with a header may have had some.
	write(t, mapPath(dir), appendHeader(nil))
	m = openMap(t, dir)
	wantLoad(t, m)
	wantAppend(t, m, 1, skip+1)
}

func TestFull(t *testing.T) {
	for _, highest := range []uint64{maxNumber, maxNumber - skip} {
		dir := t.TempDir()
		write(t, mapPath(dir), fileOf(numbered{inode(1), highest}))
		m := openMap(t, dir)
		wantLoad(t, m, numbered{inode(1), highest})
		_, err := m.Append(inode(2), ignore)
		wantReason(t, err, qidpath.ReasonFull)
	}
	dir := t.TempDir()
	write(t, mapPath(dir), fileOf(numbered{inode(1), maxNumber - skip - 1}))
	m := openMap(t, dir)
	mustLoad(t, m)
	wantAppend(t, m, 2, maxNumber)
	_, err := m.Append(inode(3), ignore)
	wantReason(t, err, qidpath.ReasonFull)
}

func TestClosed(t *testing.T) {
	dir := t.TempDir()
	m := openMap(t, dir)
	wantAppend(t, m, 1, 1)
	for range 2 {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	_, err := m.Append(inode(2), ignore)
	wantReason(t, err, qidpath.ReasonClosed)
	wantReason(t, m.Load(ignore), qidpath.ReasonClosed)
	wantReason(t, m.Sync(), qidpath.ReasonClosed)
	wantLoad(t, openMap(t, dir), numbered{inode(1), 1})
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	a, b := openMap(t, dir), openMap(t, dir)
	if err := a.disk.lock(); err != nil {
		t.Fatal(err)
	}
	_, err := b.Append(inode(1), ignore)
	wantReason(t, err, qidpath.ReasonLocked)
	wantReason(t, b.Load(ignore), qidpath.ReasonLocked)
	if err := a.disk.unlock(); err != nil {
		t.Fatal(err)
	}
	wantAppend(t, b, 1, 1)
}

func TestConfig(t *testing.T) {
	withDir(t, t.TempDir(), func(dir *os.File) {
		for _, cfg := range []Config{
			{Dir: dir, Root: dir},
			{Dir: dir, Root: dir, Name: "a/b"},
			{Dir: dir, Name: "a"},
			{Root: dir, Name: "a"},
		} {
			if m, err := Open(cfg); err == nil {
				m.Close()
				t.Errorf("no error for %+v", cfg)
			}
		}
	})
}

func TestInspect(t *testing.T) {
	dir := t.TempDir()
	withDir(t, dir, func(d *os.File) {
		if _, err := Inspect(d, "test"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("error %v, want that there is none", err)
		}
		dev := qidpath.DeviceIdentity(5)
		content := fileOf(inodes(1, 3, 1)...)
		content = appendRecord(content, qidpath.File{FS: dev, Dev: 5, Ino: 1}, 10)
		content[headerSize] ^= 1
		content = append(content, 1, 2, 3)
		write(t, mapPath(dir), content)
		got, err := Inspect(d, "test")
		if err != nil {
			t.Fatal(err)
		}
		want := Summary{
			Bytes: headerSize + 4*recordSize + 3, Records: 3, Damaged: 1, Torn: 3, Highest: 10,
			PerFS: map[qidpath.Identity]uint64{testFS: 2, dev: 1},
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if !bytes.Equal(read(t, mapPath(dir)), content) {
			t.Error("the file has changed")
		}
	})
}
