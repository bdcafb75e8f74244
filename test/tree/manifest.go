// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func timespec(t time.Time) unix.Timespec {
	return unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}

// Manifest writes a line about everything in root, in the order of the names: type,
// mode, owners, link count, size, times to the nanosecond, device number, whether the
// file has holes, a hash of the content or a link's target, the user.* attributes, and
// for a file with several names the first of them.
//
// Link counts of folders are those of a file system that counts subfolders (ext4, XFS,
// tmpfs).
func Manifest(w io.Writer, root string) error {
	first := map[[2]uint64]string{}
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		line, err := describe(path, d.Type(), quote(name), first)
		if err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
		_, err = io.WriteString(w, line+"\n")
		return err
	})
}

// quote writes a name without white space.
func quote(name string) string { return strings.ReplaceAll(strconv.Quote(name), " ", `\x20`) }

// kinds are the letters of the types. The second is what the folder says of them.
var kinds = map[uint32]struct {
	letter string
	dirent fs.FileMode
}{
	unix.S_IFREG: {"-", 0}, unix.S_IFDIR: {"d", fs.ModeDir}, unix.S_IFLNK: {"l", fs.ModeSymlink},
	unix.S_IFIFO: {"p", fs.ModeNamedPipe}, unix.S_IFSOCK: {"s", fs.ModeSocket},
	unix.S_IFCHR: {"c", fs.ModeDevice | fs.ModeCharDevice}, unix.S_IFBLK: {"b", fs.ModeDevice},
}

func describe(path string, dirent fs.FileMode, name string, first map[[2]uint64]string) (string, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return "", err
	}
	kind := kinds[st.Mode&unix.S_IFMT].letter
	if want := kinds[st.Mode&unix.S_IFMT].dirent; dirent != want {
		return "", fmt.Errorf("the folder says that the type is %v, stat says %v", dirent, want)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s%04o %d:%d links=%d mtime=%d.%09d atime=%d.%09d", name, kind, st.Mode&0o7777,
		st.Uid, st.Gid, st.Nlink, st.Mtim.Sec, st.Mtim.Nsec, st.Atim.Sec, st.Atim.Nsec)
	switch kind {
	case "-":
		holes := ""
		if st.Blocks*512+64<<10 < st.Size {
			holes = " holes"
		}
		sum, err := hash(path, st.Size)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, " size=%d%s sum=%s", st.Size, holes, sum)
	case "l":
		to, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, " size=%d to=%s", st.Size, quote(to))
	case "c", "b":
		fmt.Fprintf(&b, " dev=%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	}
	if kind == "-" || kind == "d" {
		attrs, err := xattrs(path)
		if err != nil {
			return "", err
		}
		b.WriteString(attrs)
	}
	if kind != "d" && st.Nlink > 1 {
		key := [2]uint64{st.Dev, st.Ino}
		if _, ok := first[key]; !ok {
			first[key] = name
		}
		fmt.Fprintf(&b, " same=%s", first[key])
	}
	return b.String(), nil
}

var zeros [4096]byte

// hash sums up the blocks of a file that are not all zero, with their offsets.
func hash(path string, size int64) (string, error) {
	flags := unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	fd, err := unix.Open(path, flags|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) {
		fd, err = unix.Open(path, flags, 0)
	}
	if err != nil {
		return "", err
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	h := sha256.New()
	buf := make([]byte, min(1<<20, max(size, 4096)))
	total := int64(0)
	for {
		n, err := io.ReadFull(f, buf)
		for block := range slices.Chunk(buf[:n], 4096) {
			if !bytes.Equal(block, zeros[:len(block)]) {
				h.Write(binary.LittleEndian.AppendUint64(nil, uint64(total)))
				h.Write(block)
			}
			total += int64(len(block))
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return "", err
		}
	}
	if total != size {
		return "", fmt.Errorf("stat says %d bytes, %d could be read", size, total)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:12]), nil
}

// xattrs lists the user.* attributes, but not those of the daemon's own table.
func xattrs(path string) (string, error) {
	list := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, list)
	if errors.Is(err, unix.ENOTSUP) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("listxattr: %w", err)
	}
	names := strings.Split(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00")
	slices.Sort(names)
	var b strings.Builder
	value := make([]byte, 64<<10)
	for _, name := range names {
		if !strings.HasPrefix(name, "user.") || strings.HasPrefix(name, "user.virtfs.") {
			continue
		}
		n, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return "", fmt.Errorf("getxattr %s: %w", name, err)
		}
		fmt.Fprintf(&b, " %s=%x", quote(name), sha256.Sum256(value[:n]))
	}
	return b.String(), nil
}

// Compare returns the first lines in which two manifests differ, or nil.
func Compare(want, got string) error {
	w, g := lines(want), lines(got)
	var diff []string
	for name, line := range w {
		if other, ok := g[name]; !ok {
			diff = append(diff, "missing: "+line)
		} else if other != line {
			diff = append(diff, "want: "+line+"\n got: "+other)
		}
	}
	for name, line := range g {
		if _, ok := w[name]; !ok {
			diff = append(diff, "surplus: "+line)
		}
	}
	if len(diff) == 0 {
		if want == "" {
			return errors.New("the manifests are empty")
		}
		return nil
	}
	slices.Sort(diff)
	return fmt.Errorf("%d of %d lines differ:\n%s", len(diff), len(w), strings.Join(diff[:min(len(diff), 12)], "\n"))
}

// lines indexes a manifest by name.
func lines(manifest string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(manifest) {
		line = strings.TrimSuffix(line, "\n")
		name, _, _ := strings.Cut(line, " ")
		m[name] = line
	}
	return m
}
