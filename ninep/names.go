// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// nameUse is what a name is given for; it decides what "." and ".." mean.
type nameUse uint8

const (
	nameWalk   nameUse = iota // an element of a Twalk
	nameCreate                // a new entry
	nameUnlink                // an entry to be removed
	nameRename                // either side of a rename
)

// checkName is the one place where file names from the peer are judged. The
// errors are QEMU's, but for names that are too long, which it leaves to the host.
//
// A Twalk of "." is refused with ENOENT: no file has that name, the Linux client
// never sends it (it clones a fid with no names at all), and a server that takes
// it has one more way to name a directory.
func checkName(n Name, use nameUse) error {
	switch {
	case len(n) == 0 || bytes.IndexByte(n, '/') >= 0 || bytes.IndexByte(n, 0) >= 0:
		return unix.ENOENT
	case len(n) > maxName:
		return unix.ENAMETOOLONG
	}
	dot, dotdot := len(n) == 1 && n[0] == '.', len(n) == 2 && n[0] == '.' && n[1] == '.'
	if !dot && !dotdot {
		return nil
	}
	switch use {
	case nameWalk:
		if dot {
			return unix.ENOENT
		}
		return nil
	case nameUnlink:
		if dot {
			return unix.EINVAL
		}
		return unix.ENOTEMPTY
	case nameRename:
		return unix.EISDIR
	default:
		return unix.EEXIST
	}
}

// checkTarget judges the target of a new symlink, as symlink(2) does.
func checkTarget(n Name) error {
	switch {
	case len(n) == 0:
		return unix.ENOENT
	case len(n) > maxPath:
		return unix.ENAMETOOLONG
	case bytes.IndexByte(n, 0) >= 0:
		return unix.EINVAL
	}
	return nil
}

// checkXattrName judges the name of an extended attribute, as setxattr(2) does;
// the backend knows which namespaces there are.
func checkXattrName(n Name) error {
	switch {
	case len(n) == 0 || len(n) > maxName:
		return unix.ERANGE
	case bytes.IndexByte(n, 0) >= 0:
		return unix.EINVAL
	}
	return nil
}
