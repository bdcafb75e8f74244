// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"vhost-user-9p/vhostuser/vhosttest"
	"vhost-user-9p/virtqueue/virtqtest"
)

const (
	// slots is how many messages can be under way.
	slots = 16
	// slotSize is the space for a request, and for its reply.
	slotSize = 256 << 10
	// firstSlot is where the slots begin in guest memory, behind the ring.
	firstSlot = 4 << 20
	// maxPieces is how many descriptors either direction of a message has.
	maxPieces = 4
)

// Ring carries a byte stream of 9P messages, such as p9.NewClient's, over a virtqueue:
// each message that is written becomes a chain of descriptors, cut into pieces at random
// as a guest's driver may, and the replies are read from it.
type Ring struct {
	fe *vhosttest.FrontEnd

	free chan int // slots

	mu      sync.Mutex // the driver is for one goroutine at a time
	rand    *rand.Rand
	pending map[uint16]pending
	closed  bool

	out     []byte // what was written and is not a whole message yet
	in      *io.PipeReader
	replies *io.PipeWriter

	closing chan struct{}
	ended   chan struct{}
	once    sync.Once
}

// pending is a chain that the device has.
type pending struct {
	slot  int
	reply []virtqtest.Buf
}

// DialRing connects to a daemon's socket and starts a ring.
func DialRing(t testing.TB, socket string, seed uint64) *Ring {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	return NewRing(t, conn.(*net.UnixConn), seed)
}

// NewRing starts a ring, as QEMU does, over a connection to a daemon. It ends with the
// test.
func NewRing(t testing.TB, conn *net.UnixConn, seed uint64) *Ring {
	t.Helper()
	fe := vhosttest.New(t, conn, vhosttest.Options{})
	if err := fe.Setup(); err != nil {
		t.Fatal(err)
	}
	r := &Ring{
		fe:      fe,
		free:    make(chan int, slots),
		rand:    rand.New(rand.NewPCG(seed, 0)),
		pending: map[uint16]pending{},
		closing: make(chan struct{}),
		ended:   make(chan struct{}),
	}
	for i := range slots {
		r.free <- i
	}
	r.in, r.replies = io.Pipe()
	go r.receive()
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// Close hangs up, as QEMU does at its end.
func (r *Ring) Close() error {
	r.once.Do(func() {
		close(r.closing)
		_ = r.in.Close()
		<-r.ended
		r.mu.Lock()
		r.closed = true
		r.mu.Unlock()
		r.fe.Close()
	})
	return nil
}

// Read implements io.Reader: the replies.
func (r *Ring) Read(p []byte) (int, error) { return r.in.Read(p) }

// Write implements io.Writer: it takes pieces of requests. After Close it takes them
// too: they come from the client's finalizers, at any time, and a client whose write fails
// gives back to a pool, for other clients, what it goes on using. The read that follows
// fails.
func (r *Ring) Write(p []byte) (int, error) {
	r.out = append(r.out, p...)
	for len(r.out) >= 4 {
		size := binary.LittleEndian.Uint32(r.out)
		if uint32(len(r.out)) < size {
			break
		}
		if err := r.send(r.out[:size]); err != nil {
			return 0, err
		}
		r.out = r.out[size:]
	}
	return len(p), nil
}

// pieces cuts a range into descriptors.
func (r *Ring) pieces(addr uint64, length int) []virtqtest.Buf {
	var bufs []virtqtest.Buf
	for length > 0 {
		n := length
		if len(bufs) < maxPieces-1 && r.rand.IntN(3) > 0 {
			n = 1 + r.rand.IntN(length)
		}
		bufs = append(bufs, virtqtest.Buf{Addr: addr, Len: uint32(n)})
		addr, length = addr+uint64(n), length-n
	}
	return bufs
}

// send makes a chain of a request and room for its reply.
func (r *Ring) send(request []byte) error {
	if len(request) > slotSize {
		return fmt.Errorf("a request of %d bytes is too large", len(request))
	}
	var slot int
	select {
	case slot = <-r.free:
	case <-r.closing:
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	addr := uint64(firstSlot + 2*slot*slotSize)
	copy(r.fe.Memory.Guest(addr, len(request)), request)
	reply := r.pieces(addr+slotSize, slotSize)
	d := r.fe.Driver
	head := d.Add(r.pieces(addr, len(request)), reply)
	r.pending[head] = pending{slot, reply}
	if d.NeedKick() {
		r.fe.Kick()
	}
	return nil
}

// receive takes replies until Close.
func (r *Ring) receive() {
	defer close(r.ended)
	for {
		select {
		case <-r.closing:
			return
		default:
		}
		reply, err := r.take()
		if err != nil {
			_ = r.replies.CloseWithError(err)
			return
		}
		if reply == nil {
			r.fe.WaitCall(100 * time.Millisecond)
			continue
		}
		if _, err := r.replies.Write(reply); err != nil {
			return
		}
	}
}

// take returns the next reply, or nil if there is none.
func (r *Ring) take() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.fe.Driver
	head, written, ok := d.Take()
	if !ok {
		if d.EnableInterrupts() {
			head, written, ok = d.Take()
		}
		if !ok {
			return nil, nil
		}
	}
	p, known := r.pending[head]
	if !known {
		return nil, fmt.Errorf("the device has used the chain %d, which it did not have", head)
	}
	delete(r.pending, head)
	var reply []byte
	for left := int(written); left > 0; {
		if len(p.reply) == 0 {
			return nil, fmt.Errorf("the device says that it wrote %d bytes, more than there was room for", written)
		}
		n := min(left, int(p.reply[0].Len))
		reply = append(reply, r.fe.Memory.Guest(p.reply[0].Addr, n)...)
		p.reply, left = p.reply[1:], left-n
	}
	r.free <- p.slot
	if len(reply) < 7 || int(binary.LittleEndian.Uint32(reply)) != len(reply) {
		return nil, errors.New("the device's reply has not the length that stands in it")
	}
	return reply, nil
}
