// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"fmt"
	"strconv"

	"vhost-user-9p/qidpath"
)

// Prefix begins the names of all attributes of this package, which are hidden
// from guests.
const Prefix = qidpath.HiddenPrefix

// series is one of the two streams of a table.
type series struct {
	prefix string // of its attributes
	entry  int    // bytes
}

var (
	elementSeries  = series{Prefix + "system.qidp.", elementSize}
	identitySeries = series{Prefix + "system.qidf.", identitySize}
)

// chunk returns the attribute that holds the stream's chunk i.
func (s series) chunk(i int) string { return s.prefix + strconv.Itoa(i) }

// bad returns the attribute for chunk i of a stream that was set aside.
func (s series) bad(crc uint32, i int) string {
	return fmt.Sprintf("%s%08x.%d", s.badPrefix(), crc, i)
}

func (s series) badPrefix() string { return s.prefix + "bad." }

// size returns how many bytes a stream of n entries has.
func (s series) size(n int) int { return headerSize + n*s.entry }

// StateName begins the names of the files in the state directory that belong to
// the export whose root has the device number dev and the inode number ino. id
// is its file system's identity, or zero.
func StateName(id qidpath.Identity, dev, ino uint64) string {
	if _, ok := id.Device(); ok || id.IsZero() {
		return fmt.Sprintf("dev-%x-%d", dev, ino)
	}
	return fmt.Sprintf("%x-%d", id[:], ino)
}
