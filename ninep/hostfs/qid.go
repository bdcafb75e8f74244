// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// What statx is asked for: to know which node it is, and to make a QID of it.
const (
	statxIdentity = unix.STATX_TYPE | unix.STATX_INO | unix.STATX_MNT_ID
	statxQID      = statxIdentity | unix.STATX_CTIME | unix.STATX_SIZE
)

// qid returns n's QID; stx describes n.
func (n *node) qid(stx *unix.Statx_t) ninep.QID {
	return ninep.QID{Type: qidType(n.typ), Version: n.traits.qidVersion(stx), Path: n.path}
}

func qidType(mode uint16) ninep.QIDType {
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return ninep.QTDir
	case unix.S_IFLNK:
		return ninep.QTSymlink
	}
	return ninep.QTFile
}

// changeTime returns the change time in nanoseconds, and whether it is another one
// after any change to a file that has been looked at: then it is a version by itself.
//
// Since Linux 6.13 it is on file systems that have multigrain timestamps: a change after a
// look gets a time of its own, however soon it comes. Elsewhere the clock that is used
// stands still for a tick.
func (tr traits) changeTime(stx *unix.Statx_t) (ns uint64, exact bool) {
	ns = uint64(stx.Ctime.Sec)*uint64(time.Second) + uint64(stx.Ctime.Nsec)
	// No nanoseconds: perhaps there are none in this file's inode.
	return ns, tr&exactTimes != 0 && stx.Ctime.Nsec != 0
}

// How long after a change another one may leave no trace in the change time: two ticks of
// the slowest clock (100 Hz) where this machine's clock is used, else the coarsest unit of
// time that file systems have.
const (
	tick      = 20 * time.Millisecond
	otherTick = 2 * time.Second
)

// qidVersion returns a number that is another one after any change, that of the
// metadata included, and the same after a restart. It is made of the change time and
// the size. Where a change may follow that leaves both as they are, because the time is
// not over in which changes share their change time, the number is a provisional one,
// and another one is given from then on: who has kept what it saw then finds out.
//
// It is never 0, which stops Linux from caching.
func (tr traits) qidVersion(stx *unix.Statx_t) uint32 {
	ns, exact := tr.changeTime(stx)
	return versionOf(ns, stx.Size, !exact && tr.recent(stx))
}

func versionOf(changed, size uint64, provisional bool) uint32 {
	v := mix(mix(changed) ^ size*0x9e3779b97f4a7c15)
	if provisional {
		v = mix(v + 1)
	}
	if uint32(v) == 0 {
		return 1
	}
	return uint32(v)
}

// recent reports whether the change time may be the present one still.
func (tr traits) recent(stx *unix.Statx_t) bool {
	window := otherTick
	if tr&ownClock != 0 && stx.Ctime.Nsec != 0 {
		window = tick
	}
	age := time.Since(time.Unix(stx.Ctime.Sec, int64(stx.Ctime.Nsec)))
	return -window < age && age < window
}

// mix is the finalizer of splitmix64: each bit of v has its part in each of the
// result.
func mix(v uint64) uint64 {
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}
