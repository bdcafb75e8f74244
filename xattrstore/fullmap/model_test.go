// SPDX-License-Identifier: Apache-2.0

package fullmap

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"vhost-user-9p/qidpath"
)

// world is what the guests of all daemons have ever seen.
type world struct {
	t       testing.TB
	shown   map[uint64]qidpath.File // by number
	settled map[qidpath.File]uint64 // by file, since a sync that worked
}

func newWorld(t testing.TB) *world {
	return &world{t, make(map[uint64]qidpath.File), make(map[qidpath.File]uint64)}
}

// show shows a number; that may be one whose sync has failed.
func (w *world) show(f qidpath.File, n uint64, synced bool) {
	w.t.Helper()
	if other, ok := w.shown[n]; ok && other != f {
		w.t.Fatalf("number %d was inode %d and is inode %d", n, other.Ino, f.Ino)
	}
	w.shown[n] = f
	if !synced {
		return
	}
	if before, ok := w.settled[f]; ok && before != n {
		w.t.Fatalf("inode %d had number %d and has %d", f.Ino, before, n)
	}
	w.settled[f] = n
}

// daemon uses a Map as a qidpath.Table does.
type daemon struct {
	w         *world
	m         *Map
	numbers   map[qidpath.File]uint64
	unsettled map[qidpath.File]uint64
	volatile  bool // it has numbers that the next run may not have
}

func (w *world) daemon(m *Map) *daemon {
	return &daemon{w: w, m: m, numbers: make(map[qidpath.File]uint64), unsettled: make(map[qidpath.File]uint64)}
}

// load reports whether the file could be read.
func (d *daemon) load() bool {
	d.w.t.Helper()
	err := d.m.Load(func(f qidpath.File, n uint64) {
		if d.numbers[f] == 0 && d.unsettled[f] == 0 {
			d.numbers[f] = n
		}
	})
	if err == nil {
		for f, n := range d.w.settled {
			if got := max(d.numbers[f], d.unsettled[f]); got != n && !d.volatile {
				d.w.t.Fatalf("inode %d had number %d and is loaded with %d", f.Ino, n, got)
			}
		}
	}
	return err == nil
}

// append asks for the number of f, if the daemon does not know it.
func (d *daemon) append(f qidpath.File) {
	if d.numbers[f] != 0 || d.unsettled[f] != 0 {
		return
	}
	n, err := d.m.Append(f, func(f qidpath.File, n uint64) { d.unsettled[f] = n })
	if err == nil {
		d.unsettled[f] = n
	} else {
		d.numbers[f] = 1 << 63 // one of its own
		d.volatile = true
	}
}

// settle syncs and shows.
func (d *daemon) settle() {
	d.w.t.Helper()
	err := d.m.Sync()
	for f, n := range d.unsettled {
		if d.numbers[f] == 0 {
			d.w.show(f, n, err == nil)
			d.numbers[f] = n
			d.volatile = d.volatile || err != nil
		}
	}
	clear(d.unsettled)
}

// TestModel runs daemons on a disk that fails now and then, kills them, and has
// power failures. Whatever happens, no number is ever another file's, and one
// that was synced is kept.
func TestModel(t *testing.T) {
	for seed := range uint64(400) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { runModel(t, rand.New(rand.NewPCG(seed, 0))) })
	}
}

func runModel(t *testing.T, r *rand.Rand) {
	mem := newMemory()
	w := newWorld(t)
	failing := 0 // percent of the calls
	start := func() *daemon {
		d := &faults{disk: mem.open(), fail: func(int) *fault {
			if r.IntN(100) >= failing {
				return nil
			}
			return &fault{err: errFault, done: r.IntN(2) == 0, part: r.IntN(2) == 0}
		}}
		return w.daemon(newMap(d, Config{Name: "test", Logger: quiet}))
	}
	daemons := make([]*daemon, 1+r.IntN(3))
	for i := range daemons {
		daemons[i] = start()
	}
	for range 200 {
		failing = 0
		if r.IntN(4) == 0 {
			failing = 20
		}
		i := r.IntN(len(daemons))
		d := daemons[i]
		switch r.IntN(24) {
		case 0:
			mem.powerFailure(r)
			for i := range daemons {
				daemons[i] = start()
			}
		case 1: // killed
			mem.locked = nil
			daemons[i] = start()
			daemons[i].load()
		case 2, 3:
			d.load()
		case 4, 5, 6, 7:
			d.settle()
		default:
			d.append(inode(r.Uint64N(60)))
		}
		// The lock that could not be released is, when its owner tries again.
		mem.locked = nil
	}
}

