// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"strconv"
	"strings"
)

// String returns the types as the spec names them.
func (t QIDType) String() string {
	return bitString(uint64(t), "QTFILE", []bitName{{uint64(QTDir), "QTDIR"}, {uint64(QTSymlink), "QTSYMLINK"}})
}

// String returns the bits as the spec names them, without P9_STATS_.
func (m AttrMask) String() string {
	return bitString(uint64(m), "0", []bitName{
		{uint64(AttrMode), "MODE"}, {uint64(AttrNLink), "NLINK"}, {uint64(AttrUID), "UID"}, {uint64(AttrGID), "GID"},
		{uint64(AttrRDev), "RDEV"}, {uint64(AttrATime), "ATIME"}, {uint64(AttrMTime), "MTIME"}, {uint64(AttrCTime), "CTIME"},
		{uint64(AttrINO), "INO"}, {uint64(AttrSize), "SIZE"}, {uint64(AttrBlocks), "BLOCKS"}, {uint64(AttrBTime), "BTIME"},
		{uint64(AttrGen), "GEN"}, {uint64(AttrDataVersion), "DATA_VERSION"},
	})
}

// String returns the bits as the spec names them, without P9_ATTR_.
func (m SetMask) String() string {
	return bitString(uint64(m), "0", []bitName{
		{uint64(SetMode), "MODE"}, {uint64(SetUID), "UID"}, {uint64(SetGID), "GID"}, {uint64(SetSize), "SIZE"},
		{uint64(SetATime), "ATIME"}, {uint64(SetMTime), "MTIME"}, {uint64(SetCTime), "CTIME"},
		{uint64(SetATimeSet), "ATIME_SET"}, {uint64(SetMTimeSet), "MTIME_SET"},
	})
}

// String returns the type as the spec names it, without P9_LOCK_TYPE_.
func (t LockType) String() string {
	switch t {
	case LockRead:
		return "RDLCK"
	case LockWrite:
		return "WRLCK"
	case LockUnlock:
		return "UNLCK"
	}
	return "LockType(" + strconv.Itoa(int(t)) + ")"
}

// String returns the status as the spec names it, without P9_LOCK_.
func (s LockStatus) String() string {
	switch s {
	case LockSuccess:
		return "SUCCESS"
	case LockBlocked:
		return "BLOCKED"
	case LockError:
		return "ERROR"
	case LockGrace:
		return "GRACE"
	}
	return "LockStatus(" + strconv.Itoa(int(s)) + ")"
}

type bitName struct {
	bit  uint64
	name string
}

// bitString joins the names of the bits that are set in v, and what has no name.
func bitString(v uint64, zero string, names []bitName) string {
	if v == 0 {
		return zero
	}
	var parts []string
	for _, n := range names {
		if v&n.bit != 0 {
			parts = append(parts, n.name)
			v &^= n.bit
		}
	}
	if v != 0 {
		parts = append(parts, "0x"+strconv.FormatUint(v, 16))
	}
	return strings.Join(parts, "|")
}
