// SPDX-License-Identifier: Apache-2.0

package virtio9p_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/memfs"
	"vhost-user-9p/ninep/ninetest"
	"vhost-user-9p/ninep/virtio9p"
	"vhost-user-9p/virtqueue/virtqtest"
)

// The conformance suite, each message of which goes over the ring: in one descriptor for
// each direction, and as Linux sends them, in an indirect table with one for each page.
func TestConformanceOverTheRing(t *testing.T) {
	for name, indirect := range map[string]bool{"direct": false, "indirect": true} {
		t.Run(name, func(t *testing.T) {
			ninetest.Run(t, ninetest.Config{
				New: func(testing.TB) ninep.Backend { return memfs.New(memfs.Config{}) },
				Connect: func(t testing.TB, cfg ninep.Config) ninetest.Transport {
					return newRingTransport(t, cfg, indirect)
				},
			})
		})
	}
}

// ringTransport carries messages over a rig's ring, from any number of goroutines.
type ringTransport struct {
	r        *rig
	indirect bool
	free     chan int // slots
	results  [slots]chan []byte
	done     chan struct{} // closed when nobody takes replies any more

	mu sync.Mutex // the driver
}

func newRingTransport(tb testing.TB, cfg ninep.Config, indirect bool) *ringTransport {
	rt := &ringTransport{
		r:        newRigConfig(tb, virtio9p.Config{Tag: "share", Session: ninep.NewSession(cfg), Running: 4}),
		indirect: indirect,
		free:     make(chan int, slots),
		done:     make(chan struct{}),
	}
	for i := range slots {
		rt.free <- i
		rt.results[i] = make(chan []byte, 1)
	}
	rt.mu.Lock()
	rt.r.drv.EnableInterrupts()
	rt.mu.Unlock()
	stop := check1(tb, func() (int, error) { return unix.Eventfd(0, unix.EFD_CLOEXEC) })
	go rt.collect(stop)
	tb.Cleanup(func() { // before the rig's own
		one := [8]byte{1}
		_, _ = unix.Write(stop, one[:])
		<-rt.done
		_ = unix.Close(stop)
	})
	return rt
}

// Send implements ninetest.Transport.
func (rt *ringTransport) Send(req []byte, space int) (func(context.Context) ([]byte, error), error) {
	if len(req) > slotOut {
		return nil, errors.New("message too long for the rig")
	}
	space = min(space, slotIn) // more than the largest msize
	i := <-rt.free
	rt.mu.Lock()
	r := rt.r
	outAddr, inAddr := r.slot(i)
	copy(r.drv.Bytes(outAddr, len(req)), req)
	head := r.layout.Desc
	if rt.indirect {
		head = r.table(i)
	}
	next := uint16(2 * i)
	if rt.indirect {
		next = 0
	}
	n := rt.describe(head, &next, outAddr, len(req), 0, space > 0)
	n += rt.describe(head, &next, inAddr, space, virtqtest.Write, false)
	if rt.indirect {
		r.drv.SetDesc(r.layout.Desc, 2*i, virtqtest.Desc{Addr: head, Len: uint32(16 * n), Flags: virtqtest.Indirect})
	}
	r.submit(i)
	rt.mu.Unlock()
	return func(ctx context.Context) ([]byte, error) {
		select {
		case b := <-rt.results[i]:
			rt.free <- i
			return b, nil
		case <-rt.done:
			return nil, errors.New("the rig was stopped")
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}, nil
}

// describe writes the descriptors of one direction from *next on and returns their number.
func (rt *ringTransport) describe(table uint64, next *uint16, addr uint64, size int, flags uint16, more bool) (n int) {
	piece := size
	if rt.indirect {
		piece = 4096
	}
	for size > 0 {
		d := virtqtest.Desc{Addr: addr, Len: uint32(min(piece, size)), Flags: flags, Next: *next + 1}
		addr += uint64(d.Len)
		size -= int(d.Len)
		if size > 0 || more {
			d.Flags |= virtqtest.Next
		}
		rt.r.drv.SetDesc(table, int(*next), d)
		*next++
		n++
	}
	return n
}

// collect gives replies to whom they belong, until stop is signalled.
func (rt *ringTransport) collect(stop int) {
	defer close(rt.done)
	p := [2]unix.PollFd{{Fd: int32(rt.r.call), Events: unix.POLLIN}, {Fd: int32(stop), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(p[:], -1); err != nil && !errors.Is(err, unix.EINTR) {
			return
		}
		if p[1].Revents != 0 {
			return
		}
		var b [8]byte
		_, _ = unix.Read(rt.r.call, b[:])
		rt.mu.Lock()
		for again := true; again; again = rt.r.drv.EnableInterrupts() {
			for {
				head, n, ok := rt.r.drv.Take()
				if !ok {
					break
				}
				rt.r.busy--
				i := int(head) / 2
				rt.results[i] <- rt.r.reply(i, n)
			}
		}
		rt.mu.Unlock()
	}
}
