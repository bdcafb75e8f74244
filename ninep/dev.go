// SPDX-License-Identifier: Apache-2.0

package ninep

// Widths of device numbers in Linux.
const (
	majorBits = 12
	minorBits = 20
)

// EncodeDev returns the form of a device number that Attr.RDev has on the wire:
// that of the kernel's new_encode_dev, which keeps the low 8 bits of the minor
// number below the major number and puts the others above it.
func EncodeDev(major, minor uint32) uint64 {
	return uint64(minor&0xff | major<<8 | (minor&^0xff)<<12)
}

// DecodeDev is the inverse of EncodeDev.
func DecodeDev(dev uint64) (major, minor uint32) {
	return uint32(dev>>8) & 0xfff, uint32(dev&0xff) | uint32(dev>>12)&0xfff00
}
