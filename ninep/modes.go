// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"golang.org/x/sys/unix"
)

// Perm is the mode word of a Stat and of a Tcreate: permission bits, and what kind
// of file it is.
type Perm uint32

// Bits of a Perm. Those from DMSymlink on are 9P2000.u's; some have the place of
// what they mean in a QIDType, 24 bits higher.
const (
	DMDir       Perm = 0x80000000
	DMAppend    Perm = 0x40000000
	DMExcl      Perm = 0x20000000
	DMMount     Perm = 0x10000000
	DMAuth      Perm = 0x08000000
	DMTmp       Perm = 0x04000000
	DMSymlink   Perm = 0x02000000
	DMLink      Perm = 0x01000000
	DMDevice    Perm = 0x00800000
	DMNamedPipe Perm = 0x00200000
	DMSocket    Perm = 0x00100000
	DMSetUID    Perm = 0x00080000
	DMSetGID    Perm = 0x00040000
	DMSetVTX    Perm = 0x00010000

	permBits  Perm = 0o777
	typeBits       = DMDir | DMSymlink | DMLink | DMDevice | DMNamedPipe | DMSocket
	setIDBits      = DMSetUID | DMSetGID | DMSetVTX
	// What no file here can be: append-only and exclusive-use files, which would
	// have to be so for everybody, and what only a server can make.
	foreignBits = DMAppend | DMExcl | DMMount | DMAuth
)

// permOf returns the Perm of a file with the mode.
func permOf(mode uint32, d Dialect) Perm {
	p := Perm(mode) & permBits
	if mode&unix.S_IFMT == unix.S_IFDIR {
		p |= DMDir
	}
	if d == Dialect2000 {
		return p
	}
	switch mode & unix.S_IFMT {
	case unix.S_IFLNK:
		p |= DMSymlink
	case unix.S_IFCHR, unix.S_IFBLK:
		p |= DMDevice
	case unix.S_IFIFO:
		p |= DMNamedPipe
	case unix.S_IFSOCK:
		p |= DMSocket
	}
	if mode&unix.S_ISUID != 0 {
		p |= DMSetUID
	}
	if mode&unix.S_ISGID != 0 {
		p |= DMSetGID
	}
	if mode&unix.S_ISVTX != 0 {
		p |= DMSetVTX
	}
	return p
}

// mode returns the permission bits that p says, set-id bits included. Some clients
// have those also where Unix has them.
func (p Perm) mode() uint32 {
	m := uint32(p) & permMask
	if p&DMSetUID != 0 {
		m |= unix.S_ISUID
	}
	if p&DMSetGID != 0 {
		m |= unix.S_ISGID
	}
	if p&DMSetVTX != 0 {
		m |= unix.S_ISVTX
	}
	return m
}

// check refuses bits that the dialect does not have, or that cannot be kept.
func (p Perm) check(d Dialect) error {
	known := permBits | DMDir | DMTmp
	if d != Dialect2000 {
		known |= Perm(permMask) | typeBits | setIDBits
	}
	switch {
	case p&foreignBits != 0:
		return unix.EOPNOTSUPP
	case p&^known != 0:
		return unix.EINVAL
	}
	return nil
}

// OpenMode is the mode byte of a Topen or Tcreate.
type OpenMode uint8

// Access modes, and bits besides.
const (
	ORead   OpenMode = 0
	OWrite  OpenMode = 1
	ORdWr   OpenMode = 2
	OExec   OpenMode = 3 // the same as ORead: who may is the client's business
	OTrunc  OpenMode = 0x10
	OCExec  OpenMode = 0x20 // means something to clients only
	ORClose OpenMode = 0x40 // remove the file when the fid is clunked
	OAppend OpenMode = 0x80 // 9P2000.u, from Linux

	oAccess OpenMode = 3
)

// flags returns what File.Open is given for m, but for truncation.
func (m OpenMode) flags(d Dialect) (uint32, error) {
	known := oAccess | OTrunc | OCExec | ORClose
	if d != Dialect2000 {
		known |= OAppend
	}
	if m&^known != 0 {
		return 0, unix.EINVAL
	}
	flags := uint32(unix.O_RDONLY)
	switch m & oAccess {
	case OWrite:
		flags = unix.O_WRONLY
	case ORdWr:
		flags = unix.O_RDWR
	}
	if m&OAppend != 0 {
		flags |= unix.O_APPEND
	}
	return flags, nil
}

// writes reports whether m is for more than reading.
func (m OpenMode) writes() bool {
	return m&oAccess == OWrite || m&oAccess == ORdWr || m&(OTrunc|ORClose) != 0
}
