// SPDX-License-Identifier: Apache-2.0

package ninep

import "golang.org/x/sys/unix"

// fidShards is the number of parts of the table, so that a part that grows is soon done: s is
// locked meanwhile. Linux numbers fids densely from 0, so that the low bits spread them evenly.
const fidShards = 64

// fidTable is guarded by Session.mu.
type fidTable struct {
	shards [fidShards]fidSet
	live   int
	max    int // 0: no limit
}

func (t *fidTable) shard(id uint32) *fidSet { return &t.shards[id%fidShards] }

// get returns the fid with a reference for the caller, nil if there is none.
func (t *fidTable) get(id uint32) *fid {
	f := t.shard(id).get(id)
	if f != nil {
		f.refs++
	}
	return f
}

// insert enters f under f.id, to which the caller's reference passes, unless the number is in use.
func (t *fidTable) insert(f *fid) error {
	sh := t.shard(f.id)
	switch {
	case t.max > 0 && t.live >= t.max:
		return unix.ENFILE
	case f.id == NoFID || sh.get(f.id) != nil:
		return unix.EINVAL // QEMU's answer to a newfid that is in use
	}
	sh.add(f)
	t.live++
	return nil
}

// remove takes id out of the table, if it is there and only is nil or what it
// stands for. The table's reference passes to the caller.
func (t *fidTable) remove(id uint32, only *fid) *fid {
	sh := t.shard(id)
	f := sh.get(id)
	if f == nil || only != nil && f != only {
		return nil
	}
	sh.remove(f)
	t.live--
	return f
}

// removeAll empties the table, and returns what was in it, with the table's references.
func (t *fidTable) removeAll() [fidShards]fidSet {
	all := t.shards
	t.shards = [fidShards]fidSet{}
	t.live = 0
	return all
}
