// SPDX-License-Identifier: Apache-2.0

package vhostuser_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/vhostuser"
	"vhost-user-9p/vhostuser/vhosttest"
	"vhost-user-9p/virtqueue"
	"vhost-user-9p/virtqueue/virtqtest"
)

func bufs(addr uint64, n int) []virtqtest.Buf { return []virtqtest.Buf{{Addr: addr, Len: uint32(n)}} }

// trace records what a front end sends: the name, "!" if it asks for an acknowledgement, "+" for
// each fd.
func trace(to *[]string) func(vhosttest.Message) {
	return func(m vhosttest.Message) {
		s := m.Request.String()
		if m.Flags&vhosttest.FlagNeedReply != 0 {
			s += "!"
		}
		*to = append(*to, s+strings.Repeat("+", len(m.FDs)))
	}
}

func wantTrace(t *testing.T, got *[]string, want string) {
	t.Helper()
	if w := strings.Fields(want); !slices.Equal(*got, w) {
		t.Fatalf("front end sent\n%s\nnot\n%s", strings.Join(*got, " "), strings.Join(w, " "))
	}
	*got = nil
}

// TestQEMU is the order of messages of QEMU 11.1.3, from the device's making to the guest's
// power-off.
func TestQEMU(t *testing.T) {
	for _, c := range []struct {
		name     string
		protocol vhostuser.ProtocolFeatures
		regions  []vhosttest.RegionSpec
		realize  string
		memory   string
	}{
		{
			name: "mem_slots", regions: vhosttest.DefaultRegions()[:1],
			realize: "GET_QUEUE_NUM GET_MAX_MEM_SLOTS SET_BACKEND_REQ_FD!+",
			memory:  "ADD_MEM_REG!+",
		},
		{
			name: "mem_table", protocol: ^vhostuser.ProtocolConfigureMemSlots, regions: vhosttest.DefaultRegions()[:1],
			realize: "GET_QUEUE_NUM SET_BACKEND_REQ_FD!+",
			memory:  "SET_MEM_TABLE!+",
		},
		{
			name: "mem_table_of_two", protocol: ^vhostuser.ProtocolConfigureMemSlots,
			realize: "GET_QUEUE_NUM SET_BACKEND_REQ_FD!+",
			memory:  "SET_MEM_TABLE!++",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var sent []string
			dev := newFake()
			fe := vhosttest.Start(t, dev, vhosttest.Options{
				Regions: c.regions, ProtocolFeatures: c.protocol,
				NeedReply: vhosttest.NeedReplyQEMU, Trace: trace(&sent),
			})
			must(t, fe.Realize())
			wantTrace(t, &sent, "GET_FEATURES GET_PROTOCOL_FEATURES SET_PROTOCOL_FEATURES "+c.realize+
				" SET_OWNER GET_FEATURES SET_VRING_CALL!+ SET_VRING_ERR!+")
			wantEvents(t, dev, "realize")
			for range 7 {
				if b, err := fe.GetConfig(0, 8); err != nil || string(b) != "\x06\x00shared" {
					t.Fatalf("config %q, %v", b, err)
				}
			}
			sent = nil
			if fe.Features != 0x170000001 {
				t.Errorf("features %v", fe.Features)
			}
			must(t, fe.StartDriver(0))
			wantTrace(t, &sent, "SET_FEATURES "+c.memory+
				" SET_VRING_NUM SET_VRING_BASE SET_VRING_ADDR SET_VRING_KICK!+ SET_VRING_CALL!+ SET_VRING_ENABLE! SET_VRING_CALL!+")
			wantEvents(t, dev, "start 0 at 0")
			for range 300 { // round the ring
				echo(t, fe, "hello")
			}
			base, err := fe.StopDriver()
			must(t, err)
			if base != 300 {
				t.Errorf("ring stopped at %d", base)
			}
			wantTrace(t, &sent, "SET_VRING_ENABLE! GET_VRING_BASE")
			wantEvents(t, dev, "stop 0", "suspended 0")
			must(t, fe.Disconnect())
			wantEvents(t, dev, "unrealize: disconnected")
		})
	}
}

// TestReboot: the guest starts anew, with an empty ring and the same memory. The error fd, which
// QEMU sends only once, still works.
func TestReboot(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{NeedReply: vhosttest.NeedReplyQEMU})
	must(t, fe.Setup())
	echo(t, fe, "before")
	must(t, fe.Reboot())
	echo(t, fe, "after")
	wantEvents(t, dev, "realize", "start 0 at 0", "stop 0", "suspended 0", "start 0 at 0")
	if fe.WaitErr(0) {
		t.Error("error event before the error")
	}
	fe.Driver.SetAvailIdx(5000)
	fe.Kick()
	if !fe.WaitErr(10 * time.Second) {
		t.Error("no error event from a ring that is broken after a reboot")
	}
}

