// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"vhost-user-9p/virtqueue"
	"vhost-user-9p/virtqueue/virtqtest"
)

const packed = virtqueue.FeatureRingPacked

// descriptor returns the fields of a descriptor in a packed ring as they stand there.
func (r *ring) descriptor(i int) (addr uint64, length uint32, id, flags uint16) {
	b := r.bytes(r.drv.Desc+16*uint64(i), 16)
	le := binary.LittleEndian
	return le.Uint64(b), le.Uint32(b[8:]), le.Uint16(b[12:]), le.Uint16(b[14:])
}

// What a used descriptor looks like (2.8.1, 2.8.3, 2.8.6), in both rounds of a ring of five: one
// for each list, where the first of the lists in flight began, in the order of completion.
func TestPackedUsedDescriptors(t *testing.T) {
	const size = 5
	for round, wrapFlags := range []uint16{virtqtest.DescAvail | virtqtest.DescUsed, 0} {
		r := newRing(t, setup{size: size, features: packed, start: uint16(round * size)})
		at := func(n uint64) []virtqtest.Buf { return []virtqtest.Buf{{Addr: r.data + n*page, Len: 64}} }
		first := r.drv.Add(at(0), append(at(2), at(4)...)) // descriptors 0 to 2
		second := r.drv.Add(at(6), nil)                    // 3
		third := r.drv.Add(nil, at(8))                     // 4
		one, two, three := r.pop(), r.pop(), r.pop()
		r.q.Push(two, 0)    // at 0, and nothing is skipped
		r.q.Push(one, 77)   // at 1, and 2 and 3 are skipped
		r.q.Push(three, 64) // at 4
		for i, want := range map[int]struct {
			length    uint32
			id, flags uint16
		}{
			0: {0, second, wrapFlags},
			1: {77, first, wrapFlags | virtqtest.Write},
			4: {64, third, wrapFlags | virtqtest.Write},
		} {
			if _, length, id, flags := r.descriptor(i); length != want.length || id != want.id || flags != want.flags {
				t.Errorf("round %d, descriptor %d: length %d, ID %d, flags %#x; want %+v", round, i, length, id, flags, want)
			}
		}
		for _, i := range []int{2, 3} { // as the driver left them
			if addr, _, _, flags := r.descriptor(i); addr == 0 || flags&(virtqtest.DescAvail|virtqtest.DescUsed) == wrapFlags {
				t.Errorf("round %d, descriptor %d was skipped, but is used: flags %#x", round, i, flags)
			}
		}
		r.take(second, 0)
		r.take(first, 77)
		r.take(third, 64)
		r.popNone()
	}
}

// packedHostile are lists of descriptors that no driver should make, each with what is wrong in
// the words of the error. They cost the chain, which takes up as many descriptors as it has.
var packedHostile = map[string]struct {
	want string
	make func(d *virtqtest.Driver, data uint64) []virtqtest.Desc
}{
	"readable after writable": {"device-readable descriptor after", list(
		virtqtest.Desc{Len: 1, Flags: virtqtest.Write}, virtqtest.Desc{Len: 1})},
	"readable after empty writable": {"device-readable descriptor after", list(
		virtqtest.Desc{Flags: virtqtest.Write}, virtqtest.Desc{Len: 1})},
	"buffer at the top": {"outside guest memory", func(*virtqtest.Driver, uint64) []virtqtest.Desc {
		return []virtqtest.Desc{{Addr: math.MaxUint64, Len: 1, Next: rawID}}
	}},
	"buffer runs out of memory": {"outside guest memory", list(virtqtest.Desc{Addr: hostileData - 8, Len: 9})},
	"buffer of 4 GiB":           {"more than 2 GiB", list(virtqtest.Desc{Len: math.MaxUint32})},
	"second buffer not mapped, of three": {"outside guest memory", list(
		virtqtest.Desc{Len: 16, Flags: virtqtest.Write}, virtqtest.Desc{Addr: hostileData, Len: 16, Flags: virtqtest.Write},
		virtqtest.Desc{Len: 16, Flags: virtqtest.Write})},
	"table in a list":         {"indirect descriptor in a list", list(virtqtest.Desc{Len: 16, Flags: virtqtest.Indirect}, virtqtest.Desc{Len: 1})},
	"table at a list's end":   {"indirect descriptor in a list", list(virtqtest.Desc{Len: 1}, virtqtest.Desc{Len: 16, Flags: virtqtest.Indirect})},
	"table of length 0":       {"length of an indirect table", list(virtqtest.Desc{Flags: virtqtest.Indirect})},
	"table of length 17":      {"length of an indirect table", list(virtqtest.Desc{Len: 17, Flags: virtqtest.Indirect})},
	"table of 1025":           {"length of an indirect table", list(virtqtest.Desc{Len: 16 * 1025, Flags: virtqtest.Indirect})},
	"table of 4 GiB":          {"length of an indirect table", list(virtqtest.Desc{Len: math.MaxUint32 &^ 15, Flags: virtqtest.Indirect})},
	"table outside memory":    {"indirect table outside", list(virtqtest.Desc{Addr: hostileData, Len: 16, Flags: virtqtest.Indirect})},
	"table runs out of it":    {"indirect table outside", list(virtqtest.Desc{Addr: hostileData - 16, Len: 32, Flags: virtqtest.Indirect})},
	"buffer of a table wrong": {"outside guest memory", inTable(virtqtest.Desc{Addr: hostileData, Len: 1}, virtqtest.Desc{Len: 1})},
	"order in a table wrong":  {"device-readable descriptor after", inTable(virtqtest.Desc{Len: 1, Flags: virtqtest.Write}, virtqtest.Desc{Len: 1})},
}

