// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/virtqueue"
)

// Nothing on the path of a request allocates, once the chain has grown to its size.
func TestNoAllocation(t *testing.T) {
	bothWays(t, func(t *testing.T, features virtqueue.Features) {
		for _, logged := range []bool{false, true} {
			r := newRing(t, setup{size: 64, memory: 8 << 20, features: features})
			kickFd := eventfd(t)
			setKick(t, r.q, kickFd)
			if logged {
				r.q.SetLog(newLog(t, newGuest(t, page), page))
				r.q.SetUsedLog(true, r.drv.Used)
			}
			heads := []uint16{
				r.drv.Add(buffers(r.data+4*page, 1), buffers(r.data+8*page, 2)),
				r.drv.AddIndirect(r.data, nil, buffers(r.data+4*page, 200)),
				r.drv.AddIndirect(r.data+2*page-1, nil, buffers(r.data+8*page, 100)), // copied
			}
			next := 0
			signal := nativeEndian.AppendUint64(nil, 1)
			var c virtqueue.Chain
			r.q.EnableKick()
			allocs := testing.AllocsPerRun(600, func() { // often enough to empty the kick fd
				_, _ = unix.Write(kickFd, signal)
				r.q.Wait(forever)
				r.q.DisableKick()
				if ok, err := r.q.Pop(&c); !ok || err != nil {
					t.Fatal(ok, err)
				}
				r.q.Push(&c, 11)
				r.q.Notify()
				r.drv.Again(heads[next])
				next = (next + 1) % len(heads)
				r.q.EnableKick()
			})
			if allocs != 0 {
				t.Errorf("log %v: %v allocations for each chain", logged, allocs)
			}
			if r.q.Stats().Interrupts.Load() == 0 {
				t.Error("the driver was never notified")
			}
		}
	})
}
