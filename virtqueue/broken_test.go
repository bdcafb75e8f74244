// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"vhost-user-9p/virtqueue"
)

// corruptions are what breaks a ring of 8 entries for good.
var corruptions = map[string]func(r *ring){
	"available index 9 ahead":          func(r *ring) { r.drv.SetAvailIdx(r.drv.AvailIdx() + 9) },
	"available index half way round":   func(r *ring) { r.drv.SetAvailIdx(r.drv.AvailIdx() + 0x8000) },
	"available index went back by one": func(r *ring) { r.drv.SetAvailIdx(r.drv.AvailIdx() - 1) },
	"head is the ring's size":          func(r *ring) { r.drv.AddHead(8) },
	"head is far out":                  func(r *ring) { r.drv.AddHead(0xffff) },
}

func TestCorruptRingBreaksTheQueue(t *testing.T) {
	for name, corrupt := range corruptions {
		for _, features := range []virtqueue.Features{0, virtqueue.FeatureEventIdx} {
			t.Run(name+"/"+features.String(), func(t *testing.T) {
				r := newRing(t, setup{features: features, start: 0xfffe})
				errFd := eventfd(t)
				r.q.SetErr(errFd)
				r.drv.Add(nil, buffers(r.data, 1))
				inFlight := r.pop()

				corrupt(r)
				next := r.q.NextAvail()
				for range 3 {
					ok, err := r.q.Pop(new(virtqueue.Chain))
					if ok || !errors.Is(err, virtqueue.ErrBroken) {
						t.Fatalf("Pop: %v, %v; want ErrBroken", ok, err)
					}
				}
				if !r.q.Broken() {
					t.Error("not broken")
				}
				if r.q.NextAvail() != next {
					t.Error("the entry counts as taken")
				}
				if n := events(t, errFd); n != 1 {
					t.Errorf("error eventfd signalled %d times, want once", n)
				}
				if len(r.dead) != 1 || r.dead[0] == nil {
					t.Errorf("told of the end %d times, want once: %v", len(r.dead), r.dead)
				}
				r.q.Break(errors.New("again"))
				if n := events(t, errFd); n != 0 || len(r.dead) != 1 {
					t.Error("the second reason counts as well")
				}

				// A queue that was right again would still be broken, and leave the
				// driver's memory as it is.
				r.drv.SetAvailIdx(r.drv.AvailIdx())
				before := bytes.Clone(r.mem)
				r.q.Push(inFlight, 0)
				r.q.Notify()
				r.q.DisableKick()
				if r.q.EnableKick() || r.q.Pending() != 0 {
					t.Error("a broken queue has chains")
				}
				if !bytes.Equal(before, r.mem) {
					t.Error("a broken queue wrote to guest memory")
				}
				if n := events(t, r.call); n != 0 {
					t.Error("a broken queue notifies the driver")
				}
			})
		}
	}
}

// A full ring is not a corrupt one.
func TestFullRing(t *testing.T) { layouts(t, testFullRing) }

func testFullRing(t *testing.T, layout virtqueue.Features) {
	for _, size := range []int{1, 2, 8, 32768} {
		for _, start := range []uint16{0, 0x7fff, 0xffff} {
			size := ringSize(layout, size)
			r := newRing(t, setup{features: layout, size: size, start: start})
			next := r.availIdx(size)
			var heads []uint16
			for range size {
				heads = append(heads, r.drv.Add(nil, buffers(r.data, 1)))
			}
			chains := make([]*virtqueue.Chain, size)
			for i := range chains {
				if chains[i] = r.pop(); chains[i].Head() != heads[i] {
					t.Fatalf("chain %d: head %d, want %d", i, chains[i].Head(), heads[i])
				}
			}
			r.popNone()
			for i, c := range chains {
				r.q.Push(c, i&0xfff)
			}
			for i, head := range heads {
				r.take(head, uint32(i&0xfff))
			}
			r.takeNone()
			if got := r.q.NextAvail(); got != next {
				t.Errorf("size %d: next available index %d, want %d", size, got, next)
			}
		}
	}
}

// With the event index the flags of the used ring are 0; without it the device finds the
// flag that it left there.
func TestFlagsLeftByAnEarlierDevice(t *testing.T) {
	for _, features := range []virtqueue.Features{0, virtqueue.FeatureEventIdx} {
		r := newRing(t, setup{features: features})
		used := r.bytes(r.drv.Used, 4)
		binary.LittleEndian.PutUint16(used, 1) // VIRTQ_USED_F_NO_NOTIFY
		r.open(r.memory())
		if features == 0 {
			r.q.EnableKick()
		}
		r.serve()
		if flags := binary.LittleEndian.Uint16(used); flags != 0 {
			t.Errorf("features %v: used flags %d, want 0", features, flags)
		}
	}
}

// Config is checked before anything is touched.
func TestNewQueueRefuses(t *testing.T) {
	r := newRing(t, setup{size: 8, features: virtqueue.FeatureEventIdx})
	m := r.memory(r.data)
	for name, change := range map[string]func(c *virtqueue.Config){
		"size 0":                        func(c *virtqueue.Config) { c.Size = 0 },
		"negative size":                 func(c *virtqueue.Config) { c.Size = -8 },
		"size not a power of two":       func(c *virtqueue.Config) { c.Size = 6 },
		"size too large":                func(c *virtqueue.Config) { c.Size = 65536 },
		"descriptors not aligned":       func(c *virtqueue.Config) { c.DescAddr += 8 },
		"available ring not aligned":    func(c *virtqueue.Config) { c.AvailAddr++ },
		"used ring not aligned":         func(c *virtqueue.Config) { c.UsedAddr += 2 },
		"descriptors below memory":      func(c *virtqueue.Config) { c.DescAddr = guestBase + userOffset - 16 },
		"descriptors at guest address":  func(c *virtqueue.Config) { c.DescAddr = guestBase },
		"descriptors at the top":        func(c *virtqueue.Config) { c.DescAddr = ^uint64(15) },
		"descriptors across regions":    func(c *virtqueue.Config) { c.DescAddr = r.data + userOffset - 64 },
		"available ring across regions": func(c *virtqueue.Config) { c.AvailAddr = r.data + userOffset - 20 },
		"used_event across regions":     func(c *virtqueue.Config) { c.AvailAddr = r.data + userOffset - 20 },
		"used ring across regions":      func(c *virtqueue.Config) { c.UsedAddr = r.data + userOffset - 64 },
		"avail_event across regions":    func(c *virtqueue.Config) { c.UsedAddr = r.data + userOffset - 68 },
		"used ring beyond memory":       func(c *virtqueue.Config) { c.UsedAddr = r.end() + userOffset - 64 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := r.cfg
			change(&cfg)
			q, err := virtqueue.NewQueue(m, cfg)
			if err == nil {
				_ = q.Close()
				t.Fatal("accepted")
			}
			t.Log(err)
		})
	}
	for name, change := range map[string]func(c *virtqueue.Config){
		"used_event at the end of a region":  func(c *virtqueue.Config) { c.AvailAddr = r.data + userOffset - 22 },
		"avail_event two bytes from the end": func(c *virtqueue.Config) { c.UsedAddr = r.data + userOffset - 72 },
	} {
		cfg := r.cfg
		change(&cfg)
		q, err := virtqueue.NewQueue(m, cfg)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		q.EnableKick() // writes avail_event
		q.Notify()     // reads used_event
		_ = q.Close()
	}
}
