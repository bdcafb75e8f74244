// SPDX-License-Identifier: Apache-2.0

package fullmap

import (
	"bytes"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
)

// What a crash has left at the end costs nothing but itself.
func TestTornTail(t *testing.T) {
	dir := t.TempDir()
	whole := fileOf(inodes(1, 3, 1)...)
	start := len(whole) - recordSize
	for cut := start; cut < len(whole); cut++ {
		for _, filled := range []bool{false, true} {
			content := slices.Clone(whole[:cut])
			want := uint64(2 + skip + 1)
			if filled { // the size is on the disk and the rest is not
				content = append(content, make([]byte, len(whole)-cut)...)
				if bytes.Equal(content, whole) {
					continue
				}
				want += skip // who knows
			}
			write(t, mapPath(dir), content)
			m := openMap(t, dir)
			wantLoad(t, m, inodes(1, 2, 1)...)
			if got := read(t, mapPath(dir)); !bytes.Equal(got, content) {
				t.Fatalf("cut at %d: a load has changed the file", cut)
			}
			wantAppend(t, m, 4, want)
			m.Close()
			after := fileOf(append(inodes(1, 2, 1), numbered{inode(4), want})...)
			if got := read(t, mapPath(dir)); !bytes.Equal(got, after) {
				t.Fatalf("cut at %d: stored\n%x, want\n%x", cut, got, after)
			}
		}
	}
}

// A long tail is cut off by the append that makes use of its place.
func TestLongTail(t *testing.T) {
	dir := t.TempDir()
	write(t, mapPath(dir), append(fileOf(inodes(1, 2, 1)...), make([]byte, 1000*recordSize+5)...))
	m := openMap(t, dir)
	wantLoad(t, m, inodes(1, 2, 1)...)
	wantAppend(t, m, 3, 2+65*skip+1)
	wantAppend(t, m, 4, 2+65*skip+2)
	wantLoad(t, openMap(t, dir), append(inodes(1, 2, 1), inodes(3, 4, 2+65*skip+1)...)...)
	if got, want := len(read(t, mapPath(dir))), headerSize+4*recordSize; got != want {
		t.Errorf("%d bytes, want %d", got, want)
	}
}

// Damaged records in the middle are left out, and their numbers too.
func TestDamagedMiddle(t *testing.T) {
	all := inodes(1, 6, 1)
	outOfOrder := slices.Clone(all)
	outOfOrder[3].n = 3
	zero := slices.Clone(all)
	zero[3].n = 0
	volatileNumber := slices.Clone(all)
	volatileNumber[3].n = maxNumber + 1
	flipped := fileOf(all...)
	flipped[headerSize+3*recordSize+20] ^= 4
	for name, content := range map[string][]byte{
		"flipped bit":       flipped,
		"out of order":      fileOf(outOfOrder...),
		"number 0":          fileOf(zero...),
		"a volatile number": fileOf(volatileNumber...),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, mapPath(dir), content)
			rest := slices.Delete(slices.Clone(all), 3, 4)

			// An append goes on behind them.
			m := openMap(t, dir)
			wantAppend(t, m, 9, 6+skip+1, rest...)
			m.Close()
			rest = append(rest, numbered{inode(9), 6 + skip + 1})
			if got := read(t, mapPath(dir)); !bytes.Equal(got[:len(content)], content) {
				t.Error("an append has changed what is before it")
			}

			// A load writes the file anew without them.
			m = openMap(t, dir)
			wantLoad(t, m, rest...)
			if got := read(t, mapPath(dir)); !bytes.Equal(got, fileOf(rest...)) {
				t.Errorf("stored\n%x, want\n%x", got, fileOf(rest...))
			}
			wantAppend(t, m, 4, 6+2*skip+2)
			m.Close()
			wantLoad(t, openMap(t, dir), append(rest, numbered{inode(4), 6 + 2*skip + 2})...)
		})
	}
}

