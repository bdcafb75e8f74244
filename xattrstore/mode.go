// SPDX-License-Identifier: Apache-2.0

package xattrstore

import "fmt"

// Mode says in which places a table may be.
type Mode uint8

const (
	ModeAuto  Mode = iota // the root's attributes and, if they will not do, the file
	ModeXattr             // the root's attributes
	ModeFile              // the file; a table in the attributes is taken over if there is none
)

var modeNames = [...]string{
	ModeAuto:  "auto",
	ModeXattr: "xattr",
	ModeFile:  "file",
}

// ParseMode returns the mode that String calls name.
func ParseMode(name string) (Mode, error) {
	for m, n := range modeNames {
		if n == name {
			return Mode(m), nil
		}
	}
	return 0, fmt.Errorf("%q is none of %q", name, modeNames)
}

// String returns the mode's name.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("mode(%#x)", uint8(m))
}

// The places that a table can be in.
const (
	PlaceXattr = "xattr" // extended attributes of the export's root
	PlaceFile  = "file"  // a file in the state directory
)
