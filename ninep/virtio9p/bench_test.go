// SPDX-License-Identifier: Apache-2.0

package virtio9p_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/hostfs"
	"vhost-user-9p/ninep/virtio9p"
	"vhost-user-9p/qidpath"
)

// Fids of the export that newExport sets up.
const (
	fileFid = 10 // a file of 64 KiB, open for reading and writing
	newFid  = 11 // for walks
	blockIO = 4096
)

// newExport returns a rig over a real directory with a file "file" in it.
func newExport(tb testing.TB) *rig {
	tb.Helper()
	dir := tb.TempDir()
	check(tb, os.WriteFile(filepath.Join(dir, "file"), bytes.Repeat([]byte("0123456789abcdef"), 4096), 0o600))
	root := check1(tb, func() (*os.File, error) { return os.Open(dir) })
	fs := check1(tb, func() (*hostfs.FS, error) {
		return hostfs.New(hostfs.Config{Root: root, QIDPaths: qidpath.New(qidpath.Config{})})
	})
	tb.Cleanup(func() {
		_ = fs.Close()
		_ = root.Close()
	})
	r := newRig(tb, fs)
	r.attach()
	r.walk(fileFid, "file")
	r.open(fileFid, unix.O_RDWR)
	return r
}

// An operation is one or more messages that leave things as they were.
type operation struct {
	name  string
	msgs  [][]byte
	bytes int64 // of payload
}

func operations() []operation {
	data := bytes.Repeat([]byte{0x5a}, blockIO)
	return []operation{
		{name: "Getattr", msgs: [][]byte{msg(tGetattr, 1).u32(fileFid).u64(uint64(ninep.AttrBasic)).bytes()}},
		{name: "Walk1Clunk", msgs: [][]byte{
			msg(tWalk, 1).u32(rootFid).u32(newFid).u16(1).str("file").bytes(),
			msg(tClunk, 1).u32(newFid).bytes(),
		}},
		{name: "Read4K", bytes: blockIO, msgs: [][]byte{msg(tRead, 1).u32(fileFid).u64(8192).u32(blockIO).bytes()}},
		{name: "Write4K", bytes: blockIO, msgs: [][]byte{msg(tWrite, 1).u32(fileFid).u64(4096).u32(blockIO).raw(data).bytes()}},
	}
}

// load puts an operation's messages into slots 0, 1, ...
func (r *rig) load(op operation) {
	for i, m := range op.msgs {
		out, _ := r.slot(i)
		copy(r.drv.Bytes(out, slotOut), m)
	}
}

// run executes a loaded operation, and allocates nothing itself.
func (r *rig) run(op operation) {
	for i := range op.msgs {
		r.submit(i)
		if slot, n := r.wait(); slot != i || n < 7 {
			r.tb.Fatalf("%s: slot %d came back with %d bytes", op.name, slot, n)
		}
		if _, in := r.slot(i); r.drv.Bytes(in, 5)[4] == tRlerror {
			expect(r.tb, r.reply(i, 11), op.msgs[i][4])
		}
	}
}

// The whole way from the available ring to the used ring allocates nothing.
func TestHotPathDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Log("the race detector allocates: measured without it by the same command without -race")
		return
	}
	r := newExport(t)
	for _, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			r.load(op)
			for range 100 {
				r.run(op) // pools fill
			}
			// It leaves Go one P, which the worker keeps while it waits, for 10 ms each time. On
			// a busy machine another worker takes over now and then, which needs what it gives
			// back later, once.
			n := 1.0
			for try := 0; n != 0 && try < 20; try++ {
				n = testing.AllocsPerRun(100, func() { r.run(op) })
			}
			if n != 0 {
				t.Errorf("%v allocations for each %s, want 0", n, op.name)
			}
		})
	}
}

// Nor does looking after operations that block without having said so.
func TestBlockingDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Log("the race detector allocates: measured without it by the same command without -race")
		return
	}
	r := newRigConfig(t, virtio9p.Config{Tag: "share", Session: ninep.NewSession(ninep.Config{
		Backend: &fake{getattr: func(*ninep.Call) error {
			ts := unix.NsecToTimespec(int64(10 * time.Millisecond))
			return unix.Nanosleep(&ts, nil)
		}},
	})})
	r.attach()
	op := operation{name: "GetAttr", msgs: [][]byte{getattrMsg(1)}}
	r.load(op)
	for range 10 {
		r.run(op)
	}
	stuck := r.dev.Stats().Stuck.Load()
	const runs = 50
	if n := testing.AllocsPerRun(runs, func() { r.run(op) }); n != 0 {
		t.Errorf("%v allocations for each operation that blocks, want 0", n)
	}
	// The monitor, which sleeps most of the time, misses one now and then on a busy machine.
	if n := r.dev.Stats().Stuck.Load() - stuck; n < runs/2 {
		t.Errorf("%d of %d operations were seen to take long", n, runs)
	}
}

// BenchmarkRing measures one request at a time from ring to ring, over a real directory.
func BenchmarkRing(b *testing.B) {
	for _, op := range operations() {
		b.Run(op.name, func(b *testing.B) {
			r := newExport(b)
			r.load(op)
			r.run(op)
			b.SetBytes(op.bytes)
			b.ReportAllocs()
			for b.Loop() {
				r.run(op)
			}
		})
	}
}
