// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// metadata is what a mapped model keeps of a file: what the guest sees in place of what
// the host's inode says.
type metadata struct {
	has            metaField
	uid, gid, mode uint32 // mode with S_IFMT
	rdev           uint64 // as makedev(3) builds it

	// Of a record apart from the inode (fileMeta): a number that changes when the record
	// does, when that was, and the links that the model adds to a directory.
	version  uint32
	changed  unix.StatxTimestamp
	ownLinks uint32
}

// metaField is a set of fields of metadata.
type metaField uint8

const (
	metaUID metaField = 1 << iota
	metaGID
	metaMode
	metaRDev
	// metaType, to load, is metaMode where the host's inode leaves the type open.
	metaType
	// metaLinks, to load, is ownLinks.
	metaLinks

	metaAll = metaUID | metaGID | metaMode | metaRDev
)

// metaStore is where a mapped model keeps metadata. Its methods are called by any number
// of threads at once.
type metaStore interface {
	// load returns what is kept of m, at least of the fields in want.
	load(t *thread, m *mapped, want metaField) (metadata, unix.Errno)
	// save changes the fields that set has.
	save(t *thread, m *mapped, set *metadata) unix.Errno
	// put stores md for what was just made, and fd (not O_PATH) is. EEXIST if that is not
	// what fd is, since it has metadata.
	put(fd int32, md *metadata) unix.Errno
}

// at returns the field as a number.
func (md *metadata) at(f metaField) uint64 {
	switch f {
	case metaUID:
		return uint64(md.uid)
	case metaGID:
		return uint64(md.gid)
	case metaMode:
		return uint64(md.mode)
	}
	return md.rdev
}

// set gives md the field.
func (md *metadata) set(f metaField, v uint64) {
	switch f {
	case metaUID:
		md.uid = uint32(v)
	case metaGID:
		md.gid = uint32(v)
	case metaMode:
		md.mode = uint32(v)
	case metaRDev:
		md.rdev = v
	}
	md.has |= f
}

// modeOf returns the mode that the guest sees of an inode with the mode host. Metadata says
// what a regular file stands for; what is something else on the host is that.
func (md *metadata) modeOf(host uint32) uint32 {
	if md.has&metaMode == 0 {
		return host
	}
	typ := host & unix.S_IFMT
	if typ == unix.S_IFREG {
		switch of := md.mode & unix.S_IFMT; of {
		case unix.S_IFLNK, unix.S_IFCHR, unix.S_IFBLK, unix.S_IFIFO, unix.S_IFSOCK:
			typ = of
		}
	}
	return typ | md.mode&0o7777
}

// show puts what md has into attr, in place of the host's.
func (md *metadata) show(attr *ninep.Attr) {
	host := attr.Mode
	attr.Mode = md.modeOf(host)
	if md.has&metaUID != 0 {
		attr.UID = md.uid
	}
	if md.has&metaGID != 0 {
		attr.GID = md.gid
	}
	if (attr.Mode^host)&unix.S_IFMT != 0 {
		attr.RDev = 0
		if md.has&metaRDev != 0 && isDevice(attr.Mode) {
			attr.RDev = ninep.EncodeDev(unix.Major(md.rdev), unix.Minor(md.rdev))
		}
	}
	if attr.NLink > uint64(md.ownLinks) {
		attr.NLink -= uint64(md.ownLinks)
	}
	changed := timeOf(&md.changed)
	if changed.Sec > attr.CTime.Sec || changed.Sec == attr.CTime.Sec && changed.Nsec > attr.CTime.Nsec {
		attr.CTime = changed
	}
}

func isDevice(mode uint32) bool {
	typ := mode & unix.S_IFMT
	return typ == unix.S_IFCHR || typ == unix.S_IFBLK
}

// withoutSetIDs returns the mode as it is after the file got another owner, or after
// somebody wrote to it who may not keep its set-id bits.
func withoutSetIDs(mode uint32) uint32 {
	if mode&unix.S_IFMT == unix.S_IFDIR {
		return mode
	}
	mode &^= unix.S_ISUID
	if mode&unix.S_IXGRP != 0 { // else it stands for mandatory locking
		mode &^= unix.S_ISGID
	}
	return mode
}
