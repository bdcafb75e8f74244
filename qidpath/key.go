// SPDX-License-Identifier: Apache-2.0

package qidpath

// Key names one prefix: a file system and the top 16 bits of inode numbers on it.
type Key struct {
	Dev       uint64 // st_dev
	InoPrefix uint16 // st_ino >> 48
}

const (
	inoBits = 48 // bits of an inode number that a path keeps
	inoMask = 1<<inoBits - 1
)

// keyOf returns the key whose prefix (dev, ino) has.
func keyOf(dev, ino uint64) Key {
	return Key{Dev: dev, InoPrefix: uint16(ino >> inoBits)}
}
