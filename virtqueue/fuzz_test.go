// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/virtqueue"
	"vhost-user-9p/virtqueue/virtqtest"
)

// The guest of FuzzWalk: a file, the beginning of which is the input, and of which the ring
// has the first part. Other regions show what part of the file the input says.
const (
	walkImage = 64 << 10               // bytes of the file that the input can set
	walkRing  = 1 << 10                // region of the ring, at guestBase
	walkFile  = walkRing + hostileData // bytes of the file

	walkSizes      = 6 // powers of two, up to 32 entries
	walkMaxRegions = 8
	walkRecord     = 12
	walkLog        = 4 << 10 // bytes of the dirty log
)

// walkInput is an input of FuzzWalk in its parts.
type walkInput struct {
	// What the file begins with: descriptors, available ring, used ring, each at its
	// place for the ring's size, and what other regions show of it.
	image []byte
	// Records of le32 gap, le32 size, le32 offset: a region gap bytes after the one before.
	layout []byte
	// log2 of the ring's size, the index of the next chain, whether indirect descriptors
	// were negotiated.
	sizeLog  uint8
	next     uint16
	indirect bool
}

func (in *walkInput) size() int { return 1 << (in.sizeLog % walkSizes) }

// areas returns the regions of the layout. All lie below 128 MiB, which the log covers.
func (in *walkInput) areas() []area {
	areas := []area{{guestBase, walkRing, 0}}
	at := uint64(guestBase + walkRing)
	for b := in.layout; len(b) >= walkRecord && len(areas) < walkMaxRegions; b = b[walkRecord:] {
		gap := uint64(binary.LittleEndian.Uint32(b)) % (8 << 20)
		size := 1 + uint64(binary.LittleEndian.Uint32(b[4:])-1)%hostileData
		offset := uint64(binary.LittleEndian.Uint32(b[8:])) % (walkFile - size + 1)
		areas = append(areas, area{at + gap, size, offset})
		at += gap + size
	}
	return areas
}

// FuzzWalk gives arbitrary rings in arbitrary memory to the device, and compares it with a
// model that was written from the specification: which chains are good, where each byte of
// them lies, what stands in the used ring and in the dirty log in the end.
func FuzzWalk(f *testing.F) {
	g := newGuest(f, walkFile)
	logs := newGuest(f, walkLog)
	log := newLog(f, logs, walkLog)
	f.Fuzz(func(t *testing.T, image, layout []byte, sizeLog uint8, next uint16, indirect bool) {
		if len(image) > walkImage {
			return
		}
		fuzzWalk(t, g, logs, log, walkInput{image, layout, sizeLog, next, indirect})
	})
}

func fuzzWalk(t *testing.T, g, logs *guest, log *virtqueue.Log, in walkInput) {
	clear(g.mem[copy(g.mem, in.image):walkImage])
	clear(logs.mem)
	ring, _ := virtqtest.LayoutAt(guestBase, in.size())
	ref := &refDevice{
		file:     bytes.Clone(g.mem[:walkImage]),
		areas:    in.areas(),
		ring:     ring,
		base:     guestBase,
		indirect: in.indirect,
		next:     in.next,
	}

	regions, mem := g.areas(t, ref.areas)
	defer mem.Unref()
	cfg := virtqueue.Config{
		Size:      in.size(),
		DescAddr:  ring.Desc + userOffset,
		AvailAddr: ring.Avail + userOffset,
		UsedAddr:  ring.Used + userOffset,
		Base:      uint32(in.next),
	}
	if in.indirect {
		cfg.Features = virtqueue.FeatureIndirectDesc
	}
	q, err := virtqueue.NewQueue(mem, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	q.SetLog(log)
	badChains := 0
	q.OnTrouble(func(uint16, error) { badChains++ }, nil)

	var written []virtqtest.Buf // by the device, for the log
	var c virtqueue.Chain
	var want outcome
	for range 2 * in.size() {
		// The model first: what it has to say of memory is from before Pop wrote to it.
		var head uint16
		var readable, writable []span
		wantBad := 0
		for range in.size() {
			if want, head, readable, writable = ref.pop(); want != bad {
				break
			}
			ref.push(head, 0)
			wantBad++
		}
		badChains = 0
		ok, err := q.Pop(&c)
		if badChains != wantBad {
			t.Fatalf("%d malformed chains given back, want %d", badChains, wantBad)
		}
		if ok != (want == good) || errors.Is(err, virtqueue.ErrBroken) != (want == corrupt) || ok && err != nil {
			t.Fatalf("Pop: %v, %v; want outcome %d", ok, err, want)
		}
		if want == bad {
			continue
		}
		if want != good {
			break
		}
		if c.Head() != head {
			t.Fatalf("head %d, want %d", c.Head(), head)
		}
		checkWalk(t, "readable", c.Readable, c.ReadLen, regions, readable)
		checkWalk(t, "writable", c.Writable, c.WriteLen, regions, writable)
		n := min(c.WriteLen, 3*page)
		q.Push(&c, n)
		q.Notify()
		ref.push(head, uint32(n))
		for _, s := range writable {
			part := min(s.len, uint64(n))
			written = append(written, virtqtest.Buf{Addr: s.addr, Len: uint32(part)})
			n -= int(part)
		}
	}
	if q.Broken() != (want == corrupt) || q.NextAvail() != ref.next {
		t.Errorf("broken %v, next %d; want %v, %d", q.Broken(), q.NextAvail(), want == corrupt, ref.next)
	}
	if !bytes.Equal(g.mem[:walkImage], ref.file) {
		t.Error("the used ring, or other memory, is not as it should be")
	}
	wantDirty(t, "log", logs.mem, pagesOf(written...))
}

// areas maps areas of the guest's file for the device. The regions last as long as the memory.
func (g *guest) areas(t *testing.T, areas []area) ([]*virtqueue.Region, *virtqueue.Memory) {
	t.Helper()
	var regions []*virtqueue.Region
	for _, a := range areas {
		r, err := virtqueue.MapRegion(g.fd, a.addr, a.addr+userOffset, a.len, a.offset)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Unref()
		regions = append(regions, r)
	}
	mem, err := virtqueue.NewMemory(regions)
	if err != nil {
		t.Fatal(err)
	}
	return regions, mem
}

// checkWalk compares one direction of a chain with the model's. Each byte of it lies in a
// region.
func checkWalk(t *testing.T, what string, iovs []unix.Iovec, total int, regions []*virtqueue.Region, want []span) {
	t.Helper()
	var got []span
	sum := 0
	for i := range iovs {
		addr, rest := virtqueue.BaseAddr(&iovs[i]), iovs[i].Len
		if rest == 0 {
			t.Fatalf("%s: empty iovec", what)
		}
		sum += int(rest)
		for rest > 0 {
			part := uint64(0)
			for _, r := range regions {
				if off := uint64(addr - virtqueue.HostAddr(r)); off < r.Size() {
					part = min(rest, r.Size()-off)
					got = append(got, span{r.GuestAddr() + off, part})
				}
			}
			if part == 0 {
				t.Fatalf("%s: iovec %d leaves its region", what, i)
			}
			addr += uintptr(part)
			rest -= part
		}
	}
	if sum != total {
		t.Fatalf("%s: length %d, the iovecs have %d", what, total, sum)
	}
	if len(iovs) > len(want) {
		t.Fatalf("%s: %d iovecs for %d pieces of buffers", what, len(iovs), len(want))
	}
	if got, want := joined(got), joined(want); !slices.Equal(got, want) {
		t.Fatalf("%s: %#x, want %#x", what, got, want)
	}
}
