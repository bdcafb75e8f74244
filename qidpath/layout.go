// SPDX-License-Identifier: Apache-2.0

package qidpath

import "math/bits"

// Layout says how a prefix, or a number of the full map, and an inode number
// make a path. Which prefix a file system has does not depend on it.
type Layout uint8

const (
	// Prefix is the layout of the patch for QEMU that package xattrstore names:
	//
	//	prefix<<48 | ino&(1<<48-1)       and of the full map n
	Prefix Layout = iota

	// Suffix is what QEMU's multidevs=remap does, for inode numbers below 1<<48
	// and file systems in the same order of first sight. Inode numbers, and with
	// them paths, stay small:
	//
	//	ino&(1<<48-1) << bits | code     and of the full map n<<17 | 0x100
	//
	// where code is the prefix in Exponential-Golomb code (k = 0) with its bits
	// mirrored, and bits is its length: no code ends with another. Prefixes from
	// 256 on, whose codes are too long to leave room for 48 bits, are not used:
	// their files are in the full map, which has the code of 256.
	Suffix
)

var layoutNames = [...]string{Prefix: "prefix", Suffix: "suffix"}

func (l Layout) String() string {
	if int(l) < len(layoutNames) {
		return layoutNames[l]
	}
	return "unknown"
}

// ParseLayout returns the Layout of that name.
func ParseLayout(name string) (Layout, bool) {
	for l, n := range layoutNames {
		if n == name {
			return Layout(l), true
		}
	}
	return 0, false
}

const (
	fullSuffix     = 0x100 // the code of 256
	fullSuffixBits = 17

	// maxSuffix is the highest prefix whose code leaves 48 bits.
	maxSuffix = 255
)

// holds reports whether files can have paths with the prefix p.
func (l Layout) holds(p uint64) bool { return l == Prefix || p <= maxSuffix }

// path returns the path of the file ino whose key has the prefix p.
func (l Layout) path(p, ino uint64) uint64 {
	if l == Prefix {
		return p<<inoBits | ino&inoMask
	}
	n := l.shift(p)
	return ino&inoMask<<n | bits.Reverse64(p)>>(64-n)
}

// shift returns how far to the left the low bits of an inode number stand in paths with the prefix p.
func (l Layout) shift(p uint64) int {
	if l == Prefix {
		return 0
	}
	return 2*bits.Len64(p) - 1
}

// Span is the inode numbers with the same high bits on one device, whose paths differ in the low
// bits alone: it tells them as Table.PathUnsettled does, in a fraction of the time, as long as the
// file system has the device's number. The zero value has nothing.
type Span struct {
	from  uint64 // 1 more than the high bits
	bits  uint64 // of the path, besides those of the inode number
	shift int
}

// Path returns the path of the file ino, and whether the span has it.
func (s Span) Path(ino uint64) (path uint64, ok bool) {
	return ino&inoMask<<(s.shift&63) | s.bits, ino>>inoBits+1 == s.from
}

// fullPath returns the path of the file that has number n of the full map.
func (l Layout) fullPath(n uint64) uint64 {
	if l == Prefix {
		return n
	}
	return n<<fullSuffixBits | fullSuffix
}