// rawID is the buffer ID of hostile lists, which no driver would choose: it is above the size.
const rawID = 0xfffe

// list makes a hostile list, with addresses from data on.
func list(descs ...virtqtest.Desc) func(*virtqtest.Driver, uint64) []virtqtest.Desc {
	return func(_ *virtqtest.Driver, data uint64) (l []virtqtest.Desc) {
		for i, d := range descs {
			d.Addr += data
			if i+1 < len(descs) {
				d.Flags |= virtqtest.Next
				d.Next = 7 // means nothing but in the last one
			} else {
				d.Next = rawID
			}
			l = append(l, d)
		}
		return l
	}
}

// inTable makes a descriptor of a hostile table.
func inTable(descs ...virtqtest.Desc) func(*virtqtest.Driver, uint64) []virtqtest.Desc {
	return func(d *virtqtest.Driver, data uint64) []virtqtest.Desc {
		for i, v := range descs {
			v.Addr += data
			d.SetDesc(data+page, i, v)
		}
		return []virtqtest.Desc{{Addr: data + page, Len: uint32(16 * len(descs)), Flags: virtqtest.Indirect, Next: rawID}}
	}
}

func TestPackedMalformedChain(t *testing.T) {
	for name, h := range packedHostile {
		for start := range uint16(2 * hostileSize) { // at each place of the ring
			t.Run(fmt.Sprintf("%s/start=%d", name, start), func(t *testing.T) {
				r, data := newHostileRing(t, setup{features: packed, start: start})
				good := []virtqtest.Buf{{Addr: data + 2*page, Len: page}}
				first := r.drv.Add(good, nil)
				c := r.pop()
				r.drv.AddList(h.make(r.drv, data)...)
				last := r.drv.Add(nil, good)

				next := r.pop()
				if next.Head() != last {
					t.Fatalf("popped buffer %d, want %d", next.Head(), last)
				}
				r.check(next, nil, good)
				r.take(rawID, 0)
				r.takeNone()
				if n := events(t, r.call); n == 0 {
					t.Error("the driver is not told")
				}
				r.q.Push(next, 5)
				r.q.Push(c, 0)
				r.take(last, 5)
				r.take(first, 0)
				r.popNone()
				if len(r.bad) != 1 || r.bad[0].head != rawID || !strings.Contains(r.bad[0].err.Error(), h.want) {
					t.Errorf("told of %v, want buffer %d with %q", r.bad, rawID, h.want)
				}
				if stats := r.q.Stats(); stats.BadChains.Load() != 1 || r.q.Chains() != 2 || r.q.Broken() {
					t.Errorf("counted %d bad chains and %d good ones; broken: %v", stats.BadChains.Load(), r.q.Chains(), r.q.Broken())
				}
			})
		}
	}
}

// In tables flags but VIRTQ_DESC_F_WRITE, and buffer IDs, are ignored; and so is that flag of
// the descriptor that refers to one (2.8.7).
func TestPackedIndirectFlags(t *testing.T) {
	r := newRing(t, setup{features: packed})
	b := buffers(r.data+page, 3)
	for i, flags := range []uint16{virtqtest.Next, virtqtest.Indirect | virtqtest.DescAvail | virtqtest.Write, 0xffff} {
		r.drv.SetDesc(r.data, i, virtqtest.Desc{Addr: b[i].Addr, Len: b[i].Len, Flags: flags, Next: uint16(100 * i)})
	}
	r.drv.AddList(virtqtest.Desc{Addr: r.data, Len: 48, Flags: virtqtest.Indirect | virtqtest.Write, Next: rawID})
	c := r.pop()
	if c.Head() != rawID {
		t.Errorf("buffer %d, want %d", c.Head(), rawID)
	}
	r.check(c, b[:1], b[1:])
}

