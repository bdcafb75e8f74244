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
	for _, c := range []struct {
		name             string
		indirect, packed bool
	}{{"direct", false, false}, {"indirect", true, false}, {"packed/direct", false, true}, {"packed/indirect", true, true}} {
		t.Run(c.name, func(t *testing.T) {
			ninetest.Run(t, ninetest.Config{
				New: func(testing.TB) ninep.Backend { return memfs.New(memfs.Config{}) },
				Connect: func(t testing.TB, cfg ninep.Config) ninetest.Transport {
					return newRingTransport(t, cfg, c.indirect, c.packed)
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

func newRingTransport(tb testing.TB, cfg ninep.Config, indirect, packed bool) *ringTransport {
	rt := &ringTransport{
		r:        newRigConfig(tb, virtio9p.Config{Tag: "share", Session: ninep.NewSession(cfg), Running: 4, Packed: packed}),
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
	if r.layout.Packed && !rt.indirect {
		r.setList(i, rt.both(outAddr, len(req), inAddr, space)...)
		r.submit(i)
		rt.mu.Unlock()
		return rt.result(i), nil
	}
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
		d := virtqtest.Desc{Addr: head, Len: uint32(16 * n), Flags: virtqtest.Indirect}
		if r.layout.Packed {
			r.setList(i, d)
		} else {
			r.drv.SetDesc(r.layout.Desc, 2*i, d)
		}
	}
	r.submit(i)
	rt.mu.Unlock()
	return rt.result(i), nil
}

// result returns what waits for the reply in slot i.
func (rt *ringTransport) result(i int) func(context.Context) ([]byte, error) {
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
	}
}

// both returns the descriptors of a request and of room for its reply, if there is any.
func (rt *ringTransport) both(out uint64, size int, in uint64, space int) []virtqtest.Desc {
	list := []virtqtest.Desc{{Addr: out, Len: uint32(size)}}
	if space > 0 {
		list = append(list, virtqtest.Desc{Addr: in, Len: uint32(space), Flags: virtqtest.Write})
	}
	return list
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
