// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// openFiles tries what a file that is open must go on doing while its names change.
func openFiles(dir string) error {
	var c checks
	for _, group := range []struct {
		name string
		run  func(*checks, string)
	}{
		{"unlinked", unlinked},
		{"renamed-over", renamedOver},
		{"folder-renamed", folderRenamed},
		{"folder-removed", folderRemoved},
		{"hard-links", hardLinks},
		{"errors", nameErrors},
		{"append", appended},
	} {
		sub := filepath.Join(dir, group.name)
		if err := os.Mkdir(sub, 0o755); err != nil {
			return err
		}
		group.run(&c, sub)
	}
	return c.err()
}

// open is a file under test; its methods return errors that say what was expected.
type open struct {
	fd  int
	err error
}

func openFile(path string, flags int) *open {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return &open{-1, fmt.Errorf("open %s: %w", path, err)}
	}
	return &open{fd, nil}
}

func (o *open) close() error {
	if o.err != nil {
		return o.err
	}
	return unix.Close(o.fd)
}

// write goes on after a short write: a signal, such as the Go runtime sends to itself,
// ends a long one in the middle.
func (o *open) write(off int64, s string) error {
	if o.err != nil {
		return o.err
	}
	for len(s) > 0 {
		n, err := unix.Pwrite(o.fd, []byte(s), off)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return fmt.Errorf("pwrite gave %d: %w", n, err)
		}
		s, off = s[n:], off+int64(n)
	}
	return nil
}

// has checks the whole content.
func (o *open) has(want string) error {
	if o.err != nil {
		return o.err
	}
	buf := make([]byte, len(want)+100)
	n, err := unix.Pread(o.fd, buf, 0)
	if err != nil {
		return fmt.Errorf("pread: %w", err)
	}
	if got := string(buf[:n]); got != want {
		return fmt.Errorf("content is %q, want %q", got, want)
	}
	return nil
}

// stat checks fields of fstat.
func (o *open) stat(check func(*unix.Stat_t) error) error {
	if o.err != nil {
		return o.err
	}
	var st unix.Stat_t
	if err := unix.Fstat(o.fd, &st); err != nil {
		return fmt.Errorf("fstat: %w", err)
	}
	return check(&st)
}

func (o *open) nlink(want uint64) error {
	return o.stat(func(st *unix.Stat_t) error { return equal("link count", uint64(st.Nlink), want) })
}

func (o *open) size(want int64) error {
	return o.stat(func(st *unix.Stat_t) error { return equal("size", st.Size, want) })
}

func equal[T comparable](what string, got, want T) error {
	if got != want {
		return fmt.Errorf("%s is %v, want %v", what, got, want)
	}
	return nil
}

// fails checks that an operation fails as it should.
func fails(err error, want ...unix.Errno) error {
	var errno unix.Errno
	if errors.As(err, &errno) && slices.Contains(want, errno) {
		return nil
	}
	return fmt.Errorf("gave %v, want %v", err, want)
}

func contains(path, want string) error {
	got, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return equal("content of "+path, string(got), want)
}