// packedCorruptions are what breaks a packed ring of 8 entries, of which 3 are in flight: lists
// that have no end, or that no descriptors are left for.
var packedCorruptions = map[string]func(d *virtqtest.Driver, data uint64){
	"list of six": func(d *virtqtest.Driver, data uint64) { d.AddList(longList(6, data, false)...) },
	"list round the ring": func(d *virtqtest.Driver, data uint64) {
		d.AddList(longList(5, data, true)...)
		d.AddList(longList(3, data, true)...)
	},
	"list that runs into what is not available": func(d *virtqtest.Driver, data uint64) {
		d.AddList(longList(2, data, true)...)
	},
	"list with a used descriptor in it": func(d *virtqtest.Driver, data uint64) {
		l := longList(3, data, false)
		l[1].Flags ^= virtqtest.DescAvail | virtqtest.DescUsed
		d.AddList(l...)
	},
	"bad list without an end": func(d *virtqtest.Driver, data uint64) {
		d.AddList(longList(5, math.MaxUint64, true)...)
	},
}

// longList is a list of n empty buffers, without an end if open.
func longList(n int, addr uint64, open bool) (l []virtqtest.Desc) {
	for i := range n {
		d := virtqtest.Desc{Addr: addr, Next: rawID}
		if open || i+1 < n {
			d.Flags = virtqtest.Next
		}
		l = append(l, d)
	}
	return l
}

func TestPackedCorruptRing(t *testing.T) {
	for name, corrupt := range packedCorruptions {
		for start := range uint16(2 * hostileSize) {
			t.Run(fmt.Sprintf("%s/start=%d", name, start), func(t *testing.T) {
				r := newRing(t, setup{features: packed, start: start})
				errFd := eventfd(t)
				r.q.SetErr(errFd)
				r.drv.Add(nil, buffers(r.data, 3))
				inFlight := r.pop()
				base := r.q.Base()
				corrupt(r.drv, r.data)
				for range 2 {
					if ok, err := r.q.Pop(new(virtqueue.Chain)); ok || !errors.Is(err, virtqueue.ErrBroken) {
						t.Fatalf("Pop: %v, %v; want ErrBroken", ok, err)
					}
				}
				if r.q.Base() != base || !r.q.Broken() || len(r.dead) != 1 || events(t, errFd) != 1 {
					t.Errorf("broken: %v; base %#x, was %#x; told %v", r.q.Broken(), r.q.Base(), base, r.dead)
				}
				before := bytes.Clone(r.mem)
				r.q.Push(inFlight, 0)
				r.q.Notify()
				r.q.DisableKick()
				if r.q.EnableKick() || r.q.Pending() != 0 || !bytes.Equal(before, r.mem) {
					t.Error("a broken queue has chains, or wrote to guest memory")
				}
			})
		}
	}
}

// A ring all of whose descriptors are in flight has none that could be made available.
func TestPackedOverrun(t *testing.T) {
	r := newRing(t, setup{size: 3, features: packed})
	r.drv.Add(nil, buffers(r.data, 3))
	r.pop()
	r.popNone()
	r.drv.AddList(virtqtest.Desc{Next: rawID})
	if ok, err := r.q.Pop(new(virtqueue.Chain)); ok || !errors.Is(err, virtqueue.ErrBroken) {
		t.Fatalf("Pop: %v, %v; want ErrBroken", ok, err)
	}
}

// A driver that adds malformed chains as fast as they are given back does not keep Pop for
// itself.
func TestPackedOnlyMalformedChains(t *testing.T) {
	r := newRing(t, setup{features: packed})
	bad := virtqtest.Desc{Addr: math.MaxUint64, Len: 1, Next: rawID}
	given := 0
	r.q.OnTrouble(func(uint16, error) {
		given++
		r.drv.AddList(bad)
	}, nil)
	r.drv.AddList(bad)
	within(t, "Pop", r.popNone)
	if given != 8 || r.q.Pending() != 1 {
		t.Errorf("%d chains given back by one Pop, want 8; pending: %d", given, r.q.Pending())
	}
}

// position is a SET_VRING_BASE of a packed ring.
func position(avail, availWrap, used, usedWrap uint32) uint32 {
	return used<<16 | usedWrap<<31 | avail | availWrap<<15
}

