// SPDX-License-Identifier: Apache-2.0

package vhostuser_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/vhostuser"
	"vhost-user-9p/vhostuser/vhosttest"
)

const hint = "guest memory is not shared: use memory-backend-memfd,share=on"

// TestHotAdd adds memory below a running ring, which is not stopped, not even with a chain in
// flight; buffers in it work at once.
func TestHotAdd(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{})
	must(t, fe.Setup())
	dev.hold.Lock()
	send(fe, "held", outAddr, inAddr)
	dev.waitPopped(t, 1)
	r := vhosttest.NewRegion(t, vhosttest.RegionSpec{GuestAddr: 8 << 30, UserAddr: 0x7f2000000000, Size: 1 << 20, Offset: 4096})
	must(t, fe.AddMemReg(r))
	fe.Memory.Regions = append(fe.Memory.Regions, r)
	dev.hold.Unlock()
	receive(t, fe, "held", inAddr)
	echoAt(t, fe, "new memory", 8<<30, 8<<30+5000)
	// And across two regions in one message.
	echoAt(t, fe, "both", outAddr, 8<<30+100)
	wantEvents(t, dev, "realize", "start 0 at 0")
}

// TestHotRemove removes a region that the ring is not in: the ring is paused and goes on.
func TestHotRemove(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{})
	must(t, fe.Setup())
	echoAt(t, fe, "here", 1<<32, inAddr)
	must(t, fe.RemMemReg(fe.Memory.Regions[1]))
	wantEvents(t, dev, "realize", "start 0 at 0", "stop 0", "start 0 at 1")
	echo(t, fe, "hello")

	// A chain with a buffer in what is gone is given back unused.
	fe.Driver.EnableInterrupts()
	fe.Driver.Add(bufs(1<<32, 4), bufs(inAddr, 4))
	fe.Kick()
	waitFor(t, "the bad chain", func() bool { _, n, ok := fe.Driver.Take(); return ok && n == 0 })
	echo(t, fe, "hello")
}

// TestRemoveRing removes the region that the ring is in, and adds it again at another address of
// ours: the ring goes on where it was. QEMU does this, one after the other.
func TestRemoveRing(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{})
	must(t, fe.Setup())
	echo(t, fe, "one")
	must(t, fe.RemMemReg(fe.Memory.Regions[0]))
	wantEvents(t, dev, "realize", "start 0 at 0", "stop 0")
	send(fe, "two", outAddr, inAddr) // while there is no ring
	must(t, fe.RemMemReg(fe.Memory.Regions[1]))
	must(t, fe.AddMemReg(fe.Memory.Regions[1]))
	must(t, fe.AddMemReg(fe.Memory.Regions[0]))
	wantEvents(t, dev, "start 0 at 1")
	receive(t, fe, "two", inAddr)
	if fe.WaitErr(0) {
		t.Error("error event")
	}

	// While it waits it can be stopped, with the position that it had.
	must(t, fe.RemMemReg(fe.Memory.Regions[0]))
	base, err := fe.StopDriver()
	must(t, err)
	if base != 2 {
		t.Errorf("ring stopped at %d", base)
	}
}

// TestNewTable replaces the memory below a running ring by the same at other offsets and by more
// of it.
func TestNewTable(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{ProtocolFeatures: ^vhostuser.ProtocolConfigureMemSlots})
	must(t, fe.Setup())
	echo(t, fe, "one")
	for i := len(fe.Memory.Regions); i < 8; i++ {
		fe.Memory.Regions = append(fe.Memory.Regions, vhosttest.NewRegion(t, vhosttest.RegionSpec{
			GuestAddr: uint64(i) << 33, UserAddr: 0x7f2000000000 + uint64(i)<<30, Size: 1 << 20, Offset: uint64(i) << 12,
		}))
	}
	must(t, fe.SetMemTable(fe.Memory.Regions...))
	wantEvents(t, dev, "realize", "start 0 at 0", "stop 0", "start 0 at 1")
	for i := 2; i < 8; i++ {
		echoAt(t, fe, "hello", outAddr, uint64(i)<<33+16)
	}
	must(t, fe.SetMemTable(fe.Memory.Regions[1]))
	must(t, fe.SetMemTable(fe.Memory.Regions[0]))
	wantEvents(t, dev, "stop 0", "start 0 at 7")
	echo(t, fe, "back")
}

