// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
)

// file1 returns a file's bytes, written without the code under test. Names and
// values take turns.
func file1(fields ...[]byte) []byte {
	var body []byte
	for f := range slices.Chunk(fields, 2) {
		body = binary.LittleEndian.AppendUint16(body, uint16(len(f[0])))
		body = binary.LittleEndian.AppendUint32(body, uint32(len(f[1])))
		body = slices.Concat(body, f[0], f[1])
	}
	return fileHeader(body)
}

func fileHeader(body []byte) []byte {
	crc := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))
	return append(binary.LittleEndian.AppendUint32([]byte("vu9pqids\x01\x00\x00\x00"), crc), body...)
}

func TestFileFormat(t *testing.T) {
	a, b := []byte("a"), []byte("bb")
	good := file1(a, []byte("value"), b, nil)
	want := map[string][]byte{"a": []byte("value"), "bb": {}}
	values, err := decodeFile(good)
	if err != nil || !maps.EqualFunc(values, want, bytes.Equal) {
		t.Errorf("values %q, %v", values, err)
	}
	if got := encodeFile(want); !bytes.Equal(got, good) {
		t.Errorf("encoded as %x\nwant %x", got, good)
	}
	if values, err := decodeFile(file1()); err != nil || len(values) != 0 {
		t.Errorf("values %q, %v", values, err)
	}
	for name, tc := range map[string]struct {
		data []byte
		want error
	}{
		"empty":            {nil, ErrFile},
		"half a header":    {good[:8], ErrFile},
		"magic":            {flip(slices.Clone(good), 3), ErrFile},
		"version":          {append([]byte("vu9pqids\x02\x00"), good[10:]...), ErrVersion},
		"reserved":         {append([]byte("vu9pqids\x01\x00\x01\x00"), good[12:]...), ErrFile},
		"checksum":         {flip(slices.Clone(good), 13), ErrFile},
		"cut":              {good[:len(good)-1], ErrFile},
		"ragged":           {fileHeader([]byte{1, 0, 0}), ErrFile},
		"long name":        {fileHeader([]byte{2, 0, 0, 0, 0, 0, 'a'}), ErrFile},
		"long value":       {fileHeader([]byte{1, 0, 0xff, 0xff, 0xff, 0xff, 'a'}), ErrFile},
		"name twice":       {file1(a, nil, a, nil), ErrFile},
		"names descending": {file1(b, nil, a, nil), ErrFile},
		"no name":          {file1(nil, nil), ErrFile},
	} {
		if _, err := decodeFile(tc.data); !errors.Is(err, tc.want) {
			t.Errorf("%s: error %v, want %v", name, err, tc.want)
		}
	}
}

// cutDir lets a number of steps through and then fails everything; the file that
// is written at that moment is written in part.
type cutDir struct {
	directory
	left int
	err  error
}

func (d *cutDir) cut() error {
	if d.left == 0 {
		return d.err
	}
	d.left--
	return nil
}

func (d *cutDir) write(name string, data []byte) (*os.File, error) {
	if err := d.cut(); err != nil {
		if f, err := d.directory.write(name, data[:len(data)/2]); err == nil {
			f.Close()
		}
		return nil, err
	}
	return d.directory.write(name, data)
}

func (d *cutDir) rename(from, to string) error {
	if err := d.cut(); err != nil {
		return err
	}
	return d.directory.rename(from, to)
}

func (d *cutDir) remove(name string) error {
	if err := d.cut(); err != nil {
		return err
	}
	return d.directory.remove(name)
}

func (d *cutDir) sync() error {
	if err := d.cut(); err != nil {
		return err
	}
	return d.directory.sync()
}

