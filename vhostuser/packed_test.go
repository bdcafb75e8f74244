// SPDX-License-Identifier: Apache-2.0

package vhostuser_test

import (
	"testing"
	"time"

	"vhost-user-9p/vhostuser/vhosttest"
	"vhost-user-9p/virtqueue"
	"vhost-user-9p/virtqueue/virtqtest"
)

// startPacked makes a back end that offers packed rings, and a front end.
func startPacked(t *testing.T, opts vhosttest.Options) (*fakeDevice, *vhosttest.FrontEnd) {
	t.Helper()
	dev := newFake()
	dev.packed = true
	return dev, vhosttest.Start(t, dev, opts)
}

// layoutOf returns the layout of the ring that runs.
func layoutOf(dev *fakeDevice) string {
	dev.mu.Lock()
	defer dev.mu.Unlock()
	return dev.layout
}

// TestPackedOffered: packed rings are offered if the device has them, and used if the driver has.
func TestPackedOffered(t *testing.T) {
	t.Run("not offered", func(t *testing.T) {
		fe := vhosttest.Start(t, newFake(), vhosttest.Options{Packed: true})
		must(t, fe.Realize())
		if fe.Offered.Has(virtqueue.FeatureRingPacked) {
			t.Errorf("offered: %v", fe.Offered)
		}
		refused(t, fe.SetFeatures(fe.Features|virtqueue.FeatureRingPacked))
		must(t, fe.StartDriver(0))
		echo(t, fe, "split")
	})
	for _, packed := range []bool{false, true} {
		want := map[bool]string{false: "split", true: "packed"}[packed]
		t.Run(want, func(t *testing.T) {
			dev, fe := startPacked(t, vhosttest.Options{Packed: packed})
			must(t, fe.Setup())
			if !fe.Offered.Has(virtqueue.FeatureRingPacked) {
				t.Errorf("offered: %v", fe.Offered)
			}
			if got := layoutOf(dev); got != want {
				t.Errorf("the ring is %s, want %s", got, want)
			}
			for range 300 { // round the ring
				echo(t, fe, "hello")
			}
			refused(t, fe.SetFeatures(fe.Features^virtqueue.FeatureRingPacked)) // while it runs
			echo(t, fe, "hello")
		})
	}
}

// position is where a packed ring stands when all is used that was taken: both indices with
// their wrap counters.
func position(place, size int) uint32 {
	v := uint32(place % size)
	if place/size%2 == 0 {
		v |= 1 << 15
	}
	return v<<16 | v
}

// echoOne is echo with one descriptor of the ring, that of a table.
func echoOne(t *testing.T, fe *vhosttest.FrontEnd, text string) {
	t.Helper()
	copy(fe.Memory.Guest(outAddr, len(text)), text)
	fe.Driver.EnableInterrupts()
	fe.Driver.AddIndirect(0x300000, bufs(outAddr, len(text)), bufs(inAddr, len(text)))
	if fe.Driver.NeedKick() {
		fe.Kick()
	}
	receive(t, fe, text, inAddr)
}

// TestPackedStopCont stops and starts a packed ring at each place of two rounds, with chains that
// wait and without.
func TestPackedStopCont(t *testing.T) {
	const size = 5
	_, fe := startPacked(t, vhosttest.Options{Packed: true, RingSize: size, NeedReply: vhosttest.NeedReplyQEMU})
	must(t, fe.Setup())
	for place := range 6 * size {
		base, err := fe.StopDriver()
		must(t, err)
		if want := position(place, size); base != want {
			t.Fatalf("ring stopped at %#x, want %#x", base, want)
		}
		waiting := place%3 == 0
		if waiting {
			copy(fe.Memory.Guest(outAddr, 7), "waiting")
			fe.Driver.AddIndirect(0x300000, bufs(outAddr, 7), bufs(inAddr, 7))
		}
		must(t, fe.SetFeatures(fe.Features))
		must(t, fe.StartRing(base))
		if waiting {
			receive(t, fe, "waiting", inAddr)
		} else {
			echoOne(t, fe, "hello")
		}
	}
}

// TestPackedDisable: a ring that is only disabled keeps its place without the front end's help.
func TestPackedDisable(t *testing.T) {
	const size = 3
	_, fe := startPacked(t, vhosttest.Options{Packed: true, RingSize: size})
	must(t, fe.Setup())
	for range 4 * size {
		echoOne(t, fe, "hello")
		must(t, fe.SetVringEnable(0, false))
		must(t, fe.SetVringEnable(0, true))
	}
}

// TestPackedUML: User-mode Linux says 0 of where a new ring begins.
func TestPackedUML(t *testing.T) {
	dev, fe := startPacked(t, vhosttest.Options{Packed: true, RingSize: 256, SocketCall: true})
	must(t, fe.SetupUML(6))
	if got := layoutOf(dev); got != "packed" {
		t.Errorf("the ring is %s", got)
	}
	for range 600 {
		echo(t, fe, "hello")
	}
	must(t, fe.StopUML())
}

// TestPackedThenSplit: firmware and its guest may have different drivers.
func TestPackedThenSplit(t *testing.T) {
	dev, fe := startPacked(t, vhosttest.Options{Packed: true})
	must(t, fe.Setup())
	for _, layout := range []string{"packed", "split", "packed", "split"} {
		if got := layoutOf(dev); got != layout {
			t.Fatalf("the ring is %s, want %s", got, layout)
		}
		for range 100 {
			echo(t, fe, layout)
		}
		_, err := fe.StopDriver()
		must(t, err)
		fe.Features ^= virtqueue.FeatureRingPacked
		must(t, fe.StartDriver(0))
	}
}

