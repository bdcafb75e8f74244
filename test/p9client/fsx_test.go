// SPDX-License-Identifier: Apache-2.0

package p9client

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/hugelgupf/p9/linux"
	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"

	"vhost-user-9p/test/fsx"
	"vhost-user-9p/test/rig"
)

// TestFSX makes random operations without a guest's kernel and its caches in between:
// every one of them reaches the daemon.
func TestFSX(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			s := start(t)
			base := fds(t, s.daemon)
			result, err := fsx.Run(client{s.root}, fsx.Config{Seed: seed, Ops: 5000})
			if err != nil {
				t.Fatal(err)
			}
			state, err := fsx.State(s.export)
			must(t, "reading on the host", err)
			if state != result.State {
				t.Errorf("the host has\n%s, want\n%s", state, result.State)
			}
			rig.Eventually(t, rig.Moment, func() error {
				// A node for every file that is left, and its two folders.
				if now := fds(t, s.daemon); now > base+2+strings.Count(state, "\n") {
					return fmt.Errorf("the daemon has %d files open, before %d", now, base)
				}
				return nil
			})
		})
	}
}

// fds counts the daemon's descriptors.
func fds(t *testing.T, d *rig.Daemon) int {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", d.Pid()))
	must(t, "counting the daemon's files", err)
	return len(entries)
}

// client is a fsx.FS by 9P messages.
type client struct{ root p9.File }

// errno is the error of a reply as the host's.
func errno(err error) error {
	var e linux.Errno
	if errors.As(err, &e) {
		return unix.Errno(e)
	}
	return err
}

// walk returns a path's file. The client does not notice a walk that ends early, which
// makes no fid.
func (c client) walk(names ...string) (p9.File, error) {
	qids, f, err := c.root.Walk(names)
	if err == nil && len(qids) < len(names) {
		err = unix.ENOENT
	}
	return f, errno(err)
}

// at calls use with a path's folder and last name.
func (c client) at(path string, use func(dir p9.File, name string) error) error {
	var names []string
	if folder, name, ok := strings.Cut(path, "/"); ok {
		names, path = []string{folder}, name
	}
	dir, err := c.walk(names...)
	if err != nil {
		return err
	}
	return errors.Join(errno(use(dir, path)), dir.Close())
}

// file calls use with a path's file.
func (c client) file(path string, use func(p9.File) error) error {
	f, err := c.walk(strings.Split(path, "/")...)
	if err != nil {
		return err
	}
	return errors.Join(errno(use(f)), f.Close())
}

func (c client) Mkdir(path string) error {
	return c.at(path, func(dir p9.File, name string) error {
		_, err := dir.Mkdir(name, 0o755, p9.NoUID, 0)
		return err
	})
}

// Open does as a kernel: it creates what was not there a moment ago.
func (c client) Open(path string, flags int) (fsx.File, error) {
	const l = unix.O_ACCMODE | unix.O_APPEND | unix.O_TRUNC // numbers that are 9P2000.L's
	f, err := c.walk(strings.Split(path, "/")...)
	switch {
	case err == nil && flags&unix.O_EXCL != 0:
		return nil, errors.Join(unix.EEXIST, f.Close())
	case err == nil:
		if _, _, err := f.Open(p9.OpenFlags(flags & l)); err != nil {
			return nil, errors.Join(errno(err), f.Close())
		}
		return &clientFile{f}, nil
	case errors.Is(err, unix.ENOENT) && flags&unix.O_CREAT != 0:
		err := c.at(path, func(dir p9.File, name string) error {
			_, dir, err := dir.Walk(nil)
			if err != nil {
				return err
			}
			f, _, _, err = dir.Create(name, p9.OpenFlags(flags&l), 0o644, p9.NoUID, 0)
			return err
		})
		if err != nil {
			return nil, err
		}
		return &clientFile{f}, nil
	}
	return nil, err
}

func (c client) Truncate(path string, size int64) error {
	return c.file(path, func(f p9.File) error { return (&clientFile{f}).Truncate(size) })
}

func (c client) Stat(path string) (st fsx.Stat, err error) {
	err = c.file(path, func(f p9.File) (err error) {
		st, err = (&clientFile{f}).Stat()
		return err
	})
	return st, err
}

func (c client) Link(old, to string) error {
	return c.file(old, func(f p9.File) error {
		return c.at(to, func(dir p9.File, name string) error { return dir.Link(f, name) })
	})
}

func (c client) Rename(old, to string) error {
	return c.at(old, func(from p9.File, name string) error {
		return c.at(to, func(dir p9.File, newName string) error { return from.RenameAt(name, dir, newName) })
	})
}

func (c client) Unlink(path string) error {
	return c.at(path, func(dir p9.File, name string) error { return dir.UnlinkAt(name, 0) })
}

func (c client) List(path string) (names []string, err error) {
	err = c.file(path, func(dir p9.File) error {
		if _, _, err := dir.Open(p9.ReadOnly); err != nil {
			return err
		}
		for offset := uint64(0); ; {
			entries, err := dir.Readdir(offset, 200) // few at a time
			if err != nil || len(entries) == 0 {
				return err
			}
			for _, e := range entries {
				if e.Name != "." && e.Name != ".." {
					names = append(names, e.Name)
				}
				offset = e.Offset
			}
		}
	})
	return names, err
}

// clientFile is a fid.
type clientFile struct{ p9.File }

func (f *clientFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, errno(err)
}

func (f *clientFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	return n, errno(err)
}

// Append gives the offset that a Linux client works out where the fid may be read, too:
// the server appends by itself only to one that is written only.
func (f *clientFile) Append(p []byte) (int, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return f.WriteAt(p, st.Size)
}

func (f *clientFile) Truncate(size int64) error {
	return errno(f.SetAttr(p9.SetAttrMask{Size: true}, p9.SetAttr{Size: uint64(size)}))
}

func (f *clientFile) Stat() (fsx.Stat, error) {
	_, _, attr, err := f.GetAttr(p9.AttrMask{Size: true, NLink: true})
	return fsx.Stat{Size: int64(attr.Size), Links: int(attr.NLink)}, errno(err)
}

func (f *clientFile) Sync() error { return errno(f.FSync()) }

func (f *clientFile) Close() error { return errno(f.File.Close()) }
