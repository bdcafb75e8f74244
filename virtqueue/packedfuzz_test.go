// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"vhost-user-9p/virtqueue"
	"vhost-user-9p/virtqueue/virtqtest"
)

// packedSizes is how many sizes of packed rings are tried: 1 to so many.
const packedSizes = 33

// packedInput is an input of FuzzPacked in its parts. Image and layout are those of walkInput,
// but for the ring in the image.
type packedInput struct {
	image, layout []byte
	size          uint8  // less 1, of packedSizes
	base          uint32 // where the ring goes on
	indirect      bool
	steps         []byte // what is done: even is Pop, odd is Push of one of those popped
}

// FuzzPacked is FuzzWalk with packed rings, chains of which are given back in any order.
func FuzzPacked(f *testing.F) {
	g := newGuest(f, walkFile)
	logs := newGuest(f, walkLog)
	log := newLog(f, logs, walkLog)
	f.Fuzz(func(t *testing.T, image, layout []byte, size uint8, base uint32, indirect bool, steps []byte) {
		if len(image) > walkImage || len(steps) > 4*packedSizes {
			return
		}
		fuzzPacked(t, g, logs, log, packedInput{image, layout, size, base, indirect, steps})
	})
}

func fuzzPacked(t *testing.T, g, logs *guest, log *virtqueue.Log, in packedInput) {
	clear(g.mem[copy(g.mem, in.image):walkImage])
	clear(logs.mem)
	size := 1 + int(in.size)%packedSizes
	walk := walkInput{layout: in.layout}
	ring, _ := virtqtest.PackedLayoutAt(guestBase, size)
	ref := &refPacked{refDevice: refDevice{
		file:     bytes.Clone(g.mem[:walkImage]),
		areas:    walk.areas(),
		ring:     ring,
		base:     guestBase,
		indirect: in.indirect,
	}}
	regions, mem := g.areas(t, ref.areas)
	defer mem.Unref()
	cfg := virtqueue.Config{
		Size:      size,
		Features:  virtqueue.FeatureRingPacked,
		DescAddr:  ring.Desc + userOffset,
		AvailAddr: ring.Avail + userOffset,
		UsedAddr:  ring.Used + userOffset,
		Base:      in.base,
	}
	if in.indirect {
		cfg.Features |= virtqueue.FeatureIndirectDesc
	}
	q, err := virtqueue.NewQueue(mem, cfg)
	if err != nil {
		return // TestPackedConfig
	}
	defer q.Close()
	q.SetLog(log)
	badChains := 0
	q.OnTrouble(func(uint16, error) { badChains++ }, nil)

	base := q.Base() // TestPackedBaseZero
	ref.nextIdx, ref.nextWrap = int(base&0x7fff), base>>15&1 != 0
	ref.usedIdx, ref.usedWrap = int(base>>16&0x7fff), base>>31 != 0
	ref.inFlight = ref.nextIdx - ref.usedIdx
	if ref.nextWrap != ref.usedWrap {
		ref.inFlight += size
	}

	type pair struct {
		c   virtqueue.Chain
		ref refChain
	}
	var popped []*pair
	var written []virtqtest.Buf
	var want outcome
	for _, step := range in.steps {
		if step&1 != 0 {
			if len(popped) == 0 {
				continue
			}
			i := int(step>>1) % len(popped)
			p := popped[i]
			popped = append(popped[:i], popped[i+1:]...)
			n := min(p.c.WriteLen, 3*page)
			q.Push(&p.c, n)
			q.Notify()
			if want == corrupt {
				continue
			}
			ref.push(p.ref, uint32(n))
			for _, s := range p.ref.writable {
				part := min(s.len, uint64(n))
				written = append(written, virtqtest.Buf{Addr: s.addr, Len: uint32(part)})
				n -= int(part)
			}
			continue
		}
		if want == corrupt {
			continue
		}
		// The model first: what it has to say of memory is from before Pop wrote to it.
		p := new(pair)
		wantBad := 0
		for range size {
			if want, p.ref = ref.pop(); want != bad {
				break
			}
			wantBad++
		}
		badChains = 0
		ok, err := q.Pop(&p.c)
		if badChains != wantBad {
			t.Fatalf("%d malformed chains given back, want %d", badChains, wantBad)
		}
		if ok != (want == good) || errors.Is(err, virtqueue.ErrBroken) != (want == corrupt) || ok && err != nil {
			t.Fatalf("Pop: %v, %v; want outcome %d", ok, err, want)
		}
		if !ok {
			continue
		}
		if p.c.Head() != p.ref.id {
			t.Fatalf("buffer %d, want %d", p.c.Head(), p.ref.id)
		}
		checkWalk(t, "readable", p.c.Readable, p.c.ReadLen, regions, p.ref.readable)
		checkWalk(t, "writable", p.c.Writable, p.c.WriteLen, regions, p.ref.writable)
		popped = append(popped, p)
	}
	if q.Broken() != (want == corrupt) || q.Base() != ref.position() {
		t.Errorf("broken %v, base %#x; want %v, %#x", q.Broken(), q.Base(), want == corrupt, ref.position())
	}
	if !bytes.Equal(g.mem[:walkImage], ref.file) {
		t.Error("the used descriptors, or other memory, are not as they should be")
	}
	wantDirty(t, "log", logs.mem, pagesOf(written...))
}

