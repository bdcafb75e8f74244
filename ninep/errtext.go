// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"strconv"

	"golang.org/x/sys/unix"
)

// appendErrorText appends what strerror(3) says of e, which is what clients of
// 9P2000 know an error by: Linux has a table of these texts.
func appendErrorText(b []byte, e unix.Errno) []byte {
	if unix.ErrnoName(e) == "" {
		return strconv.AppendUint(append(b, "Unknown error "...), uint64(e), 10)
	}
	start := len(b)
	b = append(b, e.Error()...)
	// Go's texts are strerror's, but begin with a small letter.
	if c := b[start]; 'a' <= c && c <= 'z' {
		b[start] = c - 'a' + 'A'
	}
	return b
}

// errnoOfText is the inverse of appendErrorText; EIO for what is no such text.
func errnoOfText(text []byte) unix.Errno {
	for e := unix.Errno(1); e <= unix.EHWPOISON; e++ {
		if string(appendErrorText(nil, e)) == string(text) {
			return e
		}
	}
	return unix.EIO
}
