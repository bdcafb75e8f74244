// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
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
	return ninep.QID{Type: qidType(n.typ), Version: qidVersion(stx), Path: n.path}
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

// qidVersion returns a number that is another one after any change, that of the
// metadata included, and the same after a restart. The change time alone stands
// still for up to a tick while a file is written, so the size goes in as well. It
// is never 0, which stops Linux from caching.
func qidVersion(stx *unix.Statx_t) uint32 {
	v := uint64(stx.Ctime.Sec)*1_000_000_000 + uint64(stx.Ctime.Nsec)
	v = mix(v) ^ stx.Size*0x9e3779b97f4a7c15
	v = mix(v)
	if uint32(v) == 0 {
		return 1
	}
	return uint32(v)
}

// mix is the finalizer of splitmix64: each bit of v has its part in each of the
// result.
func mix(v uint64) uint64 {
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}
