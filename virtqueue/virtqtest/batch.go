// SPDX-License-Identifier: Apache-2.0

package virtqtest

import "encoding/binary"

// What is here makes and takes many chains at a time, without allocating. The descriptors
// are the caller's, made with SetDesc: a driver that uses this does not use Add, AddIndirect
// and Take, and has a split ring.

// Used is an entry of the used ring.
type Used struct {
	Head    uint16
	Written uint32 // bytes, by the device
}

// Stage puts the chain that begins at descriptor head on the available ring. The device
// sees it after Publish.
func (d *Driver) Stage(head uint16) {
	slot := int(d.availIdx) & (d.Size - 1)
	binary.LittleEndian.PutUint16(d.Bytes(d.Avail+4+2*uint64(slot), 2), head)
	d.availIdx++
}

// Publish makes all staged chains available. It does not kick.
func (d *Driver) Publish() { d.SetAvailIdx(d.availIdx) }

// Reap takes what the device has used, as much as there is room for in used, and returns
// the number of entries.
func (d *Driver) Reap(used []Used) int {
	n := min(int(load16(d.Bytes(d.Used, 4), 2)-d.lastUsed), len(used))
	for i := range used[:n] {
		e := d.Bytes(d.Used+4+8*uint64(int(d.lastUsed)&(d.Size-1)), 8)
		used[i] = Used{Head: uint16(binary.LittleEndian.Uint32(e)), Written: binary.LittleEndian.Uint32(e[4:])}
		d.lastUsed++
	}
	return n
}