func unlinked(c *checks, dir string) {
	path := filepath.Join(dir, "f")
	o := openFile(path, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
	defer o.close()
	reader := openFile(path, unix.O_RDONLY)
	defer reader.close()
	c.check("unlinked: write before", func() error { return o.write(0, "before") })
	c.check("unlinked: unlink", func() error { return unix.Unlink(path) })
	c.check("unlinked: the name is gone", func() error { return fails(unix.Access(path, unix.F_OK), unix.ENOENT) })
	c.check("unlinked: read", func() error { return o.has("before") })
	c.check("unlinked: write", func() error { return o.write(6, " after") })
	c.check("unlinked: read what was written", func() error { return o.has("before after") })
	c.check("unlinked: read through another descriptor", func() error { return reader.has("before after") })
	c.check("unlinked: link count 0", func() error { return o.nlink(0) })
	c.check("unlinked: size", func() error { return o.size(12) })
	c.check("unlinked: truncate", func() error {
		if err := unix.Ftruncate(o.fd, 4); err != nil {
			return err
		}
		return errors.Join(o.has("befo"), o.size(4))
	})
	c.check("unlinked: extend", func() error {
		if err := unix.Ftruncate(o.fd, 6); err != nil {
			return err
		}
		return errors.Join(o.has("befo\x00\x00"), reader.size(6))
	})
	c.check("unlinked: chmod", func() error {
		if err := unix.Fchmod(o.fd, 0o4751); err != nil {
			return err
		}
		return o.stat(func(st *unix.Stat_t) error { return equal("mode", st.Mode, unix.S_IFREG|0o4751) })
	})
	c.check("unlinked: chown", func() error {
		if err := unix.Fchown(o.fd, 1234, 4321); err != nil {
			return err
		}
		return o.stat(func(st *unix.Stat_t) error {
			return errors.Join(equal("owner", st.Uid, 1234), equal("group", st.Gid, 4321))
		})
	})
	c.check("unlinked: times", func() error {
		want := unix.Timespec{Sec: 1234567890} // Linux's 9p client sets whole seconds only
		path := fmt.Sprintf("/proc/self/fd/%d", o.fd)
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{want, want}, 0); err != nil {
			return err
		}
		return o.stat(func(st *unix.Stat_t) error { return equal("modification time", st.Mtim, want) })
	})
	c.check("unlinked: extended attribute", func() error {
		if err := unix.Fsetxattr(o.fd, "user.late", []byte("value"), 0); err != nil {
			return err
		}
		value := make([]byte, 100)
		n, err := unix.Fgetxattr(o.fd, "user.late", value)
		if err != nil {
			return err
		}
		return equal("value", string(value[:n]), "value")
	})
	c.check("unlinked: fsync", func() error { return unix.Fsync(o.fd) })
	c.check("unlinked: a new file of that name is another", func() error {
		n := openFile(path, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
		defer n.close()
		return errors.Join(n.write(0, "new"), n.has("new"), o.has("befo\x00\x00"), n.nlink(1), o.nlink(0))
	})
	c.check("unlinked: a large file", func() error {
		path := filepath.Join(dir, "large")
		o := openFile(path, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
		defer o.close()
		block := strings.Repeat("0123456789abcdef", 1<<16)
		if err := errors.Join(o.write(0, block), unix.Unlink(path), o.write(1<<20, block)); err != nil {
			return err
		}
		return errors.Join(o.has(block+block), o.size(2<<20))
	})
	c.check("unlinked: never closed before the process is", func() error {
		_ = openFile(filepath.Join(dir, "left"), unix.O_RDWR|unix.O_CREAT)
		return unix.Unlink(filepath.Join(dir, "left"))
	})
}

func renamedOver(c *checks, dir string) {
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	oa := openFile(a, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
	ob := openFile(b, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
	defer oa.close()
	defer ob.close()
	c.check("renamed-over: write both", func() error { return errors.Join(oa.write(0, "file a"), ob.write(0, "file b")) })
	c.check("renamed-over: rename a over the open b", func() error { return unix.Rename(a, b) })
	c.check("renamed-over: a is gone", func() error { return fails(unix.Access(a, unix.F_OK), unix.ENOENT) })
	c.check("renamed-over: b is now a", func() error { return contains(b, "file a") })
	c.check("renamed-over: the old b reads", func() error { return ob.has("file b") })
	c.check("renamed-over: the old b writes", func() error { return errors.Join(ob.write(0, "FILE"), ob.has("FILE b")) })
	c.check("renamed-over: the old b has no link", func() error { return ob.nlink(0) })
	c.check("renamed-over: the old b truncates", func() error { return errors.Join(unix.Ftruncate(ob.fd, 0), ob.size(0)) })
	c.check("renamed-over: a's descriptor is the new b", func() error {
		return errors.Join(oa.write(0, "still"), oa.nlink(1), contains(b, "stilla"))
	})
	c.check("renamed-over: the same inode as the name's", func() error {
		var st unix.Stat_t
		if err := unix.Stat(b, &st); err != nil {
			return err
		}
		return oa.stat(func(o *unix.Stat_t) error { return equal("inode", o.Ino, st.Ino) })
	})
	c.check("renamed-over: a hundred times", func() error {
		for i := range 100 {
			o := openFile(a, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
			want := fmt.Sprintf("round %d", i)
			err := errors.Join(o.write(0, want), unix.Rename(a, b), contains(b, want), o.has(want), o.close())
			if err != nil {
				return fmt.Errorf("round %d: %w", i, err)
			}
		}
		return nil
	})
	c.check("renamed-over: an exchange is done or refused, but not done as a rename", func() error {
		if err := os.WriteFile(a, []byte("exchange"), 0o644); err != nil {
			return err
		}
		if err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE); err == nil {
			a, b = b, a
		} else if err := fails(err, unix.EINVAL); err != nil {
			return err
		}
		return errors.Join(contains(a, "exchange"), contains(b, "round 99"))
	})
}

func folderRenamed(c *checks, dir string) {
	old, moved := filepath.Join(dir, "old"), filepath.Join(dir, "moved")
	deep := filepath.Join(old, "x", "y")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		c.check("folder-renamed: folders", func() error { return err })
		return
	}
	o := openFile(filepath.Join(deep, "f"), unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
	defer o.close()
	d := openFile(deep, unix.O_RDONLY|unix.O_DIRECTORY)
	defer d.close()
	c.check("folder-renamed: write before", func() error { return o.write(0, "before") })
	c.check("folder-renamed: rename the upper folder", func() error { return unix.Rename(old, moved) })
	deep = filepath.Join(moved, "x", "y")
	c.check("folder-renamed: read", func() error { return o.has("before") })
	c.check("folder-renamed: write", func() error {
		return errors.Join(o.write(6, " after"), contains(filepath.Join(deep, "f"), "before after"))
	})
	c.check("folder-renamed: stat", func() error { return errors.Join(o.nlink(1), o.size(12)) })
	c.check("folder-renamed: truncate", func() error { return errors.Join(unix.Ftruncate(o.fd, 3), o.has("bef")) })
	c.check("folder-renamed: chmod", func() error {
		if err := unix.Fchmod(o.fd, 0o640); err != nil {
			return err
		}
		return o.stat(func(st *unix.Stat_t) error { return equal("mode", st.Mode&0o777, 0o640) })
	})
	c.check("folder-renamed: make a file by the open folder", func() error {
		fd, err := unix.Openat(d.fd, "g", unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o644)
		if err != nil {
			return err
		}
		g := &open{fd: fd}
		defer g.close()
		return errors.Join(g.write(0, "made after"), contains(filepath.Join(deep, "g"), "made after"))
	})
	c.check("folder-renamed: list by the open folder", func() error {
		names, err := list(d.fd)
		if err != nil {
			return err
		}
		return equal("list", strings.Join(names, " "), "f g")
	})
	c.check("folder-renamed: rename it again, elsewhere", func() error {
		other := filepath.Join(dir, "other")
		if err := errors.Join(os.Mkdir(other, 0o755), unix.Rename(filepath.Join(moved, "x"), filepath.Join(other, "z"))); err != nil {
			return err
		}
		deep = filepath.Join(other, "z", "y")
		return errors.Join(o.write(3, "ORE"), contains(filepath.Join(deep, "f"), "befORE"), o.has("befORE"))
	})
	c.check("folder-renamed: unlink by the open folder", func() error {
		return errors.Join(unix.Unlinkat(d.fd, "g", 0), fails(unix.Access(filepath.Join(deep, "g"), unix.F_OK), unix.ENOENT))
	})
	c.check("folder-renamed: a new folder of the old name is another", func() error {
		if err := os.MkdirAll(filepath.Join(old, "x", "y"), 0o755); err != nil {
			return err
		}
		return fails(unix.Access(filepath.Join(old, "x", "y", "f"), unix.F_OK), unix.ENOENT)
	})
}

func folderRemoved(c *checks, dir string) {
	path := filepath.Join(dir, "d")
	if err := os.Mkdir(path, 0o755); err != nil {
		c.check("folder-removed: folder", func() error { return err })
		return
	}
	d := openFile(path, unix.O_RDONLY|unix.O_DIRECTORY)
	defer d.close()
	c.check("folder-removed: remove it", func() error { return unix.Rmdir(path) })
	c.check("folder-removed: stat", func() error {
		return d.stat(func(st *unix.Stat_t) error { return equal("type", st.Mode&unix.S_IFMT, unix.S_IFDIR) })
	})
	c.check("folder-removed: list", func() error {
		names, err := list(d.fd)
		if err != nil {
			return fails(err, unix.ENOENT)
		}
		return equal("entries", len(names), 0)
	})
	c.check("folder-removed: make a file in it", func() error {
		fd, err := unix.Openat(d.fd, "f", unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o644)
		if err == nil {
			unix.Close(fd)
		}
		return fails(err, unix.ENOENT)
	})
}

func hardLinks(c *checks, dir string) {
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	o := openFile(a, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
	defer o.close()
	c.check("hard-links: link", func() error { return errors.Join(o.write(0, "linked"), unix.Link(a, b), o.nlink(2)) })
	c.check("hard-links: unlink the name it was opened by", func() error {
		return errors.Join(unix.Unlink(a), o.nlink(1), o.has("linked"))
	})
	c.check("hard-links: written through the descriptor, read by the other name", func() error {
		return errors.Join(o.write(0, "LINKED"), contains(b, "LINKED"))
	})
	c.check("hard-links: rename to its own other name does nothing", func() error {
		return errors.Join(unix.Link(b, a), unix.Rename(a, b), o.nlink(2), contains(a, "LINKED"), contains(b, "LINKED"))
	})
}

func nameErrors(c *checks, dir string) {
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(
		os.MkdirAll(path("full/sub"), 0o755), os.Mkdir(path("empty"), 0o755), os.WriteFile(path("file"), nil, 0o644),
	); err != nil {
		c.check("errors: files", func() error { return err })
		return
	}
	for _, e := range []struct {
		name string
		err  error
		want []unix.Errno
	}{
		{"rmdir of a full folder", unix.Rmdir(path("full")), []unix.Errno{unix.ENOTEMPTY}},
		{"rmdir of a file", unix.Rmdir(path("file")), []unix.Errno{unix.ENOTDIR}},
		{"unlink of a folder", unix.Unlink(path("empty")), []unix.Errno{unix.EISDIR}},
		{"mkdir of what exists", unix.Mkdir(path("file"), 0o755), []unix.Errno{unix.EEXIST}},
		{"rename over a full folder", unix.Rename(path("empty"), path("full")), []unix.Errno{unix.ENOTEMPTY, unix.EEXIST}},
		{"rename of a file over a folder", unix.Rename(path("file"), path("empty")), []unix.Errno{unix.EISDIR}},
		{"rename of a folder over a file", unix.Rename(path("empty"), path("file")), []unix.Errno{unix.ENOTDIR}},
		{"rename of a folder into itself", unix.Rename(path("full"), path("full/sub/x")), []unix.Errno{unix.EINVAL}},
		{"rename of what is missing", unix.Rename(path("missing"), path("x")), []unix.Errno{unix.ENOENT}},
		{"a name of 256 bytes", unix.Mkdir(path(strings.Repeat("n", 256)), 0o755), []unix.Errno{unix.ENAMETOOLONG}},
		{"a path through a file", unix.Mkdir(path("file/x"), 0o755), []unix.Errno{unix.ENOTDIR}},
		{"link over what exists", unix.Link(path("file"), path("full")), []unix.Errno{unix.EEXIST}},
		{"exclusive open of what exists", openFile(path("file"), unix.O_CREAT|unix.O_EXCL).err, []unix.Errno{unix.EEXIST}},
		{"open of a folder for writing", openFile(path("empty"), unix.O_WRONLY).err, []unix.Errno{unix.EISDIR}},
		{"an attribute that is not there", unix.Removexattr(path("file"), "user.none"), []unix.Errno{unix.ENODATA}},
		{"negative truncate", unix.Truncate(path("file"), -1), []unix.Errno{unix.EINVAL}},
	} {
		c.check("errors: "+e.name, func() error { return fails(e.err, e.want...) })
	}
	c.check("errors: rename over an empty folder works", func() error {
		return errors.Join(unix.Rename(path("full"), path("empty")), unix.Access(path("empty/sub"), unix.F_OK))
	})
}

// appended checks that appenders in several descriptors lose nothing.
func appended(c *checks, dir string) {
	path := filepath.Join(dir, "log")
	const each, appenders = 200, 4
	c.check("append: four at once", func() error {
		done := make(chan error, appenders)
		for n := range appenders {
			go func() {
				o := openFile(path, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT)
				if o.err != nil {
					done <- o.err
					return
				}
				for i := range each {
					if _, err := unix.Write(o.fd, fmt.Appendf(nil, "%d %03d\n", n, i)); err != nil {
						done <- err
						return
					}
				}
				done <- o.close()
			}()
		}
		for range appenders {
			select {
			case err := <-done:
				if err != nil {
					return err
				}
			case <-time.After(time.Minute):
				return errors.New("stuck")
			}
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		lines := strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
		if err := equal("lines", len(lines), each*appenders); err != nil {
			return err
		}
		slices.Sort(lines)
		return equal("distinct lines", len(slices.Compact(lines)), each*appenders)
	})
}

// list returns the names in an open folder, sorted.
func list(fd int) ([]string, error) {
	if _, err := unix.Seek(fd, 0, 0); err != nil {
		return nil, err
	}
	var names []string
	buf := make([]byte, 8192)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			slices.Sort(names)
			return names, nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}
