// SPDX-License-Identifier: Apache-2.0

package cases

import "slices"

// Kind is what the guest asks for.
type Kind int

// Kinds. What each counts as one operation stands in docs/performance.md.
const (
	Getattr Kind = iota
	Walk         // to a file, and forget it
	Missing      // walk to a name that is not there
	Open         // and close
	Create       // and unlink
	Mkdir        // and rmdir
	Rename       // there and back: two operations
	Readdir      // a whole listing
	Read
	Write
	Fsync // of a file that was written to
	Mixed // reads, with an Fsync of another file now and then
)

// Case is one thing to measure.
type Case struct {
	Name string
	Kind Kind

	Names      int  // that are walked
	Size       int  // of each read or write; Largest: as much as a message carries
	Msize      int  // of 9P, if not DefaultMsize
	Sequential bool // reads and writes, else at random
}

const (
	// Largest is the Size of messages as large as the protocol has them: 9P's msize,
	// FUSE's 256 pages.
	Largest = -1

	// DefaultMsize is the largest that Linux uses over virtio.
	DefaultMsize = 512000
	// LargeMsize is for what a driver could do that was not bound by it.
	LargeMsize = 4 << 20

	// SyncEvery is how many operations of a Mixed case there are for each Fsync.
	SyncEvery = 100

	page = 4096
)

// All lists the cases.
var All = []Case{
	{Name: "getattr", Kind: Getattr},
	{Name: "walk 1", Kind: Walk, Names: 1},
	{Name: "walk 8", Kind: Walk, Names: 8},
	{Name: "missing name", Kind: Missing},
	{Name: "open+close", Kind: Open},
	{Name: "create+unlink", Kind: Create},
	{Name: "mkdir+rmdir", Kind: Mkdir},
	{Name: "rename", Kind: Rename},
	{Name: "readdir 10000", Kind: Readdir},
	{Name: "read 4 KiB", Kind: Read, Size: page},
	{Name: "write 4 KiB", Kind: Write, Size: page},
	{Name: "read 128 KiB", Kind: Read, Size: 128 << 10, Sequential: true},
	{Name: "write 128 KiB", Kind: Write, Size: 128 << 10, Sequential: true},
	{Name: "read largest", Kind: Read, Size: Largest, Sequential: true},
	{Name: "write largest", Kind: Write, Size: Largest, Sequential: true},
	{Name: "read msize 4 MiB", Kind: Read, Size: Largest, Msize: LargeMsize, Sequential: true},
	{Name: "write msize 4 MiB", Kind: Write, Size: Largest, Msize: LargeMsize, Sequential: true},
	{Name: "fsync", Kind: Fsync, Size: page},
	{Name: "mixed", Kind: Mixed, Size: page},
}

// ByName returns the case of a name, which must be there.
func ByName(name string) Case {
	i := slices.IndexFunc(All, func(c Case) bool { return c.Name == name })
	return All[i]
}

// Operations is how many operations the messages are that a slot sends before it begins
// anew.
func (c Case) Operations() int64 {
	if c.Kind == Rename {
		return 2
	}
	return 1
}

// NinePMsize is the size of messages in 9P.
func (c Case) NinePMsize() int {
	if c.Msize != 0 {
		return c.Msize
	}
	return DefaultMsize
}

// ioHeader is what 9P takes off a message for its header (P9_IOHDRSZ).
const ioHeader = 24

// NinePSize is the number of bytes that a read or write of 9P carries: whole pages.
func (c Case) NinePSize() int {
	if c.Size != Largest {
		return c.Size
	}
	return (c.NinePMsize() - ioHeader) / page * page
}

// FUSESize is the number of bytes that a read or write of FUSE carries.
func (c Case) FUSESize() int {
	if c.Size != Largest {
		return c.Size
	}
	return 256 * page
}

// maxInFlight bounds the payload of all that is in flight.
const maxInFlight = 64 << 20

// Streams reports whether the case is about bytes per second.
func (c Case) Streams() bool { return c.Sequential }

// HasDepth reports whether the case can have so many operations in flight: not more than
// the tree has files for.
func (c Case) HasDepth(depth int) bool {
	switch {
	case c.Kind == Mixed:
		return depth == 16
	case c.Streams():
		return depth <= Streams && depth*max(c.NinePSize(), c.FUSESize()) <= maxInFlight
	}
	return depth <= Slots
}
