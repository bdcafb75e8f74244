// SPDX-License-Identifier: Apache-2.0

package drive

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/bench/doorbell"
	"vhost-user-9p/vhostuser/vhosttest"
	"vhost-user-9p/virtqueue/virtqtest"
)

const (
	memorySize = 192 << 20
	firstFree  = 1 << 20 // behind the ring
	page       = 4096
)

// ring is a driver's side of one virtqueue of a server, over guest memory. It is a
// transport: slot i has descriptor i.
type ring struct {
	tb   testing.TB
	fe   *vhosttest.FrontEnd
	d    *virtqtest.Driver
	free uint64 // where guest memory begins that is not in use
	word [8]byte
}

// dial connects to a server and starts one of its queues.
func dial(tb testing.TB, socket string, queue uint32, size int) *ring {
	tb.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		tb.Fatal(err)
	}
	fe := vhosttest.New(tb, conn.(*net.UnixConn), vhosttest.Options{
		Regions:  []vhosttest.RegionSpec{{UserAddr: 0x7f0000000000, Size: memorySize}},
		RingSize: size,
		Queue:    queue,
	})
	if err := fe.Setup(); err != nil {
		tb.Fatal(err)
	}
	// One system call waits and takes the notification; the server only writes.
	if err := unix.SetNonblock(fe.CallFD(), false); err != nil {
		tb.Fatal(err)
	}
	r := &ring{tb: tb, fe: fe, d: fe.Driver}
	r.reset()
	// A guest's memory is there already, and lies in order.
	clear(fe.Memory.Guest(firstFree, memorySize-firstFree))
	return r
}

// reset frees all of guest memory.
func (r *ring) reset() { r.free = firstFree }

// alloc returns guest memory that is in use until reset.
func (r *ring) alloc(n int, align uint64) (addr uint64, b []byte) {
	r.tb.Helper()
	addr = (r.free + align - 1) &^ (align - 1)
	r.free = addr + uint64(n)
	if r.free > memorySize {
		r.tb.Fatal("guest memory is full")
	}
	return addr, r.fe.Memory.Guest(addr, n)
}

// layout says how a message lies in guest memory.
type layout struct {
	request encoder
	reply   int // bytes of room
	payload int // bytes after the request, or after the reply if fromServer
	// Where request and reply are cut into two descriptors, 0 if they are not.
	requestCut, replyCut int
	fromServer           bool
}

// lay lays a message out, with an indirect table as Linux makes it: header, arguments, then
// a descriptor for each page of payload. Pages are joined where these would be more than
// the ring has.
func (r *ring) lay(name string, l layout) *message {
	r.tb.Helper()
	m := &message{name: name}
	var out, in []virtqtest.Buf
	var addr uint64
	addr, m.request = r.alloc(len(l.request), 64)
	copy(m.request, l.request)
	out = cut(out, addr, len(l.request), l.requestCut)
	addr, m.reply = r.alloc(l.reply, 64)
	in = cut(in, addr, l.reply, l.replyCut)
	if l.payload > 0 {
		addr, m.payload = r.alloc(l.payload, page)
		room := r.d.Size - len(out) - len(in)
		pages := (l.payload + page - 1) / page
		piece := (pages + room - 1) / room * page
		for done := 0; done < l.payload; done += piece {
			b := virtqtest.Buf{Addr: addr + uint64(done), Len: uint32(min(piece, l.payload-done))}
			if l.fromServer {
				in = append(in, b)
			} else {
				out = append(out, b)
			}
		}
	}
	n := len(out) + len(in)
	table, _ := r.alloc(16*n, 64)
	for i, b := range append(out, in...) {
		v := virtqtest.Desc{Addr: b.Addr, Len: b.Len}
		if i >= len(out) {
			v.Flags |= virtqtest.Write
		}
		if i+1 < n {
			v.Flags |= virtqtest.Next
			v.Next = uint16(i + 1)
		}
		r.d.SetDesc(table, i, v)
	}
	m.desc = virtqtest.Desc{Addr: table, Len: uint32(16 * n), Flags: virtqtest.Indirect}
	return m
}

// cut appends a range as one descriptor, or two.
func cut(bufs []virtqtest.Buf, addr uint64, n, at int) []virtqtest.Buf {
	if at > 0 && at < n {
		bufs = append(bufs, virtqtest.Buf{Addr: addr, Len: uint32(at)})
		addr, n = addr+uint64(at), n-at
	}
	if n > 0 {
		bufs = append(bufs, virtqtest.Buf{Addr: addr, Len: uint32(n)})
	}
	return bufs
}

func (r *ring) stage(slot int, m *message) {
	r.d.SetDesc(r.d.Desc, slot, m.desc)
	r.d.Stage(uint16(slot))
}

func (r *ring) publish() {
	r.d.Publish()
	if r.d.NeedKick() {
		r.word = [8]byte{1}
		doorbell.Write(r.fe.KickFD(), &r.word)
	}
}

func (r *ring) reap(used []virtqtest.Used) int { return r.d.Reap(used) }

// wait asks for a notification only here: while answers are taken, none is needed.
func (r *ring) wait() {
	if !r.d.EnableInterrupts() {
		doorbell.Read(r.fe.CallFD(), &r.word)
	}
}

func (r *ring) interrupt() {
	_, _ = unix.Write(r.fe.CallFD(), []byte{1, 0, 0, 0, 0, 0, 0, 0})
}

// call sends one message, while no loop runs, and waits for the answer.
func (r *ring) call(m *message, check func(*message, uint32) bool) {
	r.tb.Helper()
	l := loop{tb: r.tb, to: r, check: check, slots: []slot{{messages: []*message{m}}}, used: make([]virtqtest.Used, 1), each: 1}
	l.run(0, 1)
}
