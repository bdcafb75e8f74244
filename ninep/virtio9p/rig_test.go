// SPDX-License-Identifier: Apache-2.0

package virtio9p_test

import (
	"encoding/binary"
	"log/slog"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/virtio9p"
	"vhost-user-9p/virtqueue"
	"vhost-user-9p/virtqueue/virtqtest"
)

// Guest memory of the rig: the ring, then a slot for each pair of descriptors.
const (
	guestBase = 0x4000_0000
	userBase  = 0x7f00_0000_0000
	ringSize  = 128
	slots     = ringSize / 2
	slotOut   = 1<<20 + 64<<10 // room for a T-message
	slotIn    = 1<<20 + 64<<10 // room for its reply
	slotTable = 16 << 10       // room for an indirect table
	slotSize  = slotOut + slotIn + slotTable
	memSize   = 64<<10 + slots*slotSize
)

// rig is a guest with one virtio-9p device, without a VMM: a ring in shared memory and two
// eventfds. Slot i uses descriptors 2i (the request) and 2i+1 (the reply). Nothing in
// submit and wait allocates.
type rig struct {
	tb         testing.TB
	mem        []byte
	memfd      int
	drv        *virtqtest.Driver
	kick, call int
	dev        *virtio9p.Device
	queue      *virtqueue.Queue
	memory     *virtqueue.Memory
	layout     virtqtest.Layout
	features   virtqueue.Features
	lists      [slots][]virtqtest.Desc // of a packed ring: what submit makes available
	busy       int                     // requests submitted and not yet taken back
}

func newRig(tb testing.TB, backend ninep.Backend) *rig {
	tb.Helper()
	return newRigConfig(tb, virtio9p.Config{
		Tag:     "share",
		Session: ninep.NewSession(ninep.Config{Backend: backend, Logger: slog.New(slog.DiscardHandler)}),
	})
}

// rigMaker makes a rig for a backend.
type rigMaker func(testing.TB, ninep.Backend) *rig

// layouts runs a test with rigs of both layouts of a ring.
func layouts(t *testing.T, f func(t *testing.T, newRig rigMaker)) {
	t.Run("split", func(t *testing.T) { f(t, newRig) })
	t.Run("packed", func(t *testing.T) {
		f(t, func(tb testing.TB, backend ninep.Backend) *rig {
			tb.Helper()
			session := ninep.NewSession(ninep.Config{Backend: backend, Logger: slog.New(slog.DiscardHandler)})
			return newRigConfig(tb, virtio9p.Config{Tag: "share", Session: session, Packed: true})
		})
	})
}

