// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vhost-user-9p/virtqueue"
	"vhost-user-9p/virtqueue/virtqtest"
)

// A guest writes whatever it likes all over a packed ring, while the device reads it. Whatever
// the device makes of that, it stays inside guest memory.
func TestPackedScribble(t *testing.T) {
	var chains, bad, broken int
	seen := func() bool { return chains > 0 && bad > 0 && broken > 0 }
	for began := time.Now(); time.Since(began) < 300*time.Millisecond || !seen() && time.Since(began) < soon; {
		r := newRing(t, setup{size: 7, features: packed | virtqueue.FeatureEventIdx, memory: 64 << 10})
		var stop atomic.Bool
		var guest sync.WaitGroup
		guest.Go(func() {
			for !stop.Load() {
				scribble(r.bytes(guestBase+16*rand.Uint64N(8), 16)) // the last is the areas
			}
		})
		var held []*virtqueue.Chain
		for range 3000 {
			c := new(virtqueue.Chain)
			ok, err := r.q.Pop(c)
			if errors.Is(err, virtqueue.ErrBroken) {
				broken++
				break
			}
			if ok {
				chains++
				r.inside(c)
				held = append(held, c)
			}
			if n := len(held); n > 0 && (!ok || n > 3) {
				r.q.Push(held[n-1], 1)
				r.q.Notify()
				held = held[:n-1]
			}
			r.q.EnableKick()
			r.q.DisableKick()
		}
		stop.Store(true)
		guest.Wait()
		bad += int(r.q.Stats().BadChains.Load())
		_ = r.q.Close()
	}
	t.Logf("%d chains, %d malformed, %d queues broken", chains, bad, broken)
	if !seen() {
		t.Error("not worth the name of a test")
	}
}

// scribble writes a descriptor that is nearly right: such get further than noise.
func scribble(b []byte) {
	flags := []uint16{virtqtest.DescAvail, virtqtest.DescUsed}[rand.IntN(2)]
	if rand.IntN(8) == 0 {
		flags ^= uint16(rand.Uint32())
	}
	if rand.IntN(4) == 0 {
		flags |= virtqtest.Write
	}
	length := 16 * rand.Uint32N(8)
	if rand.IntN(16) == 0 {
		length = rand.Uint32()
	}
	binary.LittleEndian.PutUint64(b, guestBase+rand.Uint64N(66<<10)) // 64 KiB there are
	binary.LittleEndian.PutUint32(b[8:], length)
	binary.LittleEndian.PutUint16(b[12:], uint16(rand.Uint32()))
	binary.LittleEndian.PutUint16(b[14:], flags)
}

// inside fails unless all of a chain is in the first region.
func (r *ring) inside(c *virtqueue.Chain) {
	r.Helper()
	region := r.mapped.Regions()[0]
	for _, v := range append(c.Readable, c.Writable...) {
		off := uint64(virtqueue.BaseAddr(&v) - virtqueue.HostAddr(region))
		if off > region.Size() || v.Len > region.Size()-off {
			r.Fatalf("%d bytes at offset %#x of memory", v.Len, off)
		}
	}
}