// A file that is written anew still says that there were damaged records at its
// end.
func TestRepairKeepsTail(t *testing.T) {
	dir := t.TempDir()
	content := fileOf(inodes(1, 3, 1)...)
	content[headerSize] ^= 1
	write(t, mapPath(dir), append(content, make([]byte, recordSize)...))
	b := openMap(t, dir)
	b.begun = true // by an earlier append
	m := openMap(t, dir)
	wantLoad(t, m, inodes(2, 3, 2)...)
	m.Close()
	wantAppend(t, b, 4, 3+skip+1, inodes(2, 3, 2)...)
}

// What cannot be read is left alone.
func TestRejected(t *testing.T) {
	header := appendHeader(nil)
	for _, tc := range []struct {
		name    string
		content []byte
		reason  qidpath.Reason
	}{
		{"later version", append([]byte{2}, fileOf(inodes(1, 3, 1)...)[1:]...), qidpath.ReasonVersion},
		{"short", header[:7], qidpath.ReasonRejected},
		{"text", []byte("This is something else, but long enough to have records if it had a header.\n"), qidpath.ReasonVersion},
		{"zeros", make([]byte, 1000), qidpath.ReasonRejected},
		{"header only, damaged", []byte{1, 0, 0, 0, 1, 0, 0, 0}, qidpath.ReasonRejected},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, mapPath(dir), tc.content)
			m := openMap(t, dir)
			for range 2 {
				wantReason(t, m.Load(ignore), tc.reason)
				_, err := m.Append(inode(1), ignore)
				wantReason(t, err, tc.reason)
			}
			if got := read(t, mapPath(dir)); !bytes.Equal(got, tc.content) {
				t.Error("the file has changed")
			}
			if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
				t.Errorf("files %v, error %v", entries, err)
			}
			withDir(t, dir, func(d *os.File) {
				_, err := Inspect(d, "test")
				wantReason(t, err, tc.reason)
			})
			// Without it a new one is begun.
			if err := os.Remove(mapPath(dir)); err != nil {
				t.Fatal(err)
			}
			wantAppend(t, m, 1, 1)
		})
	}
	t.Run("too long", func(t *testing.T) {
		dir := t.TempDir()
		write(t, mapPath(dir), header)
		if err := os.Truncate(mapPath(dir), maxSize+1); err != nil {
			t.Fatal(err)
		}
		m := openMap(t, dir)
		wantReason(t, m.Load(ignore), qidpath.ReasonRejected)
		_, err := m.Append(inode(1), ignore)
		wantReason(t, err, qidpath.ReasonRejected)
		withDir(t, dir, func(d *os.File) {
			_, err := Inspect(d, "test")
			wantReason(t, err, qidpath.ReasonRejected)
		})
	})
	t.Run("fifo", func(t *testing.T) {
		dir := t.TempDir()
		if err := unix.Mkfifo(mapPath(dir), 0o600); err != nil {
			t.Fatal(err)
		}
		wantReason(t, openMap(t, dir).Load(ignore), qidpath.ReasonRejected)
		withDir(t, dir, func(d *os.File) {
			_, err := Inspect(d, "test")
			wantReason(t, err, qidpath.ReasonRejected)
		})
	})
}

// Under a damaged header, valid records say what the file is.
func TestDamagedHeader(t *testing.T) {
	dir := t.TempDir()
	content := fileOf(inodes(1, 3, 1)...)
	content[4] = 1
	write(t, mapPath(dir), content)
	m := openMap(t, dir)
	_, err := m.Append(inode(9), ignore)
	wantReason(t, err, qidpath.ReasonRejected)

	// Even removed it is still there for who has it open.
	if err := os.Remove(mapPath(dir)); err != nil {
		t.Fatal(err)
	}
	wantAppend(t, m, 5, 3+skip+1)
	m.Close()

	write(t, mapPath(dir), content)
	m = openMap(t, dir)
	wantLoad(t, m, inodes(1, 3, 1)...)
	wantAppend(t, m, 4, 3+skip+1)
	m.Close()
	wantLoad(t, openMap(t, dir), append(inodes(1, 3, 1), numbered{inode(4), 3 + skip + 1})...)
	aside := 0
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if bytes.Equal(read(t, dir+"/"+e.Name()), content) {
			aside++
		}
	}
	if aside != 1 || len(entries) != 2 {
		t.Errorf("files %v, want the new one and the damaged one", entries)
	}
}