// TestStopCont: QMP stop and cont. The ring goes on where it was, with what came meanwhile.
func TestStopCont(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{NeedReply: vhosttest.NeedReplyQEMU})
	must(t, fe.Setup())
	echo(t, fe, "one")
	base, err := fe.StopDriver()
	must(t, err)
	if base != 1 {
		t.Fatalf("ring stopped at %d", base)
	}
	fe.Driver.Add(bufs(outAddr, 3), bufs(inAddr, 3))
	must(t, fe.StartDriver(base))
	receive(t, fe, "one", inAddr)
	wantEvents(t, dev, "realize", "start 0 at 0", "stop 0", "suspended 0", "start 0 at 1")
}

// TestUnplug: device_del and device_add on one chardev. The second device keeps the protocol
// features and channel that came before SET_OWNER.
func TestUnplug(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{NeedReply: vhosttest.NeedReplyQEMU})
	for i := range 3 {
		must(t, fe.Setup())
		wantEvents(t, dev, "realize", "start 0 at 0")
		echo(t, fe, "plugged")
		must(t, fe.Unplug())
		waitFor(t, "the end of the session", func() bool {
			dev.mu.Lock()
			defer dev.mu.Unlock()
			return len(dev.events) == 3
		})
		wantEvents(t, dev, "stop 0", "suspended 0", "unrealize: back-end channel closed")
		if n := fe.Server.Stats().Connections; n != 1 {
			t.Fatalf("%d connections after %d devices", n, i+1)
		}
	}
}

// TestUnplugAtOnce: the end of the channel is seen before what the next device sends.
func TestUnplugAtOnce(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{})
	must(t, fe.Setup())
	must(t, fe.Unplug())
	must(t, fe.Setup())
	wantEvents(t, dev, "realize", "start 0 at 0", "stop 0", "suspended 0",
		"unrealize: back-end channel closed", "realize", "start 0 at 0")
	echo(t, fe, "plugged")
}

// TestOwnerTwice: SET_OWNER drops rings and memory of a session that goes on, and keeps what was
// negotiated before it.
func TestOwnerTwice(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{})
	must(t, fe.Setup())
	must(t, fe.SetOwner())
	wantEvents(t, dev, "realize", "start 0 at 0", "stop 0", "unrealize: new owner", "realize")
	refused(t, fe.RemMemReg(fe.Memory.Regions[0]))
	for _, r := range fe.Memory.Regions {
		must(t, fe.AddMemReg(r)) // would overlap
	}
	must(t, fe.SetFeatures(fe.Features))
	fe.NewDriver()
	must(t, fe.StartRing(0))
	echo(t, fe, "again")
	fe.CloseChannel()
	waitFor(t, "the end of the session", func() bool {
		dev.mu.Lock()
		defer dev.mu.Unlock()
		return slices.Contains(dev.events, "unrealize: back-end channel closed")
	})
}

// TestChannelClosedWhileRunning: the session ends and the ring stops, without a word on the main
// socket. A new channel sets them going again: cloud-hypervisor replaces it with rings running.
func TestChannelClosedWhileRunning(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{})
	must(t, fe.Setup())
	echo(t, fe, "one")
	fe.CloseChannel()
	waitFor(t, "the end of the session", func() bool {
		dev.mu.Lock()
		defer dev.mu.Unlock()
		return slices.Contains(dev.events, "unrealize: back-end channel closed")
	})
	a, b := vhosttest.Pair(t)
	defer func() { _ = a.Close() }()
	f, err := b.File()
	must(t, err)
	_ = b.Close()
	must(t, fe.SetBackendReqFD(int(f.Fd())))
	_ = f.Close()
	echo(t, fe, "two")
	wantEvents(t, dev, "realize", "start 0 at 0", "stop 0", "unrealize: back-end channel closed", "realize", "start 0 at 1")
}

