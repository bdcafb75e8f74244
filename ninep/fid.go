// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// fidKind is the state of a fid, as a bit so that an operation can say which
// states it takes.
type fidKind uint8

const (
	fidPath       fidKind = 1 << iota // walked to, not open
	fidFile                           // an open file
	fidDir                            // an open directory
	fidXattrRead                      // made by Txattrwalk: Tread reads the value
	fidXattrWrite                     // made by Txattrcreate: Twrite fills the value

	fidOpen = fidFile | fidDir
	fidTree = fidPath | fidOpen // stands for a file of the tree
)

// class says how an operation holds its fid.
type class uint8

const (
	classNone class = iota // the operation has no fid, or sees to it itself
	shared
	exclusive
)

// fid is what a fid number stands for. It lives as long as its entry in the table
// or a request that uses it, whichever goes last: so a Tclunk needs no care for
// requests that are still at work on the fid. A million of them may be alive: keep
// it small.
type fid struct {
	// mu is held for the class of the operation, over file and kind.
	mu   sync.RWMutex
	file File // nil for fidXattrRead
	more *fidExtra

	refs atomic.Int32 // the table's, and one for each request
	id   uint32
	uid  uint32 // of the attach that the fid descends from
	kind fidKind
	// removes says that the file is to be removed when the fid ends (ORCLOSE).
	removes bool
}

// fidExtra is what few fids have.
type fidExtra struct {
	xattr xattr     // of the xattr kinds
	dir   dirReader // of a directory that was opened by Topen or Tcreate
}

// fidPool takes the allocation out of Twalk and Tclunk.
var fidPool = sync.Pool{New: func() any { return new(fid) }}

// newFID returns a fid that is in no table yet, with one reference.
func newFID(id, uid uint32, kind fidKind, file File) *fid {
	f := fidPool.Get().(*fid)
	f.id, f.uid, f.kind, f.file = id, uid, kind, file
	f.refs.Store(1)
	return f
}

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
	fids map[uint32]*fid
	peak int      // most entries since fids was made
	_    [40]byte // a cache line each
}

// shrinkFrom is the size from which an emptied map is dropped: maps keep the
// memory of their largest size.
const shrinkFrom = 1024

func (t *fidTable) shard(id uint32) *fidShard { return &t.shards[id%fidShards] }

// get returns the fid with a reference for the caller, nil if there is none.
func (t *fidTable) get(id uint32) *fid {
	sh := t.shard(id)
	sh.mu.Lock()
	f := sh.fids[id]
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
	case f.id == NoFID || sh.fids[f.id] != nil:
		err = unix.EINVAL // QEMU's answer to a newfid that is in use
	case current.Load() != want:
		err = unix.EIO
	}
	if err != nil {
		t.live.Add(-1)
		return err
	}
	if sh.fids == nil {
		sh.fids = make(map[uint32]*fid)
	}
	sh.fids[f.id] = f
	sh.peak = max(sh.peak, len(sh.fids))
	return nil
}

// remove takes id out of the table, if it is there and only is nil or what it
// stands for. The table's reference passes to the caller.
func (t *fidTable) remove(id uint32, only *fid) *fid {
	sh := t.shard(id)
	sh.mu.Lock()
	f := sh.fids[id]
	if f == nil || only != nil && f != only {
		sh.mu.Unlock()
		return nil
	}
	delete(sh.fids, id)
	if len(sh.fids) == 0 && sh.peak > shrinkFrom {
		sh.fids, sh.peak = nil, 0
	}
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
		sh.fids, sh.peak = nil, 0
		sh.mu.Unlock()
		t.live.Add(-int64(len(fids)))
		for _, f := range fids {
			drop(f)
		}
	}
}
