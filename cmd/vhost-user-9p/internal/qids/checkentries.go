// SPDX-License-Identifier: Apache-2.0

package qids

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
	"vhost-user-9p/qidpath/fsid"
	"vhost-user-9p/xattrstore"
)

// elements notes what there is to know of the table's entries.
func (c *Check) elements(l *Look) {
	all := l.elements()
	switch n := len(all); {
	case n == 0 && l.table.Err == nil:
		c.note("no-table", "", "It is stored when the first guest looks at a file", "no table is stored")
	case n == qidpath.MaxElements:
		c.note("full", "", "Files on further file systems are numbered one by one, in the state directory",
			"%d entries of %d", n, qidpath.MaxElements)
	case n < qidpath.MaxElements && n >= qidpath.MaxElements/100*nearlyFull:
		c.note("nearly-full", "", "When it is full, files on further file systems are numbered one by one, in the state directory",
			"%d entries of %d", n, qidpath.MaxElements)
	}
	prefixes, order := byKey(all)
	if unproven := slices.ContainsFunc(order, func(k key) bool { return k.unproven }); unproven {
		n := 0
		for k, p := range prefixes {
			if k.unproven {
				n += len(p)
			}
		}
		c.note("unproven", "", "Until a daemon meets these file systems, each entry is for whichever has its device number",
			"%s stored without the identity of a file system", count(n, "entry"))
	}
	for _, k := range order {
		p := prefixes[k]
		if len(p) == qidpath.MaxPrefixesPerFS {
			c.note("many-inode-prefixes", "", "Files whose inode numbers begin otherwise are numbered one by one, in the state directory",
				"%s has %d entries, as many as one file system may have", k, len(p))
		}
		if len(matching(l.mounted, k)) == 0 {
			c.note("not-mounted", "", k.absence(), "%s, %s, is not mounted now", k, list(p))
		}
	}
	c.copies(l.mounted)
}

// byKey returns the prefixes of each key, and the keys in order of their first.
func byKey(elements []qidpath.Element) (prefixes map[key][]int, order []key) {
	prefixes = make(map[key][]int)
	for i, e := range elements {
		k := keyOf(e)
		if prefixes[k] == nil {
			order = append(order, k)
		}
		prefixes[k] = append(prefixes[k], i+1)
	}
	return prefixes, order
}

// list names prefixes.
func list(prefixes []int) string {
	all := strings.Join(strings.Fields(strings.Trim(fmt.Sprint(prefixes), "[]")), ", ")
	if len(prefixes) == 1 {
		return "prefix " + all
	}
	return "prefixes " + all
}

// String names the file system.
func (k key) String() string {
	if dev, ok := k.fs.Device(); ok && !isDevice(dev) {
		return fmt.Sprintf("the file system without a device number (label %#x)", dev)
	} else if ok {
		return "the file system with the device number " + deviceText(dev)
	}
	return "the file system " + k.fs.String()
}

// absence says what it means that the file system is not mounted.
func (k key) absence() string {
	_, device := k.fs.Device()
	switch {
	case [8]byte(k.fs[:8]) == btrfsMark:
		return "When it is mounted again its files have the same IDs. A subvolume of btrfs can be in use without being mounted by itself"
	case !device:
		return "When it is mounted again its files have the same IDs"
	case k.unproven:
		return "The next file system that has this number when a daemon meets it gets these IDs"
	}
	return "A file system without identity that gets this number gets these IDs"
}

// btrfsMark begins the identities of btrfs.
var btrfsMark = func() (b [8]byte) {
	binary.LittleEndian.PutUint32(b[:], unix.BTRFS_SUPER_MAGIC)
	return b
}()

// copies notes file systems of the export that have the same identity.
func (c *Check) copies(mounted []fileSystem) {
	points := make(map[fsid.Identity][]string)
	for _, f := range mounted {
		if f.copied {
			points[f.Identity] = append(points[f.Identity], plain(f.Mount.Point)+" (device "+deviceText(f.Dev)+")")
		}
	}
	for _, f := range mounted {
		if p := points[f.Identity]; f.copied && p != nil {
			delete(points, f.Identity)
			c.note("copies", "", "Only one of them, that under whose device number the identity was first seen, has it; the others are told by their device numbers, and get other IDs under others",
				"the identity %s is that of several file systems of the export: %s", qidpath.Identity(f.Identity), strings.Join(p, ", "))
		}
	}
}

// isDamaged reports whether what is stored may be set aside.
func isDamaged(err error) bool {
	return qidpath.ReasonOf(err) == qidpath.ReasonRejected && !errors.Is(err, xattrstore.ErrTooLong)
}
