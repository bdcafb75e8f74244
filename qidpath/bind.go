// SPDX-License-Identifier: Apache-2.0

package qidpath

import "errors"

// ErrUnknownDevice is returned by Path for a device number of which the Table
// has not been told, since New or the last Forget, which file system has it. The
// caller finds out, calls Bind, and asks again.
var ErrUnknownDevice = errors.New("qidpath: device number of an unknown file system")

// choice is a file system that was seen under a device number.
type choice struct {
	dev uint64
	id  Identity
}

// Bind says, also while another is bound, which file system has the device number dev (st_dev) now: the one
// with the identity id, or, if that is zero, one that has no identity. twins are
// the other device numbers whose file systems have the same identity now.
//
// An identity that two have, as copies of a block device do, tells nothing. The
// one with the number under which it was seen first keeps it; if there is none,
// or it is in use, a file system is told by its device number alone. What was
// decided for a pair of dev and id holds for the life of the Table.
func (t *Table) Bind(dev uint64, id Identity, twins []uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fs := t.chooseLocked(dev, id, twins)
	if old, ok := t.bound[dev]; ok && old != fs {
		t.prefixes.reset()
	}
	t.bound[dev] = fs
}

// chooseLocked returns what stands for the file system.
func (t *Table) chooseLocked(dev uint64, id Identity, twins []uint64) Identity {
	if id.IsZero() {
		return DeviceIdentity(dev)
	}
	c := choice{dev, id}
	fs, ok := t.chosen[c]
	if !ok {
		fs = id
		if len(twins) > 0 && !t.keepsLocked(c, twins) {
			fs = DeviceIdentity(dev)
			t.logger.Warn("several file systems have the same identity, so this one's files get other IDs under another device number",
				"identity", id.String(), "device", fs.String(), "others", len(twins))
		}
		t.chosen[c] = fs
	}
	return fs
}

// keepsLocked reports whether c keeps its identity although others have it.
func (t *Table) keepsLocked(c choice, twins []uint64) bool {
	if _, seen := t.labels[c]; !seen {
		return false
	}
	for _, dev := range twins {
		if t.chosen[choice{dev, c.id}] == c.id {
			return false
		}
	}
	return true
}

// Forget makes the Table ask anew which file system has which device number:
// they may have changed, since something was mounted or unmounted.
func (t *Table) Forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.bound)
	t.prefixes.reset()
}
