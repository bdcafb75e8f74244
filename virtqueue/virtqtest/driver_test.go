// SPDX-License-Identifier: Apache-2.0

package virtqtest_test

import (
	"encoding/binary"
	"testing"

	"vhost-user-9p/virtqueue/virtqtest"
)

// A driver asks about a chain once: when the device sets avail_event to what was added
// before, no kick comes for it any more.
func TestNeedKickAsksOnce(t *testing.T) {
	mem := make([]byte, 4096)
	l, _ := virtqtest.LayoutAt(0, 4)
	d := virtqtest.New(mem, 0, l, true)
	availEvent := func(v uint16) { binary.LittleEndian.PutUint16(d.Bytes(l.Used+4+8*4, 2), v) }

	availEvent(100)
	d.AddHead(0)
	if d.NeedKick() {
		t.Fatal("a kick that was not asked for")
	}
	availEvent(0)
	d.AddHead(1)
	if d.NeedKick() {
		t.Error("a kick for a chain of which the driver has asked before")
	}
	availEvent(2)
	d.AddHead(2)
	if !d.NeedKick() {
		t.Error("no kick, but the device asked for one")
	}
}
