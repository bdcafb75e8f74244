// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"sync"

	"vhost-user-9p/ninep/reuse"
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

	refs int32 // the table's, and one for each request; guarded by Session.mu
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
var fidPool reuse.Pool[fid]

// newFID returns a fid that is in no table yet, with one reference. t may be nil.
func newFID(t *Thread, id, uid uint32, kind fidKind, file File) *fid {
	f := fidPool.Get(t.fidList())
	f.refs, f.id, f.uid, f.kind, f.file = 1, id, uid, kind, file
	return f
}

// fidList returns the list of fids of a worker's thread, nil for nil.
func (t *Thread) fidList() *reuse.List[fid] {
	if t == nil {
		return nil
	}
	return &t.fids
}
