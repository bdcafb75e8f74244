// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// MultiDevs says what becomes of files that are on another device than the export's
// root: inode numbers alone do not tell them from those that are on it. The names are
// those of QEMU's multidevs.
type MultiDevs uint8

// What can become of them.
const (
	// Remap: the path of a QID is made of device and inode number, and unique.
	Remap MultiDevs = iota
	// Forbid: the path is the inode number, and files on other devices cannot be reached:
	// ENODEV.
	Forbid
	// Warn: the path is the inode number, and where another device is seen the log says
	// that files may be taken for each other.
	Warn
)

var multiDevsNames = [...]string{Remap: "remap", Forbid: "forbid", Warn: "warn"}

func (m MultiDevs) String() string {
	if int(m) < len(multiDevsNames) {
		return multiDevsNames[m]
	}
	return "unknown"
}

// ParseMultiDevs returns the MultiDevs of that name.
func ParseMultiDevs(name string) (MultiDevs, bool) {
	for m, n := range multiDevsNames {
		if n == name {
			return MultiDevs(m), true
		}
	}
	return 0, false
}

// devices is what an FS knows of those it meets.
type devices struct {
	how  MultiDevs
	root uint32      // the export's root is on this one
	told atomic.Bool // that there are others
}

func (fs *FS) inodePath(dev uint32, ino uint64) (uint64, unix.Errno) {
	d := &fs.devices
	if dev == d.root {
		return ino, 0
	}
	first := !d.told.Swap(true)
	if d.how == Forbid {
		if first {
			fs.log.Warn("file on another device than the shared directory refused, and so will others be (multidevs=forbid)",
				"major", dev>>20, "minor", dev&0xfffff, "inode", ino)
		}
		return 0, unix.ENODEV
	}
	if first {
		fs.log.Warn("several devices in the shared directory: files may have the same ID, and guests take one for the other (multidevs=warn)",
			"major", dev>>20, "minor", dev&0xfffff, "inode", ino)
	}
	return ino, 0
}
