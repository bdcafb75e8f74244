// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"bytes"
	"strconv"
)

// Dialect is a version of the protocol.
type Dialect uint8

// The versions that are served.
const (
	DialectNone  Dialect = iota // nothing has been agreed to
	Dialect2000L                // 9P2000.L: Linux
	Dialect2000U                // 9P2000.u: other Unix systems, and Linux before 2011
	Dialect2000                 // 9P2000: Plan 9; .u without its extensions
)

// versions are the dialects as Tversion has them.
var versions = [...]string{
	DialectNone:  "unknown",
	Dialect2000L: "9P2000.L",
	Dialect2000U: "9P2000.u",
	Dialect2000:  "9P2000",
}

// String returns the version as Tversion has it.
func (d Dialect) String() string {
	if int(d) < len(versions) {
		return versions[d]
	}
	return "Dialect(" + strconv.Itoa(int(d)) + ")"
}

// isL reports whether errors are Rlerrors. Linux is the client that a Tversion is
// refused to.
func (d Dialect) isL() bool { return d == Dialect2000L || d == DialectNone }

// negotiate returns the dialect to answer to a client that asks for version. As
// version(5) says, what stands before a period of a version that is not known
// names the version that the client's is an extension of.
func negotiate(version Name) Dialect {
	for {
		for d := Dialect2000L; int(d) < len(versions); d++ {
			if string(version) == versions[d] {
				return d
			}
		}
		i := bytes.LastIndexByte(version, '.')
		if i < 0 {
			return DialectNone
		}
		version = version[:i]
	}
}

// dialectSet says in which dialects a message exists.
type dialectSet uint8

const (
	onlyL   dialectSet = 1 << Dialect2000L
	onlyU   dialectSet = 1<<Dialect2000U | 1<<Dialect2000
	every              = onlyL | onlyU
	anyTime            = 1<<DialectNone | every // also before a version was agreed to
)

func (s dialectSet) has(d Dialect) bool { return s>>d&1 != 0 }
