// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// fidShards is the number of parts of the table. Linux numbers fids densely from
// 0, so that the low bits spread them evenly.
const fidShards = 64

type fidTable struct {
	shards [fidShards]fidShard
	live   atomic.Int64
	max    int64 // 0: no limit
}

type fidShard struct {
	mu   sync.Mutex
	fids fidSet
	_    [24]byte // a cache line each
}

func (t *fidTable) shard(id uint32) *fidShard { return &t.shards[id%fidShards] }

// get returns the fid with a reference for the caller, nil if there is none.
func (t *fidTable) get(id uint32) *fid {
	sh := t.shard(id)
	sh.mu.Lock()
	f := sh.fids.get(id)
	if f != nil {
		f.refs.Add(1)
	}
	sh.mu.Unlock()
	return f
}

// insert enters f under f.id, to which the caller's reference passes. It fails if
// the number is in use, or if the session has been reset since the request came:
// want are its terms at that time. (A reset replaces the terms before it
// empties the shards, so what gets in before is swept out.)
func (t *fidTable) insert(f *fid, want *terms, current *atomic.Pointer[terms]) error {
	if n := t.live.Add(1); t.max > 0 && n > t.max {
		t.live.Add(-1)
		return unix.ENFILE
	}
	sh := t.shard(f.id)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	var err error
	switch {
	case f.id == NoFID || sh.fids.get(f.id) != nil:
		err = unix.EINVAL // QEMU's answer to a newfid that is in use
	case current.Load() != want:
		err = unix.EIO
	}
	if err != nil {
		t.live.Add(-1)
		return err
	}
	sh.fids.add(f)
	return nil
}

// remove takes id out of the table, if it is there and only is nil or what it
// stands for. The table's reference passes to the caller.
func (t *fidTable) remove(id uint32, only *fid) *fid {
	sh := t.shard(id)
	sh.mu.Lock()
	f := sh.fids.get(id)
	if f == nil || only != nil && f != only {
		sh.mu.Unlock()
		return nil
	}
	sh.fids.remove(f)
	sh.mu.Unlock()
	t.live.Add(-1)
	return f
}

// removeAll empties the table and calls drop, with the table's reference, for
// each fid that was in it.
func (t *fidTable) removeAll(drop func(*fid)) {
	for i := range t.shards {
		sh := &t.shards[i]
		sh.mu.Lock()
		fids := sh.fids
		sh.fids = fidSet{}
		sh.mu.Unlock()
		t.live.Add(-int64(fids.count))
		for _, f := range fids.slots {
			if f != nil {
				drop(f)
			}
		}
	}
}
