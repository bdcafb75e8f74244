// SPDX-License-Identifier: Apache-2.0

package fullmap

import (
	"slices"
	"testing"

	"vhost-user-9p/qidpath"
)

// hookDisk calls a function after each read of a file.
type hookDisk struct {
	disk
	afterRead func()
}

type hookFile struct {
	file
	d *hookDisk
}

func (d *hookDisk) open(name string, flags int) (file, error) {
	f, err := d.disk.open(name, flags)
	if err != nil {
		return nil, err
	}
	return &hookFile{f, d}, nil
}

func (f *hookFile) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.file.ReadAt(b, off)
	f.d.afterRead()
	return n, err
}

// While a load reads without the lock, others append over the damaged records
// that it has just seen, or write the file anew.
func TestChangedDuringLoad(t *testing.T) {
	const count = scanBuffer/recordSize - 1 // and a damaged one are read at once
	content := append(fileOf(inodes(1, count, 1)...), make([]byte, 2*recordSize)...)
	damaged := slices.Clone(content)
	damaged[headerSize] ^= 1
	for _, tc := range []struct {
		name    string
		content []byte
		other   func(t *testing.T, m *Map)
		first   uint64
	}{
		{"append", content, func(*testing.T, *Map) {}, 1},
		{"repair", damaged, func(t *testing.T, m *Map) { mustLoad(t, m) }, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for at := range 3 {
				mem := newMemory()
				mem.put("test.fullmap", tc.content)
				d := &hookDisk{disk: mem.open()}
				m := openMem(t, d)
				other := openMem(t, mem.open())
				var added []numbered
				reads := 0
				d.afterRead = func() {
					if reads++; reads == at+1 && mem.locked == nil {
						tc.other(t, other)
						for ino := range uint64(2) {
							n, _ := mustAppend(t, other, inode(1<<20+ino))
							added = append(added, numbered{inode(1<<20 + ino), n})
						}
					}
				}
				got := mustLoad(t, m)
				if want := append(inodes(tc.first, count, tc.first), added...); !slices.Equal(got, want) {
					t.Errorf("read %d: loaded %d numbers, the last %v, want %d, the last %v",
						at, len(got), got[len(got)-1], len(want), want[len(want)-1])
				}
				if at == 1 && len(added) == 0 {
					t.Error("all reads are under the lock")
				}
				wantLoad(t, openMem(t, mem.open()), got...)
			}
		})
	}
}

// What a load that fails has yielded, or one before it, is not yielded again.
func TestFailedLoad(t *testing.T) {
	mem := newMemory()
	mem.put("test.fullmap", fileOf(inodes(1, 3, 1)...))
	failing := false
	d := &faults{disk: mem.open(), fail: func(call int) *fault {
		if failing && call == 3 { // after lock, stat and unlock
			return &fault{err: errFault}
		}
		return nil
	}}
	m := openMem(t, d)
	wantLoad(t, m, inodes(1, 3, 1)...)
	failing, d.calls = true, 0
	wantReason(t, m.Load(ignore), qidpath.ReasonIO)
	failing = false
	wantAppend(t, m, 4, 3+skip+1)
	wantLoad(t, m, append(inodes(1, 3, 1), numbered{inode(4), 3 + skip + 1})...)
}

// A file that is no full map is not read for each append.
func TestForeignIsReadOnce(t *testing.T) {
	mem := newMemory()
	mem.put("test.fullmap", make([]byte, 1<<20))
	d := &faults{disk: mem.open(), fail: func(int) *fault { return nil }}
	m := openMem(t, d)
	wantReason(t, m.Load(ignore), qidpath.ReasonRejected)
	before := d.calls
	_, err := m.Append(inode(1), ignore)
	wantReason(t, err, qidpath.ReasonRejected)
	if got := d.calls - before; got != 3 {
		t.Errorf("%d calls, want lock, stat, unlock", got)
	}
}

// The usual append is as few calls as it can be.
func TestCalls(t *testing.T) {
	d := &faults{disk: newMemory().open(), fail: func(int) *fault { return nil }}
	m := openMem(t, d)
	mustAppend(t, m, inode(1))
	mustSync(t, m)
	before := d.calls
	mustAppend(t, m, inode(2))
	if got := d.calls - before; got != 5 {
		t.Errorf("%d calls for an append, want lock, stat, read, write, unlock", got)
	}
	mustSync(t, m)
	mustSync(t, m)
	if got := d.calls - before; got != 6 {
		t.Errorf("%d calls with syncs, want one more", got)
	}
}