// TestTableRefused leaves memory and ring as they are.
func TestTableRefused(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{})
	must(t, fe.Setup())
	low, high := fe.Memory.Regions[0], fe.Memory.Regions[1]
	clash := *high
	clash.UserAddr = low.UserAddr + low.Size - 4096
	refused(t, fe.SetMemTable(low, &clash))
	long := *high
	long.Size += 4096
	refused(t, fe.SetMemTable(low, &long))
	refused(t, fe.SetMemTable())
	wantEvents(t, dev, "realize", "start 0 at 0")
	echoAt(t, fe, "undisturbed", outAddr, 1<<32)
}

// TestSlots adds as many regions as there are slots, and one more.
func TestSlots(t *testing.T) {
	fe := vhosttest.Start(t, newFake(), vhosttest.Options{})
	must(t, fe.Realize())
	slots, err := fe.GetMaxMemSlots()
	must(t, err)
	file := vhosttest.NewRegion(t, vhosttest.RegionSpec{Size: 4096})
	for i := range slots + 1 {
		r := *file
		r.GuestAddr, r.UserAddr = i<<20, 1<<40+i<<20
		if err := fe.AddMemReg(&r); i < slots {
			must(t, err)
		} else {
			refused(t, err)
		}
	}
}

// TestNotShared: QEMU without shared memory sends no region, and no message about that. The log
// says what is wrong, once, and QEMU gets an error that it prints.
func TestNotShared(t *testing.T) {
	var lines logBuffer
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{Logger: logger(&lines), NeedReply: vhosttest.NeedReplyQEMU})
	must(t, fe.Realize())
	must(t, fe.SetFeatures(fe.Features))
	refused(t, fe.StartRing(0))
	if n := lines.count(hint); n != 1 {
		t.Errorf("hint logged %d times", n)
	}
	if !fe.WaitErr(10 * time.Second) {
		t.Error("no error event")
	}
	wantEvents(t, dev, "realize")

	// It can be set right.
	_, err := fe.StopDriver()
	must(t, err)
	must(t, fe.StartDriver(0))
	echo(t, fe, "hello")
}

// TestBadAddress: a ring that cannot be where it is said to be is refused, and told by the error
// fd; then it can be configured again.
func TestBadAddress(t *testing.T) {
	var fe *vhosttest.FrontEnd
	end := func() uint64 { r := fe.Memory.Regions[0]; return r.UserAddr + r.Size }
	for _, c := range []struct {
		name  string
		spoil func(a *vhosttest.RingAddr)
	}{
		{"desc_unaligned", func(a *vhosttest.RingAddr) { a.Desc += 8 }},
		{"avail_unaligned", func(a *vhosttest.RingAddr) { a.Avail++ }},
		{"used_unaligned", func(a *vhosttest.RingAddr) { a.Used += 2 }},
		{"desc_nowhere", func(a *vhosttest.RingAddr) { a.Desc = 0x1000 }},
		{"desc_beyond_region", func(a *vhosttest.RingAddr) { a.Desc = end() - 16 }},
		{"avail_beyond_region", func(a *vhosttest.RingAddr) { a.Avail = end() - 16 }},
		{"used_beyond_region", func(a *vhosttest.RingAddr) { a.Used = end() - 16 }},
		{"used_wraps_around", func(a *vhosttest.RingAddr) { a.Used = ^uint64(0) - 3 }},
		{"guest_addresses", func(a *vhosttest.RingAddr) { a.Desc, a.Avail, a.Used = fe.Layout.Desc, fe.Layout.Avail, fe.Layout.Used }},
	} {
		t.Run(c.name, func(t *testing.T) {
			dev := newFake()
			fe = vhosttest.Start(t, dev, vhosttest.Options{})
			must(t, fe.Realize())
			must(t, fe.SetFeatures(fe.Features))
			must(t, fe.ShareMemory())
			a := fe.RingAddr()
			c.spoil(&a)
			must(t, fe.SetVringNum(0, 128))
			refused(t, fe.SetVringAddr(a))
			if !fe.WaitErr(10 * time.Second) {
				t.Error("no error event")
			}
			wantEvents(t, dev, "realize")
			fe.NewDriver()
			must(t, fe.StartRing(0))
			echo(t, fe, "hello")

			// While it runs.
			if refused(t, fe.SetVringAddr(a)); !fe.WaitErr(10 * time.Second) {
				t.Error("no error event")
			}
			must(t, fe.SetVringAddr(fe.RingAddr()))
			echo(t, fe, "hello")
		})
	}
}

