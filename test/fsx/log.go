// SPDX-License-Identifier: Apache-2.0

package fsx

import (
	"fmt"
	"strings"
)

// entry is an operation that was made.
type entry struct {
	number int
	text   string
	inode  *inode // the file it was about; nil for others
	lo, hi int64  // the bytes it was about
}

// log remembers operations.
type log struct{ entries []entry }

const (
	// showLast is how many of the last operations a report has.
	showLast = 60
	// showTouching is how many of the operations on the differing bytes.
	showTouching = 40
)

// difference is an error about bytes of a file.
type difference struct {
	what   string
	inode  *inode
	off    int64 // of the first differing byte
	got    []byte
	want   []byte
	amount int
}

// compare returns a difference, if there is one, between bytes that were read at an
// offset and those that should be there.
func compare(what string, i *inode, off int64, got, want []byte) error {
	if len(got) != len(want) {
		return &difference{what: fmt.Sprintf("%s has %d bytes, want %d", what, len(got), len(want)), inode: i, off: off + int64(min(len(got), len(want)))}
	}
	first, amount := -1, 0
	for n := range got {
		if got[n] != want[n] {
			if first < 0 {
				first = n
			}
			amount++
		}
	}
	if first < 0 {
		return nil
	}
	end := min(first+16, len(got))
	return &difference{what: what, inode: i, off: off + int64(first), got: got[first:end], want: want[first:end], amount: amount}
}

func (d *difference) Error() string {
	if d.amount == 0 {
		return d.what
	}
	return fmt.Sprintf("%s: %d bytes differ from offset %d (%#x) on: % x, want % x", d.what, d.amount, d.off, d.off, d.got, d.want)
}

// report describes the operations that led to an error.
func (l *log) report(err error) string {
	var b strings.Builder
	write := func(entries []entry) {
		for _, e := range entries {
			fmt.Fprintf(&b, "%6d %s\n", e.number, e.text)
		}
	}
	if d, ok := err.(*difference); ok {
		var touching []entry
		for _, e := range l.entries {
			if e.inode == d.inode && e.lo <= d.off && d.off < e.hi {
				touching = append(touching, e)
			}
		}
		fmt.Fprintf(&b, "operations on file %d at offset %d:\n", d.inode.id, d.off)
		write(touching[max(0, len(touching)-showTouching):])
	}
	fmt.Fprintln(&b, "the last operations:")
	write(l.entries[max(0, len(l.entries)-showLast):])
	return b.String()
}
