// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Generate makes the tree in root, which must not exist. It needs root's privileges:
// files get other owners, and there are device nodes among them.
func Generate(root string, s Spec) error {
	defer unix.Umask(unix.Umask(0))
	g := generator{root: root, folders: map[string]*os.File{}}
	defer g.close()
	list := s.entries()
	for _, e := range list {
		if err := g.create(&e); err != nil {
			return fmt.Errorf("making %q: %w", e.path, err)
		}
	}
	// A folder's times change with what is made in it, and its mode may forbid that.
	for _, e := range slices.Backward(list) {
		if e.kind == 0 {
			continue
		}
		if err := e.finish(g.path(e.path)); err != nil {
			return fmt.Errorf("finishing %q: %w", e.path, err)
		}
	}
	return nil
}

// generator makes a tree. It holds all folders open, and reaches files by them: a whole
// path would have to be walked for each call.
type generator struct {
	root    string
	folders map[string]*os.File
}

func (g *generator) close() {
	for _, f := range g.folders {
		_ = f.Close()
	}
}

// path returns a path for an entry's.
func (g *generator) path(path string) string {
	if path == "" {
		return g.root
	}
	dir, name := filepath.Split(path)
	return fmt.Sprintf("/proc/self/fd/%d/%s", g.folders[strings.TrimSuffix(dir, "/")].Fd(), name)
}

// create makes the name and the content.
func (g *generator) create(e *entry) error {
	path := g.path(e.path)
	switch e.kind {
	case 0:
		return unix.Linkat(unix.AT_FDCWD, g.path(e.link), unix.AT_FDCWD, path, 0)
	case unix.S_IFDIR:
		err := unix.Mkdir(path, 0o700)
		if err == nil {
			g.folders[e.path], err = os.Open(path)
		}
		return err
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
func (e *entry) finish(path string) error {
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
