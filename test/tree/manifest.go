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
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	m := &manifest{w: w, first: map[[2]uint64]string{}}
	if err := m.entry(fd, ".", fs.ModeDir, "."); err != nil {
		return err
	}
	return m.folder(os.NewFile(uintptr(fd), root), "")
}

// manifest is one in the making. Files are reached by their folders' descriptors: a
// path would have to be walked again for each call.
type manifest struct {
	w     io.Writer
	first map[[2]uint64]string // the first name of each inode with several
}

// folder describes what is in a folder, which it closes.
func (m *manifest) folder(dir *os.File, path string) error {
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return fmt.Errorf("%q: %w", path, err)
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, e := range entries {
		below := path + e.Name()
		if err := m.entry(int(dir.Fd()), e.Name(), e.Type(), below); err != nil {
			return err
		}
		if !e.IsDir() {
			continue
		}
		fd, err := unix.Openat(int(dir.Fd()), e.Name(), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("%q: %w", below, err)
		}
		if err := m.folder(os.NewFile(uintptr(fd), below), below+"/"); err != nil {
			return err
		}
	}
	return nil
}

// entry writes the line of one name in a folder.
func (m *manifest) entry(dir int, name string, dirent fs.FileMode, path string) error {
	line, err := m.describe(dir, name, dirent, quote(path))
	if err != nil {
		return fmt.Errorf("%q: %w", path, err)
	}
	_, err = io.WriteString(m.w, line+"\n")
	return err
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

func (m *manifest) describe(dir int, name string, dirent fs.FileMode, path string) (string, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return "", err
	}
	kind := kinds[st.Mode&unix.S_IFMT].letter
	if want := kinds[st.Mode&unix.S_IFMT].dirent; dirent != want {
		return "", fmt.Errorf("the folder says that the type is %v, stat says %v", dirent, want)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s%04o %d:%d links=%d mtime=%d.%09d atime=%d.%09d", path, kind, st.Mode&0o7777,
		st.Uid, st.Gid, st.Nlink, st.Mtim.Sec, st.Mtim.Nsec, st.Atim.Sec, st.Atim.Nsec)
	switch kind {
	case "l":
		to := make([]byte, 8192)
		n, err := unix.Readlinkat(dir, name, to)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, " size=%d to=%s", st.Size, quote(string(to[:n])))
	case "c", "b":
		fmt.Fprintf(&b, " dev=%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	case "-", "d":
		f, err := openQuietly(dir, name)
		if err != nil {
			return "", err
		}
		defer f.Close()
		if kind == "-" {
			holes := ""
			if st.Blocks*512+64<<10 < st.Size {
				holes = " holes"
			}
			sum, err := hash(f, st.Size)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&b, " size=%d%s sum=%s", st.Size, holes, sum)
		}
		attrs, err := xattrs(int(f.Fd()))
		if err != nil {
			return "", err
		}
		b.WriteString(attrs)
	}
	if kind != "d" && st.Nlink > 1 {
		key := [2]uint64{st.Dev, st.Ino}
		if _, ok := m.first[key]; !ok {
			m.first[key] = path
		}
		fmt.Fprintf(&b, " same=%s", m.first[key])
	}
	return b.String(), nil
}

// openQuietly opens a file without a change of its access time, where that is allowed.
func openQuietly(dir int, name string) (*os.File, error) {
	flags := unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	fd, err := unix.Openat(dir, name, flags|unix.O_NOATIME, 0)
	if errors.Is(err, unix.EPERM) {
		fd, err = unix.Openat(dir, name, flags, 0)
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

var zeros [4096]byte

// hash sums up the blocks of a file that are not all zero, with their offsets.
func hash(f *os.File, size int64) (string, error) {
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
func xattrs(fd int) (string, error) {
	list := make([]byte, 64<<10)
	n, err := unix.Flistxattr(fd, list)
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
		n, err := unix.Fgetxattr(fd, name, value)
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