// TestAddressFirst: an address may come before memory and size, but what is wrong with it by itself
// is refused then.
func TestAddressFirst(t *testing.T) {
	fe := vhosttest.Start(t, newFake(), vhosttest.Options{})
	must(t, fe.Realize())
	must(t, fe.SetFeatures(fe.Features))
	a := fe.RingAddr()
	a.Desc += 8
	refused(t, fe.SetVringAddr(a))
	must(t, fe.SetVringAddr(fe.RingAddr()))
	must(t, fe.ShareMemory())
	fe.NewDriver()
	must(t, fe.SetVringNum(0, 128))
	must(t, fe.SetVringKick(0, -1))
	must(t, fe.SetVringEnable(0, true))
	fe.Driver.Add(bufs(outAddr, 3), bufs(inAddr, 3))
	waitFor(t, "the chain", func() bool { _, _, ok := fe.Driver.Take(); return ok })
}

// TestMovedRing gives a running ring another address: it is drained and goes on there.
func TestMovedRing(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{})
	must(t, fe.Setup())
	a := fe.RingAddr()
	fe.Layout.Desc, fe.Layout.Avail, fe.Layout.Used = fe.Layout.Desc+1<<20, fe.Layout.Avail+1<<20, fe.Layout.Used+1<<20
	fe.NewDriver()
	if a == fe.RingAddr() {
		t.Fatal("not moved")
	}
	must(t, fe.SetVringAddr(fe.RingAddr()))
	wantEvents(t, dev, "realize", "start 0 at 0", "stop 0", "start 0 at 0")
	echo(t, fe, "hello")
}

// TestMemoryGone truncates the file that the guest's memory is in. The process lives, the ring
// breaks, and other memory makes all well.
func TestMemoryGone(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{})
	must(t, fe.Setup())
	must(t, unix.Ftruncate(fe.Memory.Regions[0].FD, 0))
	fe.Kick()
	if !fe.WaitErr(10 * time.Second) {
		t.Error("no error event")
	}
	must(t, fe.SetVringEnable(0, false))
	fe.Memory = vhosttest.NewMemory(t)
	must(t, fe.SetMemTable(fe.Memory.Regions...))
	fe.NewDriver()
	must(t, fe.StartRing(0))
	echo(t, fe, "hello")
}

// TestRingMemoryGone: the memory is gone when the ring is to start. The request is refused.
func TestRingMemoryGone(t *testing.T) {
	fe := vhosttest.Start(t, newFake(), vhosttest.Options{})
	must(t, fe.Setup())
	must(t, fe.SetVringEnable(0, false))
	must(t, unix.Ftruncate(fe.Memory.Regions[0].FD, 0))
	refused(t, fe.SetVringEnable(0, true))
	if n := fe.Server.Stats().Panics; n != 0 {
		t.Errorf("%d panics", n)
	}
	fe.Memory = vhosttest.NewMemory(t)
	must(t, fe.SetVringEnable(0, false))
	must(t, fe.SetMemTable(fe.Memory.Regions...))
	fe.NewDriver()
	must(t, fe.StartRing(0))
	echo(t, fe, "hello")
}
