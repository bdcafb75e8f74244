// SPDX-License-Identifier: Apache-2.0

package ninep

import (
	"bytes"
	"math"
	"strconv"

	"golang.org/x/sys/unix"
)

// parseDecimal is the number that text is, in decimal and without a sign. It reports
// false for everything else, also for what does not fit in 32 bits.
func parseDecimal(text []byte) (uint32, bool) {
	n := uint64(0)
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n = 10*n + uint64(c-'0'); n > math.MaxUint32 {
			return 0, false
		}
	}
	return uint32(n), len(text) > 0
}

// parseDevice takes the extension of a Tcreate with DMDevice apart: "c 4 64" or
// "b 8 1".
func parseDevice(ext Name) (mode, major, minor uint32, err error) {
	kind, rest, _ := bytes.Cut(ext, []byte{' '})
	first, second, _ := bytes.Cut(rest, []byte{' '})
	major, ok1 := parseDecimal(first)
	minor, ok2 := parseDecimal(second)
	switch {
	case string(kind) == "c":
		mode = unix.S_IFCHR
	case string(kind) == "b":
		mode = unix.S_IFBLK
	}
	if mode == 0 || !ok1 || !ok2 || major >= 1<<majorBits || minor >= 1<<minorBits {
		return 0, 0, 0, unix.EINVAL
	}
	return mode, major, minor, nil
}

// appendDevice is the inverse of parseDevice.
func appendDevice(b []byte, mode uint32, dev uint64) []byte {
	kind := "b "
	if mode&unix.S_IFMT == unix.S_IFCHR {
		kind = "c "
	}
	major, minor := DecodeDev(dev)
	b = strconv.AppendUint(append(b, kind...), uint64(major), 10)
	return strconv.AppendUint(append(b, ' '), uint64(minor), 10)
}

// parseLink returns the fid that the extension of a Tcreate with DMLink names.
// Linux ends the number with a newline.
func parseLink(ext Name) (uint32, error) {
	fid, ok := parseDecimal(bytes.TrimSuffix(ext, []byte{'\n'}))
	if !ok || fid == NoFID {
		return 0, unix.EINVAL
	}
	return fid, nil
}

// appendLinkCount is the extension of files and directories: how Linux' client
// learns the number of links. QEMU was first to send it.
func appendLinkCount(b []byte, n uint64) []byte {
	return strconv.AppendUint(append(b, "HARDLINKCOUNT "...), n, 10)
}