// packedSeeds are the named inputs of FuzzPacked: each hostile list between two good ones, each
// corrupt ring, and rings that are as they should be, at an end of a round.
func packedSeeds() map[string]packedInput {
	seeds := map[string]packedInput{}
	one := walkLayout(area{0, hostileData, walkRing})
	buf := func(addr uint64) []virtqtest.Buf { return []virtqtest.Buf{{Addr: addr, Len: 100}} }
	for name, h := range packedHostile {
		seeds["hostile-"+name] = packedSeed(one, 6, func(d *virtqtest.Driver, data uint64) {
			d.Add(nil, buf(data+8))
			d.AddList(h.make(d, data)...)
			d.Add(buf(data), nil)
		})
	}
	for name, corrupt := range packedCorruptions {
		seeds["corrupt-"+name] = packedSeed(one, 13, func(d *virtqtest.Driver, data uint64) {
			d.Add(nil, []virtqtest.Buf{{Addr: data, Len: 1}, {Addr: data + 9, Len: 1}, {Addr: data + 18, Len: 1}})
			corrupt(d, data)
		})
	}
	for start := range uint16(2 * hostileSize) {
		seeds[fmt.Sprintf("good-start at %d", start)] = packedSeed(one, start, func(d *virtqtest.Driver, data uint64) {
			d.Add(buf(data), append(buf(data+200), buf(data+400)...))
			d.AddIndirect(data+1000, buf(data), buf(data+200))
			d.Add(nil, buf(data+600))
			d.Add(buf(data+600), buf(data+800))
		})
	}
	without := packedSeed(one, 0, func(d *virtqtest.Driver, data uint64) { d.AddIndirect(data, nil, buf(data)) })
	without.indirect = false
	seeds["hostile-table not negotiated"] = without
	return seeds
}

// packedSeed makes an input of what a driver does with a ring of hostileSize entries.
func packedSeed(layout []byte, start uint16, add func(d *virtqtest.Driver, data uint64)) packedInput {
	mem := make([]byte, walkFile)
	ring, _ := virtqtest.PackedLayoutAt(guestBase, hostileSize)
	d := virtqtest.New(mem, guestBase, ring, false)
	d.StartAt(start)
	base := d.Base()
	add(d, guestBase+walkRing)
	steps := []byte{0, 0, 0, 0, 0, 7, 5, 1, 3, 1, 0}
	return packedInput{bytes.TrimRight(mem[:walkImage], "\x00"), layout, hostileSize - 1, base, true, steps}
}

func (in *packedInput) encode() string {
	return fmt.Sprintf("go test fuzz v1\n[]byte(%q)\n[]byte(%q)\nbyte(%q)\nuint32(%d)\nbool(%v)\n[]byte(%q)\n",
		in.image, in.layout, in.size, in.base, in.indirect, in.steps)
}

// The seeds in testdata are those of packedSeeds.
func TestPackedSeeds(t *testing.T) {
	for name, in := range packedSeeds() {
		checkSeed(t, "FuzzPacked", name, in.encode())
	}
}