// The steps of an append and of a load that repairs are cut off at each call, and
// fail at each call in several ways. Afterwards everything goes on from the old
// or the new state.
func TestEveryFault(t *testing.T) {
	old := inodes(1, 4, 1)
	damaged := fileOf(old...)
	damaged[headerSize+recordSize] ^= 1
	damagedHeader := fileOf(old...)
	damagedHeader[2] ^= 1
	kept := append(inodes(1, 1, 1), inodes(3, 4, 3)...)
	for _, tc := range []struct {
		name    string
		content []byte
		old     []numbered
	}{
		{"none", nil, nil},
		{"sound", fileOf(old...), old},
		{"torn", append(fileOf(old...), make([]byte, 2*recordSize+3)...), old},
		{"damaged", damaged, kept},
		{"damaged header", damagedHeader, old},
	} {
		for name, bad := range map[string]fault{
			"fails":                {err: errFault},
			"fails but is done":    {err: errFault, done: true},
			"fails and is partial": {err: errFault, part: true},
		} {
			for _, once := range []bool{true, false} {
				for _, power := range []bool{true, false} {
					t.Run(fmt.Sprintf("%s/%s/once=%v/power=%v", tc.name, name, once, power), func(t *testing.T) {
						for at := 0; everyFault(t, tc.content, tc.old, at, bad, once, power); at++ {
						}
					})
				}
			}
		}
	}
}

// everyFault reports whether there was a call with the number at.
func everyFault(t *testing.T, content []byte, old []numbered, at int, bad fault, once, power bool) bool {
	mem := newMemory()
	if content != nil {
		mem.put("test.fullmap", content)
	}
	w := newWorld(t)
	for _, x := range old {
		w.show(x.f, x.n, true)
	}
	d := &faults{disk: mem.open(), fail: func(call int) *fault {
		if call == at || call > at && !once {
			return &bad
		}
		return nil
	}}
	first := w.daemon(newMap(d, Config{Name: "test", Logger: quiet}))
	first.volatile = true
	first.load()
	for ino := range uint64(3) {
		first.append(inode(10 + ino))
		first.settle()
	}
	mem.locked = nil
	if power {
		mem.powerFailure(rand.New(rand.NewPCG(uint64(at), 1)))
	} else { // goes on
		for ino := range uint64(3) {
			first.append(inode(20 + ino))
			first.settle()
		}
		mem.locked = nil
	}
	for range 2 {
		next := w.daemon(newMap(mem.open(), Config{Name: "test", Logger: quiet}))
		if !next.load() {
			t.Fatalf("call %d: cannot be loaded", at)
		}
		next.append(inode(100))
		next.append(inode(10))
		next.settle()
		if next.volatile {
			t.Fatalf("call %d: cannot be appended to", at)
		}
	}
	if mem.names["test.fullmap.new"] != nil {
		t.Errorf("call %d: the temporary file is left", at)
	}
	return at < d.calls
}

// A number that was only copied into the file that has the name now is durable
// with that name, and not before.
func TestSyncOfAnUnsyncedName(t *testing.T) {
	for seed := range uint64(20) {
		mem := newMemory()
		damaged := fileOf(inodes(1, 3, 1)...)
		damaged[headerSize] ^= 1
		mem.put("test.fullmap", damaged)

		killed := openMem(t, mem.open())
		n, _ := mustAppend(t, killed, inode(4))
		mustAppend(t, killed, inode(5)) // which is not durable

		// This one repairs the file, and cannot sync its name.
		mustLoad(t, openMem(t, &unsyncedDisk{mem.open()}))

		last := openMem(t, mem.open())
		wantAppend(t, last, 5, n+1, numbered{inode(2), 2}, numbered{inode(3), 3}, numbered{inode(4), n}, numbered{inode(5), n + 1})
		mustSync(t, last)
		mem.powerFailure(rand.New(rand.NewPCG(seed, 2)))
		wantLoad(t, openMem(t, mem.open()), numbered{inode(2), 2}, numbered{inode(3), 3}, numbered{inode(4), n}, numbered{inode(5), n + 1})
	}
}

// unsyncedDisk cannot sync its names.
type unsyncedDisk struct{ disk }

func (d *unsyncedDisk) sync() error { return errFault }
