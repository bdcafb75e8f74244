// SPDX-License-Identifier: Apache-2.0

package vhostuser_test

import (
	"fmt"
	"testing"

	"vhost-user-9p/vhostuser"
	"vhost-user-9p/vhostuser/vhosttest"
)

// TestWrongOrder: requests before, after and without those that should come first.
func TestWrongOrder(t *testing.T) {
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{})
	fe.Protocol = vhostuser.ProtocolReplyAck
	must(t, fe.SetProtocolFeatures(fe.Protocol))
	fe.Features = fakeFeatures | 1<<30
	// A ring without a session: it begins with the ring.
	must(t, fe.StartDriver(0))
	echo(t, fe, "hello")
	wantEvents(t, dev, "realize", "start 0 at 0")
	// Twice the same.
	must(t, fe.SetVringEnable(0, true))
	must(t, fe.SetVringEnable(0, false))
	must(t, fe.SetVringEnable(0, false))
	for range 2 {
		if base, err := fe.GetVringBase(0); err != nil || base != 1 {
			t.Errorf("base %d, %v", base, err)
		}
	}
	// ENABLE first, then KICK, then the address, and the size last.
	must(t, fe.SetOwner())
	must(t, fe.SetFeatures(fe.Features))
	must(t, fe.SetVringEnable(0, true))
	must(t, fe.SetVringKick(0, -1))
	must(t, fe.SetMemTable(fe.Memory.Regions...))
	must(t, fe.SetVringAddr(fe.RingAddr()))
	dev.take()
	must(t, fe.SetVringNum(0, 128))
	wantEvents(t, dev, "start 0 at 0")
}

// TestPanic: a request that panics is refused, and the connection goes on.
func TestPanic(t *testing.T) {
	var lines logBuffer
	dev := newFake()
	fe := vhosttest.Start(t, dev, vhosttest.Options{Logger: logger(&lines)})
	must(t, fe.Setup())
	dev.trouble.Store(true)
	_, err := fe.GetConfig(0, 8)
	refused(t, err)
	dev.trouble.Store(false)
	if n := fe.Server.Stats().Panics; n != 1 || lines.count("panic in a request") != 1 {
		t.Errorf("%d panics, log %d", n, lines.count("panic in a request"))
	}
	echo(t, fe, "undisturbed")
}

// TestStats counts what came.
func TestStats(t *testing.T) {
	fe := vhosttest.Start(t, newFake(), vhosttest.Options{})
	must(t, fe.Setup())
	refused(t, sendAcked(fe, 44, nil))
	refused(t, sendAcked(fe, vhostuser.RequestSetStatus, words(8)))
	got := fe.Server.Stats()
	want := map[vhostuser.Request]uint64{
		vhostuser.RequestGetFeatures: 2, vhostuser.RequestGetProtocolFeatures: 1, vhostuser.RequestSetProtocolFeatures: 1,
		vhostuser.RequestGetQueueNum: 1, vhostuser.RequestGetMaxMemSlots: 1, vhostuser.RequestSetBackendReqFD: 1,
		vhostuser.RequestSetOwner: 1, vhostuser.RequestSetVringCall: 3, vhostuser.RequestSetVringErr: 1,
		vhostuser.RequestSetFeatures: 1, vhostuser.RequestAddMemReg: 2, vhostuser.RequestSetVringNum: 1,
		vhostuser.RequestSetVringBase: 1, vhostuser.RequestSetVringAddr: 1, vhostuser.RequestSetVringKick: 1,
		vhostuser.RequestSetVringEnable: 1, vhostuser.RequestSetStatus: 1,
	}
	if fmt.Sprint(got.Messages) != fmt.Sprint(want) {
		t.Errorf("messages %v, not %v", got.Messages, want)
	}
	if got.Unknown != 1 || got.Nacks != 2 || got.Connections != 1 || got.RingStarts != 1 || got.RingFailures != 0 {
		t.Errorf("%+v", got)
	}
}