// TestPackedAddressBeforeBase: cloud-hypervisor sends the address first, when the base is still
// that of the ring before, which may have been larger, or of the other layout.
func TestPackedAddressBeforeBase(t *testing.T) {
	for _, c := range []struct {
		name string
		size uint32
		flip virtqueue.Features
	}{{"smaller", 16, 0}, {"split", 128, virtqueue.FeatureRingPacked}} {
		t.Run(c.name, func(t *testing.T) {
			dev, fe := startPacked(t, vhosttest.Options{Packed: true})
			must(t, fe.Setup())
			for range 100 {
				echoOne(t, fe, "hello")
			}
			_, err := fe.StopDriver()
			must(t, err)
			fe.Features ^= c.flip
			fe.Layout.Size = int(c.size)
			fe.NewDriver()
			kick := eventfd(t)
			must(t, fe.SetFeatures(fe.Features))
			must(t, fe.SetVringNum(0, c.size))
			must(t, fe.SetVringAddr(fe.RingAddr()))
			must(t, fe.SetVringBase(0, fe.Driver.Base()))
			fe.Driver.AddIndirect(0x300000, bufs(outAddr, 5), bufs(inAddr, 5))
			must(t, fe.SetVringKick(0, kick))
			must(t, fe.SetVringEnable(0, true))
			waitFor(t, "the chain to be used", func() bool {
				_, _, ok := fe.Driver.Take()
				return ok
			})
			if got := layoutOf(dev); (got == "split") != (c.flip != 0) {
				t.Errorf("the ring is %s", got)
			}
		})
	}
}

// TestPackedRefused: what a packed ring may be and a split one may not, and the reverse.
func TestPackedRefused(t *testing.T) {
	for _, packed := range []bool{false, true} {
		_, fe := startPacked(t, vhosttest.Options{Packed: packed})
		must(t, fe.Setup())
		_, err := fe.StopDriver()
		must(t, err)
		for _, c := range []struct {
			size, base  uint32
			avail       uint64 // added to its address
			split, pack bool
		}{
			{size: 128, base: 0, split: true, pack: true},
			{size: 128, base: 0x80008000, pack: true},
			{size: 128, base: 0x807f807f, pack: true},
			{size: 100, base: 0, pack: true},
			{size: 0, base: 0},
			{size: 32769, base: 0},
			{size: 128, base: 0, avail: 2, split: true},
			{size: 128, base: 0, avail: 4, split: true, pack: true},
		} {
			addr := fe.RingAddr()
			addr.Avail += c.avail
			got := fe.SetVringNum(0, c.size)
			if got == nil {
				got = fe.SetVringBase(0, c.base)
			}
			if got == nil {
				got = fe.SetVringAddr(addr)
			}
			want := c.split
			if packed {
				want = c.pack
			}
			switch {
			case want && got != nil:
				t.Errorf("packed %v: %+v: %v", packed, c, got)
			case !want:
				refused(t, got)
			}
		}
	}
}

// TestPackedBadBase: a position that is none is refused when the ring is to start.
func TestPackedBadBase(t *testing.T) {
	for _, base := range []uint32{0xffff, 0x80808000, 0x80008080, 0x80018000 /* used ahead of available */} {
		_, fe := startPacked(t, vhosttest.Options{Packed: true})
		must(t, fe.Realize())
		fe.NewDriver()
		must(t, fe.SetFeatures(fe.Features))
		must(t, fe.ShareMemory())
		refused(t, fe.StartRing(base))
		if !fe.WaitErr(10 * time.Second) {
			t.Errorf("base %#x: no error event", base)
		}
		_, err := fe.StopDriver()
		must(t, err)
		must(t, fe.StartDriver(0)) // the ring can be used all the same
		echo(t, fe, "hello")
	}
}

// TestPackedDirtyLog is TestDirtyLog's beginning for a packed ring: the used descriptors are in the
// log, and the device area where the front end says that it is.
func TestPackedDirtyLog(t *testing.T) {
	_, fe := startPacked(t, vhosttest.Options{Packed: true})
	must(t, fe.Setup())
	l := newLog(t, 2<<20)
	must(t, fe.SetLogBase(l.FD, l.Size, l.Offset))
	must(t, fe.SetFeatures(fe.Features|virtqueue.FeatureLogAll))
	echo(t, fe, "buffers only")
	wantPages(t, l, inAddr>>12)

	addr := fe.RingAddr()
	addr.Flags, addr.Log = vhosttest.RingLog, 0x5000
	must(t, fe.SetVringAddr(addr))
	l.take()
	echo(t, fe, "buffers and ring")
	waitFor(t, "the device to ask for a kick", func() bool {
		_, flags := fe.Driver.DeviceEvent()
		return flags == virtqtest.EventDesc
	})
	pages := l.take()
	want := map[uint64]bool{inAddr >> 12: true, fe.Layout.Desc >> 12: true, 5: true}
	for _, p := range pages {
		if !want[p] {
			t.Errorf("page %#x is dirty", p)
		}
		if p != 5 { // may come after the reply
			delete(want, p)
		}
	}
	if len(want) > 1 {
		t.Errorf("dirty pages %#x", pages)
	}
}
