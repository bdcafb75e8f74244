// SPDX-License-Identifier: Apache-2.0

package vhostuser_test

import (
	"slices"
	"testing"
	"time"

	"vhost-user-9p/vhostuser/vhosttest"
	"vhost-user-9p/virtqueue"
)

// dirtyLog is a dirty log as a front end sees it.
type dirtyLog struct{ *vhosttest.Region }

// newLog makes a log for pages of guest memory, that begins in the middle of its file.
func newLog(t *testing.T, pages uint64) dirtyLog {
	return dirtyLog{vhosttest.NewRegion(t, vhosttest.RegionSpec{Size: max(pages/8, 4096), Offset: 8192})}
}

// take returns the numbers of the dirty pages, and clears them.
func (l dirtyLog) take() []uint64 {
	var pages []uint64
	for i, b := range l.Bytes {
		for bit := range 8 {
			if b&(1<<bit) != 0 {
				pages = append(pages, uint64(i)*8+uint64(bit))
			}
		}
		l.Bytes[i] = 0
	}
	return pages
}

func wantPages(t *testing.T, l dirtyLog, want ...uint64) {
	t.Helper()
	if got := l.take(); !slices.Equal(got, want) {
		t.Fatalf("dirty pages %#x, not %#x", got, want)
	}
}

// TestDirtyLog is a migration as QEMU does it: the log, LOG_ALL and the ring's flag come while
// the ring runs, which is not disturbed; and it is given up again.
func TestDirtyLog(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{})
	must(t, fe.Setup())
	echo(t, fe, "before")
	l := newLog(t, 2<<20)
	usedPage := fe.Layout.Used >> 12
	addr := fe.RingAddr()

	must(t, fe.SetLogBase(l.FD, l.Size, l.Offset))
	echo(t, fe, "without LOG_ALL")
	wantPages(t, l)

	must(t, fe.SetFeatures(fe.Features|virtqueue.FeatureLogAll))
	echo(t, fe, "buffers only")
	wantPages(t, l, inAddr>>12)

	addr.Flags = vhosttest.RingLog
	must(t, fe.SetVringAddr(addr))
	echo(t, fe, "buffers and ring")
	wantPages(t, l, usedPage, inAddr>>12)

	// Over a page's end, and above 4 GiB.
	echoAt(t, fe, "two pages", outAddr, 1<<32+4096-4)
	wantPages(t, l, usedPage, 1<<20, 1<<20+1)

	// The used ring is logged where the front end says, not where it is.
	moved := addr
	moved.Log = 0x5000 + fe.Layout.Used&0xfff
	must(t, fe.SetVringAddr(moved))
	l.take() // the device may have written to the used ring after the last message came back
	echo(t, fe, "moved")
	wantPages(t, l, 5, inAddr>>12)
	must(t, fe.SetVringAddr(addr))

	// A larger log replaces the first.
	bigger := newLog(t, 4<<20)
	must(t, fe.SetLogBase(bigger.FD, bigger.Size, bigger.Offset))
	l.take()
	echo(t, fe, "bigger")
	wantPages(t, l)
	wantPages(t, bigger, usedPage, inAddr>>12)

	// A log too small for the memory is not written beyond.
	small := newLog(t, 1)
	must(t, fe.SetLogBase(small.FD, 16, small.Offset))
	echoAt(t, fe, "too small", outAddr, 1<<32)
	wantPages(t, small, usedPage)
	must(t, fe.SetLogBase(bigger.FD, bigger.Size, bigger.Offset))

	// The ring stops and starts again in the middle of it, and memory changes.
	base, err := fe.StopDriver()
	must(t, err)
	fe.Features |= virtqueue.FeatureLogAll
	must(t, fe.StartDriver(base))
	must(t, fe.SetVringAddr(addr))
	bigger.take()
	echo(t, fe, "restarted")
	wantPages(t, bigger, usedPage, inAddr>>12)
	must(t, fe.RemMemReg(fe.Memory.Regions[1]))
	echo(t, fe, "restarted")
	wantPages(t, bigger, usedPage, inAddr>>12)
	dev.take()

	// And it ends.
	must(t, fe.SetFeatures(fe.Features&^virtqueue.FeatureLogAll))
	addr.Flags = 0
	must(t, fe.SetVringAddr(addr))
	bigger.take()
	echo(t, fe, "after")
	wantPages(t, bigger)
	wantEvents(t, dev)
}

// TestLogLate: QEMU starts a device in the middle of a migration with LOG_ALL and logged rings,
// and sends the log last.
func TestLogLate(t *testing.T) {
	fe := vhosttest.Start(t, newFake(), vhosttest.Options{})
	must(t, fe.Realize())
	fe.Features |= virtqueue.FeatureLogAll
	must(t, fe.StartDriver(0))
	addr := fe.RingAddr()
	addr.Flags = vhosttest.RingLog
	must(t, fe.SetVringAddr(addr))
	echo(t, fe, "no log yet")
	l := newLog(t, 2<<20)
	must(t, fe.SetLogBase(l.FD, l.Size, l.Offset))
	echo(t, fe, "logged")
	wantPages(t, l, fe.Layout.Used>>12, inAddr>>12)
}

// TestLogChainInFlight: a chain that was taken before LOG_ALL is logged when it is given back.
func TestLogChainInFlight(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{})
	must(t, fe.Setup())
	dev.hold.Lock()
	send(fe, "held", outAddr, inAddr)
	dev.waitPopped(t, 1)
	l := newLog(t, 2<<20)
	must(t, fe.SetLogBase(l.FD, l.Size, l.Offset))
	must(t, fe.SetFeatures(fe.Features|virtqueue.FeatureLogAll))
	dev.hold.Unlock()
	receive(t, fe, "held", inAddr)
	wantPages(t, l, inAddr>>12)
}

// TestLogFD: whoever wants to know is told that pages were logged, also by a new fd.
func TestLogFD(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{})
	must(t, fe.Setup())
	first, second := eventfd(t), eventfd(t)
	must(t, fe.SetLogFD(first))
	l := newLog(t, 2<<20)
	must(t, fe.SetLogBase(l.FD, l.Size, l.Offset))
	must(t, fe.SetFeatures(fe.Features|virtqueue.FeatureLogAll))
	echo(t, fe, "hello")
	if !readable(first, 10*time.Second) {
		t.Error("not told")
	}
	must(t, fe.SetLogFD(second))
	echo(t, fe, "hello")
	if !readable(second, 10*time.Second) || readable(first, time.Millisecond) {
		t.Error("not told by the new fd alone")
	}
}

// TestLogRefused: a log that is not there, and one that was not negotiated.
func TestLogRefused(t *testing.T) {
	fe := vhosttest.Start(t, newFake(), vhosttest.Options{})
	must(t, fe.Realize())
	l := newLog(t, 2<<20)
	refused(t, fe.SetLogBase(l.FD, l.Size+4096, l.Offset))
	refused(t, fe.SetLogBase(l.FD, l.Size, ^uint64(0)))
	refused(t, fe.SetLogBase(l.FD, 0, 0))
	refused(t, fe.SetLogBase(eventfd(t), 4096, 0))
	must(t, fe.SetProtocolFeatures(1<<3))
	must(t, fe.Send(vhosttest.Message{Request: 6, Flags: vhosttest.FlagVersion, Payload: words(l.Size, l.Offset), FDs: []int{l.FD}}))
	if _, err := fe.GetQueueNum(); err != nil { // no answer to the message before
		t.Error(err)
	}
}