func newRigConfig(tb testing.TB, cfg virtio9p.Config) *rig {
	tb.Helper()
	r := &rig{tb: tb, features: virtqueue.FeatureVersion1 | virtqueue.FeatureIndirectDesc | virtqueue.FeatureEventIdx}
	r.memfd = check1(tb, func() (int, error) { return unix.MemfdCreate("guest", unix.MFD_CLOEXEC) })
	check(tb, unix.Ftruncate(r.memfd, memSize))
	r.mem = check1(tb, func() ([]byte, error) {
		return unix.Mmap(r.memfd, 0, memSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	})
	r.kick = check1(tb, func() (int, error) { return unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC) })
	r.call = check1(tb, func() (int, error) { return unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC) })
	region := check1(tb, func() (*virtqueue.Region, error) {
		return virtqueue.MapRegion(r.memfd, guestBase, userBase, memSize, 0)
	})
	r.memory = check1(tb, func() (*virtqueue.Memory, error) {
		return virtqueue.NewMemory([]*virtqueue.Region{region})
	})
	region.Unref()
	r.layout, _ = virtqtest.LayoutAt(guestBase, ringSize)
	if cfg.Packed {
		r.layout, _ = virtqtest.PackedLayoutAt(guestBase, ringSize)
		r.features |= virtqueue.FeatureRingPacked
	}
	r.dev = check1(tb, func() (*virtio9p.Device, error) { return virtio9p.New(cfg) })
	r.dev.Realize()
	tb.Cleanup(func() {
		r.stop()
		r.dev.Unrealize("test ends")
		r.memory.Unref()
		_ = unix.Munmap(r.mem)
		for _, fd := range []int{r.memfd, r.kick, r.call} {
			_ = unix.Close(fd)
		}
	})
	r.start()
	return r
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func check1[T any](tb testing.TB, f func() (T, error)) T {
	tb.Helper()
	v, err := f()
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// start starts the queue with an empty ring.
func (r *rig) start() {
	r.drv = virtqtest.New(r.mem, guestBase, r.layout, true)
	for i := range slots {
		out, in := r.slot(i)
		if r.layout.Packed {
			r.setList(i, virtqtest.Desc{Addr: out, Len: slotOut}, virtqtest.Desc{Addr: in, Len: slotIn, Flags: virtqtest.Write})
			continue
		}
		r.drv.SetDesc(r.layout.Desc, 2*i, virtqtest.Desc{Addr: out, Len: slotOut, Flags: virtqtest.Next, Next: uint16(2*i + 1)})
		r.drv.SetDesc(r.layout.Desc, 2*i+1, virtqtest.Desc{Addr: in, Len: slotIn, Flags: virtqtest.Write})
	}
	r.resume(r.drv.Base())
}

// setList says what slot i makes available in a packed ring. Buffer IDs are the heads of a
// split ring.
func (r *rig) setList(i int, list ...virtqtest.Desc) {
	for k := range list {
		list[k].Next = uint16(2 * i)
		if k+1 < len(list) {
			list[k].Flags |= virtqtest.Next
		}
	}
	r.lists[i] = list
}

// resume starts the queue on the ring as it stands.
func (r *rig) resume(base uint32) {
	r.tb.Helper()
	user := func(guest uint64) uint64 { return guest - guestBase + userBase }
	q, err := virtqueue.NewQueue(r.memory, virtqueue.Config{
		Size:      ringSize,
		Features:  r.features,
		DescAddr:  user(r.layout.Desc),
		AvailAddr: user(r.layout.Avail),
		UsedAddr:  user(r.layout.Used),
		Base:      base,
	})
	check(r.tb, err)
	check(r.tb, q.SetKick(r.kick))
	q.SetCall(r.call)
	r.queue = q
	r.dev.Start(0, q)
}

// stop drains and closes the queue, and returns where it stood.
func (r *rig) stop() uint32 {
	if r.queue == nil {
		return 0
	}
	r.dev.Stop(0)
	base := r.queue.Base()
	check(r.tb, r.queue.Close())
	r.queue = nil
	return base
}

// slot returns the guest addresses of a slot's buffers.
func (r *rig) slot(i int) (out, in uint64) {
	out = guestBase + 64<<10 + uint64(i)*slotSize
	return out, out + slotOut
}

// table returns the guest address of a slot's indirect table.
func (r *rig) table(i int) uint64 {
	_, in := r.slot(i)
	return in + slotIn
}

// submit makes the request in slot i available; the message stands there already.
func (r *rig) submit(i int) {
	if r.layout.Packed {
		r.drv.AddList(r.lists[i]...)
	} else {
		r.drv.AddHead(uint16(2 * i))
	}
	r.busy++
	if r.drv.NeedKick() {
		one := [8]byte{1}
		_, _ = unix.Write(r.kick, one[:])
	}
}

// send puts msg into slot i and makes it available.
func (r *rig) send(i int, msg []byte) {
	out, _ := r.slot(i)
	b := r.drv.Bytes(out, slotOut)
	copy(b, msg)
	r.submit(i)
}

// timeout is how long the rig waits for a reply.
const timeout = 20 * time.Second

// wait takes back the next used request: its slot and the number of bytes written.
func (r *rig) wait() (slot int, written uint32) {
	r.tb.Helper()
	for {
		if head, n, ok := r.drv.Take(); ok {
			r.busy--
			return int(head) / 2, n
		}
		if r.drv.EnableInterrupts() {
			continue
		}
		p := [1]unix.PollFd{{Fd: int32(r.call), Events: unix.POLLIN}}
		if n, err := unix.Poll(p[:], int(timeout.Milliseconds())); n == 0 && err == nil {
			r.tb.Fatalf("no reply within %v, %d requests are out", timeout, r.busy)
		}
		var b [8]byte
		_, _ = unix.Read(r.call, b[:])
	}
}

// none fails if a request is given back within d.
func (r *rig) none(d time.Duration) {
	r.tb.Helper()
	time.Sleep(d)
	if head, n, ok := r.drv.Take(); ok {
		r.tb.Fatalf("slot %d came back with %d bytes, too early", head/2, n)
	}
}

// reply returns a copy of the first n bytes of slot i's reply.
func (r *rig) reply(i int, n uint32) []byte {
	_, in := r.slot(i)
	return append([]byte(nil), r.drv.Bytes(in, int(n))...)
}

// roundTrip sends one message and returns its reply.
func (r *rig) roundTrip(msg []byte) []byte {
	r.tb.Helper()
	r.send(0, msg)
	slot, n := r.wait()
	if slot != 0 {
		r.tb.Fatalf("slot %d came back instead of 0", slot)
	}
	return r.reply(0, n)
}

// message is a T-message in hand-made bytes, so that these tests do not lean on the codec
// that they test.
type message struct{ b []byte }

func msg(typ uint8, tag uint16) *message {
	m := &message{b: []byte{0, 0, 0, 0, typ}}
	return m.u16(tag)
}

func (m *message) u8(v uint8) *message   { m.b = append(m.b, v); return m }
func (m *message) u16(v uint16) *message { m.b = binary.LittleEndian.AppendUint16(m.b, v); return m }
func (m *message) u32(v uint32) *message { m.b = binary.LittleEndian.AppendUint32(m.b, v); return m }
func (m *message) u64(v uint64) *message { m.b = binary.LittleEndian.AppendUint64(m.b, v); return m }
func (m *message) str(s string) *message {
	m.u16(uint16(len(s)))
	m.b = append(m.b, s...)
	return m
}
func (m *message) raw(b []byte) *message { m.b = append(m.b, b...); return m }
func (m *message) bytes() []byte {
	binary.LittleEndian.PutUint32(m.b, uint32(len(m.b)))
	return m.b
}

// Message types that the tests use.
const (
	tRlerror  = 7
	tLopen    = 12
	tLcreate  = 14
	tGetattr  = 24
	tReaddir  = 40
	tFsync    = 50
	tLock     = 52
	tMkdir    = 72
	tVersion  = 100
	tAttach   = 104
	tFlush    = 108
	tWalk     = 110
	tRead     = 116
	tWrite    = 118
	tClunk    = 120
	noTag     = 0xffff
	noFid     = 0xffffffff
	maxMsize  = 60000
	rootFid   = 0
	wantReply = 1 // R-message types are one above their T's
)

// expect fails unless b is a reply of the type that belongs to T-message typ.
func expect(tb testing.TB, b []byte, typ uint8) []byte {
	tb.Helper()
	if len(b) < 7 {
		tb.Fatalf("reply of %d bytes to message type %d", len(b), typ)
	}
	if b[4] == tRlerror {
		tb.Fatalf("message type %d: %v", typ, unix.Errno(binary.LittleEndian.Uint32(b[7:])))
	}
	if b[4] != typ+wantReply || binary.LittleEndian.Uint32(b) != uint32(len(b)) {
		tb.Fatalf("reply to message type %d: type %d, size field %d, %d bytes", typ, b[4], binary.LittleEndian.Uint32(b), len(b))
	}
	return b[7:]
}

// attach begins a session: version and attach of the root as rootFid.
func (r *rig) attach() {
	r.tb.Helper()
	expect(r.tb, r.roundTrip(msg(tVersion, noTag).u32(maxMsize).str("9P2000.L").bytes()), tVersion)
	expect(r.tb, r.roundTrip(msg(tAttach, 1).u32(rootFid).u32(noFid).str("root").str("").u32(0).bytes()), tAttach)
}

// walk makes newFid from rootFid.
func (r *rig) walk(newFid uint32, names ...string) {
	r.tb.Helper()
	m := msg(tWalk, 1).u32(rootFid).u32(newFid).u16(uint16(len(names)))
	for _, n := range names {
		m.str(n)
	}
	expect(r.tb, r.roundTrip(m.bytes()), tWalk)
}

// open opens a fid with Linux flags.
func (r *rig) open(fid, flags uint32) {
	r.tb.Helper()
	expect(r.tb, r.roundTrip(msg(tLopen, 1).u32(fid).u32(flags).bytes()), tLopen)
}