// TestUML is the order of messages of User Mode Linux 7.3, with a socket for notifications.
func TestUML(t *testing.T) {
	var sent []string
	dev := newFake()
	notGet := func(r vhostuser.Request) bool { return !strings.HasPrefix(r.String(), "GET_") }
	regions := []vhosttest.RegionSpec{{GuestAddr: 0x760000, UserAddr: 0x760000, Offset: 0x760000, Size: 16 << 20}}
	fe := vhosttest.Start(t, dev, vhosttest.Options{Regions: regions, RingSize: 256, NeedReply: notGet, SocketCall: true, Trace: trace(&sent)})
	must(t, fe.SetupUML(6))
	wantTrace(t, &sent, "SET_OWNER GET_FEATURES GET_PROTOCOL_FEATURES SET_PROTOCOL_FEATURES! SET_BACKEND_REQ_FD!+ GET_QUEUE_NUM SET_FEATURES! SET_MEM_TABLE!+ "+
		"SET_VRING_CALL!+ SET_VRING_NUM! SET_VRING_BASE! SET_VRING_ADDR! SET_VRING_KICK!+ SET_VRING_ENABLE! "+strings.Repeat("GET_CONFIG ", 7))
	echoUML := func(text string) { echoAt(t, fe, text, 0x760000+outAddr, 0x760000+inAddr) }
	echoUML("hello")

	// Suspend and resume of the guest: the ring is disabled and enabled, and keeps its place.
	must(t, fe.SetVringEnable(0, false))
	must(t, fe.SetVringEnable(0, true))
	echoUML("again")
	sent = nil
	must(t, fe.StopUML())
	wantTrace(t, &sent, "SET_VRING_ENABLE! GET_FEATURES")
	wantEvents(t, dev, "realize", "start 0 at 0", "stop 0", "start 0 at 1", "stop 0")
}

// TestUMLTableOf72 sends SET_MEM_TABLE as UML 6.12 does: one region, and room for two.
func TestUMLTableOf72(t *testing.T) {
	fe := vhosttest.Start(t, newFake(), vhosttest.Options{})
	must(t, fe.Realize())
	r := fe.Memory.Regions[0]
	payload := append(words(1, r.GuestAddr, r.Size, r.UserAddr, r.Offset), make([]byte, 32)...)
	if len(payload) != 72 {
		t.Fatal(len(payload))
	}
	must(t, sendAcked(fe, vhostuser.RequestSetMemTable, payload, r.FD))
}

// TestCrosvm is crosvm's order: SET_OWNER first, no acknowledgements, ADDR before BASE.
func TestCrosvm(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{NeedReply: func(vhostuser.Request) bool { return false }})
	must(t, fe.SetOwner())
	must(t, fe.Realize()) // and it comes again, before there is anything to lose
	must(t, fe.SetFeatures(fe.Features))
	must(t, fe.SetMemTable(fe.Memory.Regions...))
	for range 2 {
		fe.NewDriver()
		kick, call := eventfd(t), eventfd(t)
		must(t, fe.SetVringNum(0, 128))
		must(t, fe.SetVringAddr(fe.RingAddr()))
		must(t, fe.SetVringBase(0, 0))
		must(t, fe.SetVringCall(0, call))
		must(t, fe.SetVringKick(0, kick))
		must(t, fe.SetVringEnable(0, true))
		fe.Driver.Add(bufs(outAddr, 3), bufs(inAddr, 3))
		_, err := unix.Write(kick, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		must(t, err)
		waitFor(t, "the chain", func() bool { _, _, ok := fe.Driver.Take(); return ok })
		must(t, fe.SetVringEnable(0, false))
		base, err := fe.GetVringBase(0)
		must(t, err)
		if base != 1 {
			t.Errorf("ring stopped at %d", base)
		}
	}
	wantEvents(t, dev, "realize", "unrealize: new owner", "realize",
		"start 0 at 0", "stop 0", "suspended 0", "start 0 at 0", "stop 0", "suspended 0")
}

// TestCloudHypervisor activates a device twice, without another SET_OWNER; the channel comes
// after the rings and is closed between.
func TestCloudHypervisor(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{})
	must(t, fe.SetOwner())
	_, err := fe.GetFeatures()
	must(t, err)
	offered, err := fe.GetProtocolFeatures()
	must(t, err)
	must(t, fe.SetProtocolFeatures(offered))
	fe.Features = fakeFeatures | virtqueue.FeatureProtocol
	for range 2 {
		fe.NewDriver()
		kick, call := eventfd(t), eventfd(t)
		must(t, fe.SetFeatures(fe.Features))
		must(t, fe.SetMemTable(fe.Memory.Regions...))
		must(t, fe.SetVringNum(0, 128))
		must(t, fe.SetVringAddr(fe.RingAddr()))
		must(t, fe.SetVringBase(0, 0))
		must(t, fe.SetVringCall(0, call))
		must(t, fe.SetVringKick(0, kick))
		must(t, fe.SetVringEnable(0, true))
		ours, theirs := socketpair(t)
		must(t, fe.SetBackendReqFD(theirs))
		must(t, unix.Close(theirs))
		fe.Driver.Add(bufs(outAddr, 3), bufs(inAddr, 3))
		_, err := unix.Write(kick, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		must(t, err)
		waitFor(t, "the chain", func() bool { _, _, ok := fe.Driver.Take(); return ok })
		must(t, fe.SetVringEnable(0, false))
		_, err = fe.GetVringBase(0)
		must(t, err)
		must(t, unix.Close(ours))
		_, err = fe.GetFeatures()
		must(t, err)
		wantEvents(t, dev, "realize", "start 0 at 0", "stop 0", "suspended 0", "unrealize: back-end channel closed")
	}
}