func TestPackedConfig(t *testing.T) {
	r := newRing(t, setup{size: 7, features: packed})
	m := r.memory(r.data)
	for name, c := range map[string]struct {
		ok     bool
		change func(c *virtqueue.Config)
	}{
		"as it is":                       {true, func(*virtqueue.Config) {}},
		"size 0":                         {false, func(c *virtqueue.Config) { c.Size = 0 }},
		"size 32769":                     {false, func(c *virtqueue.Config) { c.Size = 32769 }},
		"size not a power of two":        {true, func(c *virtqueue.Config) { c.Size = 6 }},
		"descriptors not aligned":        {false, func(c *virtqueue.Config) { c.DescAddr += 8 }},
		"driver area not aligned":        {false, func(c *virtqueue.Config) { c.AvailAddr += 2 }},
		"device area not aligned":        {false, func(c *virtqueue.Config) { c.UsedAddr += 2 }},
		"descriptors across regions":     {false, func(c *virtqueue.Config) { c.DescAddr = r.data + userOffset - 96 }},
		"descriptors to a region's end":  {true, func(c *virtqueue.Config) { c.DescAddr = r.data + userOffset - 112 }},
		"driver area outside":            {false, func(c *virtqueue.Config) { c.AvailAddr = r.end() + userOffset }},
		"driver area at a region's end":  {true, func(c *virtqueue.Config) { c.AvailAddr = r.end() + userOffset - 4 }},
		"device area outside":            {false, func(c *virtqueue.Config) { c.UsedAddr = 0 }},
		"device area at a region's end":  {true, func(c *virtqueue.Config) { c.UsedAddr = r.end() + userOffset - 4 }},
		"available index 7":              {false, func(c *virtqueue.Config) { c.Base = position(7, 1, 6, 1) }},
		"used index 7":                   {false, func(c *virtqueue.Config) { c.Base = position(6, 1, 7, 1) }},
		"used ahead of available":        {false, func(c *virtqueue.Config) { c.Base = position(3, 1, 4, 1) }},
		"available a round ahead":        {true, func(c *virtqueue.Config) { c.Base = position(4, 0, 4, 1) }},
		"available more than one ahead":  {false, func(c *virtqueue.Config) { c.Base = position(5, 0, 4, 1) }},
		"the last place of both rounds":  {true, func(c *virtqueue.Config) { c.Base = position(6, 0, 6, 0) }},
		"the first place, used in round": {true, func(c *virtqueue.Config) { c.Base = position(0, 1, 6, 0) }},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := r.cfg
			c.change(&cfg)
			q, err := virtqueue.NewQueue(m, cfg)
			if (err == nil) != c.ok {
				t.Errorf("%v, want accepted: %v", err, c.ok)
			}
			if err == nil {
				if cfg.Base != r.cfg.Base && q.Base() != cfg.Base {
					t.Errorf("base %#x, was set to %#x", q.Base(), cfg.Base)
				}
				q.EnableKick()
				q.Notify()
				_ = q.Close()
			}
		})
	}
}

// Base 0 is a new ring, whose wrap counters are 1, unless the first descriptor has been used:
// then it is what it says.
func TestPackedBaseZero(t *testing.T) {
	for _, added := range []bool{false, true} { // before the device looks
		for _, rounds := range []int{0, 1, 2, 3} {
			r := newRing(t, setup{size: 3, features: packed, start: uint16(3 * rounds)})
			want := position(0, 1, 0, 1)
			if rounds%2 == 1 {
				want = 0
			}
			if got := r.q.Base(); got != want {
				t.Errorf("after %d rounds: base %#x, want %#x", rounds, got, want)
			}
			if rounds == 2 {
				continue // not to be told from one that is to be continued at 0
			}
			if added {
				r.drv.Add(nil, buffers(r.data, 2))
			}
			r.cfg.Base = 0
			_ = r.q.Close()
			r.open(r.mapped)
			if !added {
				r.drv.Add(nil, buffers(r.data, 2))
			}
			r.q.Push(r.pop(), 0)
			if _, _, ok := r.drv.Take(); !ok {
				t.Errorf("after %d rounds: no used chain", rounds)
			}
		}
	}
}

func TestLayout(t *testing.T) {
	layouts(t, func(t *testing.T, layout virtqueue.Features) {
		want := map[virtqueue.Features]string{0: "split", packed: "packed"}[layout]
		if got := newRing(t, setup{features: layout}).q.Layout(); got != want {
			t.Errorf("layout %q, want %q", got, want)
		}
	})
}
