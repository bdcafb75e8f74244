// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"fmt"
	"testing"

	"vhost-user-9p/virtqueue"
	"vhost-user-9p/virtqueue/virtqtest"
)

// buffers returns n buffers of 4 KiB that do not touch one another, so that nothing is
// merged: the most that a walk has to do.
func buffers(addr uint64, n int) []virtqtest.Buf {
	b := make([]virtqtest.Buf, n)
	for i := range b {
		b[i] = virtqtest.Buf{Addr: addr + uint64(i)*2*page, Len: page}
	}
	return b
}

// BenchmarkPopPush is the device's share of one request on the ring: take a chain, give it
// back, find out that the driver does not want to be told.
func BenchmarkPopPush(b *testing.B) {
	for prefix, layout := range map[string]virtqueue.Features{"": 0, "packed/": virtqueue.FeatureRingPacked} {
		for _, indirect := range []bool{false, true} {
			for _, descs := range []int{1, 2, 4, 32, 128} {
				if indirect && descs == 1 {
					continue
				}
				b.Run(fmt.Sprintf("%sindirect=%v/descs=%d", prefix, indirect, descs), func(b *testing.B) {
					popPush(b, layout, indirect, descs)
				})
			}
		}
	}
}

func popPush(b *testing.B, layout virtqueue.Features, indirect bool, descs int) {
	r := newRing(b, setup{size: 128, memory: 4 << 20, features: layout | virtqueue.FeatureEventIdx})
	in := buffers(r.data+page, descs)
	var head uint16
	if indirect {
		head = r.drv.AddIndirect(r.data, nil, in)
	} else {
		head = r.drv.Add(nil, in)
	}
	r.drv.DisableInterrupts()
	var c virtqueue.Chain
	for b.Loop() {
		if ok, err := r.q.Pop(&c); !ok || err != nil {
			b.Fatal(ok, err)
		}
		r.q.Push(&c, 11)
		r.q.Notify()
		r.drv.Again(head)
	}
}

// BenchmarkNotify is Push with a notification that the driver wants.
func BenchmarkNotify(b *testing.B) {
	r := newRing(b, setup{})
	r.drv.Add(nil, buffers(r.data, 1))
	c := r.pop()
	for b.Loop() {
		r.q.Push(c, 0)
		r.q.Notify()
	}
}