// TestNoProtocolFeatures: without bit 30 there is no SET_VRING_ENABLE, and a kick starts the ring.
func TestNoProtocolFeatures(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{})
	must(t, fe.SetOwner())
	fe.Features = fakeFeatures
	must(t, fe.StartDriver(0))
	echo(t, fe, "hello")
	base, err := fe.StopDriver()
	must(t, err)
	if base != 1 {
		t.Errorf("ring stopped at %d", base)
	}
	wantEvents(t, dev, "realize", "start 0 at 0", "stop 0", "suspended 0")
}

// TestPolledRing: no fd for kicks, and none for notifications.
func TestPolledRing(t *testing.T) {
	fe := vhosttest.Start(t, newFake(), vhosttest.Options{})
	must(t, fe.Setup())
	_, err := fe.StopDriver()
	must(t, err)
	must(t, fe.SetVringKick(0, -1))
	must(t, fe.SetVringCall(0, -1))
	must(t, fe.SetVringEnable(0, true))
	fe.Driver.Add(bufs(outAddr, 3), bufs(inAddr, 3))
	waitFor(t, "the chain", func() bool { _, _, ok := fe.Driver.Take(); return ok })
}

// TestReplaceFDs: kick, call and error fds change below a running ring.
func TestReplaceFDs(t *testing.T) {
	fe := vhosttest.Start(t, newFake(), vhosttest.Options{})
	must(t, fe.Setup())
	echo(t, fe, "one")
	kick, call, errFd := eventfd(t), eventfd(t), eventfd(t)
	must(t, fe.SetVringKick(0, kick))
	must(t, fe.SetVringCall(0, call))
	must(t, fe.SetVringErr(0, errFd))
	if !readable(call, time.Second) {
		t.Error("a new call fd is not signalled once")
	}
	fe.Driver.EnableInterrupts()
	fe.Driver.Add(bufs(outAddr, 3), bufs(inAddr, 3))
	for range 2 { // the second finds the first's kick pending, which must do no harm
		_, err := unix.Write(kick, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		must(t, err)
	}
	waitFor(t, "the chain", func() bool { _, _, ok := fe.Driver.Take(); return ok })
	if !readable(call, 10*time.Second) {
		t.Error("no notification by the new call fd")
	}
	fe.Driver.SetAvailIdx(5000)
	_, err := unix.Write(kick, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	must(t, err)
	if !readable(errFd, 10*time.Second) {
		t.Error("no error event by the new error fd")
	}
}

// TestS3 enables a ring that has nothing: a Linux guest that comes back from suspend-to-RAM sets
// DRIVER_OK without queues.
func TestS3(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{})
	must(t, fe.Realize())
	must(t, fe.SetFeatures(fe.Features))
	must(t, fe.SetVringEnable(0, true))
	must(t, fe.SetVringEnable(0, false))
	base, err := fe.GetVringBase(0)
	must(t, err)
	if base != 0 {
		t.Errorf("base %d", base)
	}
	wantEvents(t, dev, "realize", "suspended 0")
}

// TestResetDevice drops the guest's state and the rings, and keeps memory and session.
func TestResetDevice(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{})
	must(t, fe.Setup())
	must(t, fe.ResetDevice())
	must(t, fe.SetVringEnable(0, true)) // not kicked off
	wantEvents(t, dev, "realize", "start 0 at 0", "stop 0", "reset")
	fe.NewDriver()
	must(t, fe.StartRing(0))
	echo(t, fe, "hello")
}

// TestResetOwner disables the rings, and nothing else.
func TestResetOwner(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{})
	must(t, fe.Setup())
	must(t, fe.ResetOwner())
	must(t, fe.SetVringEnable(0, true))
	wantEvents(t, dev, "realize", "start 0 at 0", "stop 0", "start 0 at 0")
	echo(t, fe, "hello")
}
