// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Generate makes the tree in root, which must not exist. It needs root's privileges:
// files get other owners, and there are device nodes among them.
func Generate(root string, s Spec) error {
	defer unix.Umask(unix.Umask(0))
	list := s.entries()
	for _, e := range list {
		if err := e.create(root); err != nil {
			return fmt.Errorf("making %q: %w", e.path, err)
		}
	}
	// A folder's times change with what is made in it, and its mode may forbid that.
	for _, e := range slices.Backward(list) {
		if e.kind == 0 {
			continue
		}
		if err := e.finish(root); err != nil {
			return fmt.Errorf("finishing %q: %w", e.path, err)
		}
	}
	return nil
}

// create makes the name and the content.
func (e *entry) create(root string) error {
	path := filepath.Join(root, e.path)
	switch e.kind {
	case 0:
		return unix.Linkat(unix.AT_FDCWD, filepath.Join(root, e.link), unix.AT_FDCWD, path, 0)
	case unix.S_IFDIR:
		return unix.Mkdir(path, 0o700)
	case unix.S_IFLNK:
		return unix.Symlink(e.link, path)
	case unix.S_IFREG:
		return e.write(path)
	default:
		return unix.Mknod(path, e.kind|0o600, e.dev)
	}
}

// write makes a regular file.
func (e *entry) write(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(e.size); err != nil {
		return err
	}
	h := fnv.New64a()
	h.Write([]byte(e.path))
	buf := make([]byte, 256<<10)
	for _, x := range e.data {
		for n := int64(0); n < x.len; n += int64(len(buf)) {
			part := buf[:min(int64(len(buf)), x.len-n)]
			fill(h.Sum64(), x.off+n, part)
			if _, err := f.WriteAt(part, x.off+n); err != nil {
				return err
			}
		}
	}
	return f.Close()
}

// finish sets everything but the content. Changing the owner clears set-id bits, so
// the mode comes after it.
func (e *entry) finish(root string) error {
	path := filepath.Join(root, e.path)
	if err := unix.Lchown(path, e.uid, e.gid); err != nil {
		return fmt.Errorf("chown: %w", err)
	}
	for name, value := range e.xattrs {
		if err := unix.Setxattr(path, name, value, 0); err != nil {
			return fmt.Errorf("setxattr %s: %w", name, err)
		}
	}
	if e.kind != unix.S_IFLNK {
		if err := unix.Chmod(path, e.mode); err != nil {
			return fmt.Errorf("chmod: %w", err)
		}
	}
	times := []unix.Timespec{timespec(e.atime), timespec(e.mtime)}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("utimensat: %w", err)
	}
	return nil
}
