// SPDX-License-Identifier: Apache-2.0

package fsid

import (
	"bytes"
	"iter"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Mount is a line of /proc/self/mountinfo.
type Mount struct {
	ID, Parent uint32
	Dev        uint64 // st_dev of the file system; btrfs' files have others
	Root       string // what of the file system is mounted
	Point      string // the mount point, an absolute path
	Type       string // such as "ext4"
	Source     string // such as "/dev/sda1"
}

// Mounts returns the mounts in the text of /proc/self/mountinfo. Lines that it
// cannot read are left out.
func Mounts(mountinfo []byte) iter.Seq[Mount] {
	return func(yield func(Mount) bool) {
		for line := range bytes.Lines(mountinfo) {
			if m, ok := parseMount(string(line)); ok && !yield(m) {
				return
			}
		}
	}
}

// parseMount reads a line:
//
//	36 35 98:0 /root /mnt/point rw,noatime shared:1 - ext3 /dev/root rw
func parseMount(line string) (m Mount, ok bool) {
	head, tail, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
	fields, source := strings.Split(head, " "), strings.Split(tail, " ")
	if !ok || len(fields) < 6 || len(source) < 2 {
		return Mount{}, false
	}
	major, minor, ok := strings.Cut(fields[2], ":")
	if !ok {
		return Mount{}, false
	}
	var numbers [4]uint32
	for i, s := range []string{fields[0], fields[1], major, minor} {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil {
			return Mount{}, false
		}
		numbers[i] = uint32(n)
	}
	return Mount{
		ID:     numbers[0],
		Parent: numbers[1],
		Dev:    unix.Mkdev(numbers[2], numbers[3]),
		Root:   unescape(fields[3]),
		Point:  unescape(fields[4]),
		Type:   unescape(source[0]),
		Source: unescape(source[1]),
	}, true
}

// unescape undoes the kernel's \ooo for white space and backslashes.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if v, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(v))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// Below reports whether a mount point is path or below it, and if so where: "." is
// path itself. Both are absolute and clean.
func (m *Mount) Below(path string) (rel string, ok bool) {
	if path == "/" {
		path = ""
	}
	rest, ok := strings.CutPrefix(m.Point, path)
	switch {
	case !ok:
		return "", false
	case rest == "" || rest == "/":
		return ".", true
	case rest[0] != '/':
		return "", false
	}
	return rest[1:], true
}