// TestCutOfTheFile kills a store after each step that changes the directory: the
// old or the new table is there.
func TestCutOfTheFile(t *testing.T) {
	k := newElements(1, 12)
	add := newElements(2, 2)
	bad := []byte("something else that is long enough")
	for name, tc := range map[string]struct {
		file []byte
		old  []qidpath.Element
		do   func(s *Store) error
		want []qidpath.Element
	}{
		"first append": {nil, nil, func(s *Store) error {
			_, err := s.Append(0, add)
			return err
		}, add},
		"append": {encodeFile(map[string][]byte{elementSeries.chunk(0): table1(k...)}), unproven(k), func(s *Store) error {
			_, err := s.Append(0, add)
			return err
		}, append(unproven(k), add...)},
		"identify": {encodeFile(map[string][]byte{elementSeries.chunk(0): table1(k...)}), unproven(k), func(s *Store) error {
			return s.Identify(5, testIdentity(1))
		}, proven(unproven(k), 5, testIdentity(1))},
		"damaged file": {bad, nil, func(s *Store) error {
			_, err := s.Append(0, add)
			return err
		}, add},
	} {
		t.Run(name, func(t *testing.T) {
			for cut := 0; ; cut++ {
				dir := t.TempDir()
				path := filepath.Join(dir, testFile)
				if tc.file != nil {
					if err := os.WriteFile(path, tc.file, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				cfg := testConfig(t)
				cfg.Mode = ModeFile
				root := newDisk()
				s := bothOn(t, root.open(), dir, cfg)
				m := s.file.medium.(*fileMedium)
				m.dir = &cutDir{m.dir, cut, errCut}
				err := tc.do(s)
				s.Close()

				again := bothOn(t, root.open(), dir, cfg)
				got, loadErr := again.Load()
				if loadErr != nil && (name != "damaged file" || err == nil) {
					t.Fatalf("cut after %d steps: %v", cut, loadErr)
				}
				if !slices.Equal(got, tc.old) && !slices.Equal(got, tc.want) {
					t.Fatalf("cut after %d steps: loaded %v", cut, got)
				}
				if err == nil && !slices.Equal(got, tc.want) {
					t.Fatalf("loaded %v, want %v", got, tc.want)
				}
				if name == "damaged file" {
					kept, _ := filepath.Glob(path + "*")
					if !slices.ContainsFunc(kept, func(name string) bool {
						data, err := os.ReadFile(name)
						return err == nil && bytes.Equal(data, bad)
					}) {
						t.Fatalf("cut after %d steps: the damaged file is lost", cut)
					}
				}
				next := newElements(9, 1)
				tail := mustAppend(t, again, len(got), next...)
				if !slices.Equal(tail, next) {
					t.Fatalf("tail %v", tail)
				}
				if err == nil {
					if cut < 3 {
						t.Errorf("only %d steps", cut)
					}
					return
				}
				if !errors.Is(err, errCut) {
					t.Fatal(err)
				}
			}
		})
	}
}

// A file system that is full leaves the old file as it is.
func TestFileSystemOfTheFileIsFull(t *testing.T) {
	needRoot(t)
	dir := filepath.Join(t.TempDir(), "mnt")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	need(t, "mounts of tmpfs", unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"))
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	cfg := testConfig(t)
	cfg.Mode = ModeFile
	s := bothOn(t, newDisk().open(), dir, cfg)
	k := newElements(1, 5000)
	n := 0
	var err error
	for ; n < len(k) && err == nil; n += 100 {
		_, err = s.Append(n, k[n:n+100])
	}
	n -= 100
	wantReason(t, err, qidpath.ReasonNoSpace)
	if n < 500 {
		t.Errorf("only %d elements fit", n)
	}
	if got := mustLoad(t, bothOn(t, newDisk().open(), dir, cfg)); !slices.Equal(got, k[:n]) {
		t.Errorf("loaded %d elements, want %d", len(got), n)
	}
	wantFiles(t, dir, testFile)
	mustAppend(t, s, n) // and what is there is still known
}

// Each store sees at once what another has put into the file, and reads it only
// if it is another one.
func TestFileOfTwoStores(t *testing.T) {
	dir := t.TempDir()
	cfg := testConfig(t)
	cfg.Mode = ModeFile
	root := newDisk()
	a, b := bothOn(t, root.open(), dir, cfg), bothOn(t, root.open(), dir, cfg)
	k := newElements(1, 40)
	known := map[*Store]int{}
	for i, e := range k {
		s := a
		if i%3 == 0 {
			s = b
		}
		known[s] += len(mustAppend(t, s, known[s], e))
		if known[s] != i+1 {
			t.Fatalf("%d elements known after %d", known[s], i+1)
		}
	}
	opened := 0
	m := b.file.medium.(*fileMedium)
	m.dir = &openCounter{m.dir, &opened}
	for range 3 {
		mustAppend(t, b, 0)
	}
	if opened > 1 {
		t.Errorf("the file was read %d times", opened)
	}
	// Without the file, all is stored again.
	if err := os.Remove(filepath.Join(dir, testFile)); err != nil {
		t.Fatal(err)
	}
	if err := b.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := mustLoad(t, bothOn(t, root.open(), dir, cfg)); !slices.Equal(got, k) {
		t.Errorf("loaded %v", got)
	}
}

type openCounter struct {
	directory
	n *int
}

func (d *openCounter) open(name string) (*os.File, error) {
	*d.n++
	return d.directory.open(name)
}

// A file has no room for more than can be read again.
func TestFileHasABound(t *testing.T) {
	m := fileIn(t, t.TempDir())
	defer m.close()
	if _, err := m.begin(); err != nil {
		t.Fatal(err)
	}
	if err := m.set("a", make([]byte, maxFile-fileHeaderSize-recordSize)); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("error %v, want ENOSPC", err)
	}
	if err := m.set("a", make([]byte, maxFile-fileHeaderSize-recordSize-1)); err != nil {
		t.Error(err)
	}
	if err := m.sync(); err != nil {
		t.Error(err)
	}
	again := fileIn(t, m.dir.(stateDir).dir.Name())
	defer again.close()
	if _, err := again.begin(); err != nil {
		t.Error(err)
	}
}

// What could not be written is not there.
func TestFailedWriteOfTheFile(t *testing.T) {
	k, dir := newElements(1, 5), t.TempDir()
	cfg := testConfig(t)
	cfg.Mode = ModeFile
	s := bothOn(t, newDisk().open(), dir, cfg)
	mustAppend(t, s, 0, k[:3]...)
	m := s.file.medium.(*fileMedium)
	good := m.dir
	m.dir = &cutDir{good, 0, unix.ENOSPC}
	_, err := s.Append(3, k[3:4])
	wantReason(t, err, qidpath.ReasonNoSpace)
	if got := mustLoad(t, s); !slices.Equal(got, k[:3]) {
		t.Errorf("loaded %v", got)
	}
	m.dir = good
	if tail := mustAppend(t, s, 3, k[4]); !slices.Equal(tail, k[4:]) {
		t.Errorf("tail %v", tail)
	}
}
