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

// Staged chains are the device's when they are published, and used ones come in order.
func TestBatch(t *testing.T) {
	mem := make([]byte, 4096)
	l, _ := virtqtest.LayoutAt(0, 4)
	d := virtqtest.New(mem, 0, l, true)
	d.StartAt(0xffff) // the indexes wrap
	availIdx := func() uint16 { return binary.LittleEndian.Uint16(d.Bytes(l.Avail+2, 2)) }
	for _, head := range []uint16{2, 0, 3} {
		d.Stage(head)
	}
	if availIdx() != 0xffff {
		t.Errorf("the device sees %d before anything is published", availIdx())
	}
	d.Publish()
	if availIdx() != 2 {
		t.Errorf("the device sees index %d, not 2", availIdx())
	}
	for i, head := range []uint16{3, 2, 0} { // in entries 3, 0, 1
		e := d.Bytes(l.Used+4+8*uint64((0xffff+i)&3), 8)
		binary.LittleEndian.PutUint32(e, uint32(head))
		binary.LittleEndian.PutUint32(e[4:], uint32(100+i))
	}
	d.SetUsedIdx(2)
	var used [2]virtqtest.Used
	if n := d.Reap(used[:]); n != 2 || used != [2]virtqtest.Used{{Head: 3, Written: 100}, {Head: 2, Written: 101}} {
		t.Errorf("%d reaped: %v", n, used)
	}
	if n := d.Reap(used[:]); n != 1 || used[0] != (virtqtest.Used{Head: 0, Written: 102}) {
		t.Errorf("%d reaped: %v", n, used)
	}
	if n := d.Reap(used[:]); n != 0 {
		t.Errorf("%d reaped of an empty ring", n)
	}
}
