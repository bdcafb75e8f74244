// SPDX-License-Identifier: Apache-2.0

package qidpath

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// Identity tells a file system from all others, and stays the same when it gets
// another device number: a UUID or the like. The zero Identity is none.
//
// A file system without one is told by its device number for as long as it has
// that; DeviceIdentity makes an Identity of it.
type Identity [16]byte

// deviceMark begins the identities that device numbers are made into. No UUID
// begins so (its version would be 15).
const deviceMark = 1<<64 - 1

// DeviceIdentity returns what stands for a file system that only has a device
// number, st_dev.
func DeviceIdentity(dev uint64) (id Identity) {
	binary.LittleEndian.PutUint64(id[:8], deviceMark)
	binary.LittleEndian.PutUint64(id[8:], dev)
	return id
}

// Device returns the device number that id was made of, if it was.
func (id Identity) Device() (dev uint64, ok bool) {
	return binary.LittleEndian.Uint64(id[8:]), binary.LittleEndian.Uint64(id[:8]) == deviceMark
}

// IsZero reports whether id is none.
func (id Identity) IsZero() bool { return id == Identity{} }

// String returns 32 hexadecimal digits, or "device MAJOR:MINOR", or "none".
func (id Identity) String() string {
	if id.IsZero() {
		return "none"
	}
	if dev, ok := id.Device(); ok {
		return fmt.Sprintf("device %d:%d", devMajor(dev), devMinor(dev))
	}
	return hex.EncodeToString(id[:])
}

// devMajor and devMinor take apart what makedev(3) makes.
func devMajor(dev uint64) uint64 { return dev>>8&0xfff | dev>>32&0xfffff000 }
func devMinor(dev uint64) uint64 { return dev&0xff | dev>>12&0xffffff00 }

// Key names one prefix: a file system and the top 16 bits of inode numbers on it.
type Key struct {
	FS        Identity // never zero
	InoPrefix uint16   // st_ino >> 48
}

// Element is one entry of the table of prefixes; the i-th, from 0, has prefix i+1.
type Element struct {
	Key

	// Dev is st_dev when the file system was first seen. If FS is an identity
	// of its own it is a mere label, which decides nothing but which of two
	// copies of a file system is the one that was seen.
	Dev uint64

	// Unproven is set where FS is only Dev, because that is all that was stored
	// (by a version without identities): the file system that has the number Dev
	// when it is first seen, whatever its identity is, is taken for this one.
	Unproven bool
}

const (
	inoBits = 48 // bits of an inode number that a path keeps
	inoMask = 1<<inoBits - 1
)
