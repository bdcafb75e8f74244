// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A step is one operation of one thread. It returns the bytes of payload.
type step func() (int, error)

// cases make a step that works in a folder, and what is to be done after the last one. In
// the folder there are: file; a/b/c/d/e/f/g/h, a file too; data, a big file; many, a folder
// with many entries.
var cases = map[string]func(dir string) (step, func(), error){
	"getattr": func(dir string) (step, func(), error) {
		return opened(filepath.Join(dir, "file"), unix.O_RDONLY, func(fd int) step {
			var st unix.Statx_t
			return func() (int, error) {
				return 0, unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_FORCE_SYNC, unix.STATX_BASIC_STATS, &st)
			}
		})
	},
	"walk 1":                   walk("file", nil),
	"walk 8":                   walk("a/b/c/d/e/f/g/h", nil),
	"lookup of a missing name": walk("missing", unix.ENOENT),
	"open+close": inFolder(func(fd int) step {
		return func() (int, error) { return 0, openClose(fd, "file", unix.O_RDONLY) }
	}),
	"create+unlink": inFolder(func(fd int) step {
		return func() (int, error) {
			if err := openClose(fd, "new", unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL); err != nil {
				return 0, err
			}
			return 0, unix.Unlinkat(fd, "new", 0)
		}
	}),
	"mkdir+rmdir": inFolder(func(fd int) step {
		return func() (int, error) {
			if err := unix.Mkdirat(fd, "new", 0o755); err != nil {
				return 0, err
			}
			return 0, unix.Unlinkat(fd, "new", unix.AT_REMOVEDIR)
		}
	}),
	"rename": func(dir string) (step, func(), error) {
		// Every second one gives the file its old name back.
		from, to := "from", "to"
		one, done, err := inFolder(func(fd int) step {
			return func() (int, error) {
				err := unix.Renameat(fd, from, fd, to)
				from, to = to, from
				return 0, err
			}
		})(dir)
		if err != nil {
			return nil, nil, err
		}
		if err := openClose(unix.AT_FDCWD, filepath.Join(dir, from), unix.O_WRONLY|unix.O_CREAT); err != nil {
			done()
			return nil, nil, err
		}
		return one, func() { _ = unix.Unlink(filepath.Join(dir, from)); done() }, nil
	},
	"readdir of 10,000": inFolder(func(folder int) step {
		buf := make([]byte, 128<<10)
		return func() (int, error) {
			fd, err := openat(folder, "many", unix.O_RDONLY|unix.O_DIRECTORY)
			if err != nil {
				return 0, err
			}
			defer unix.Close(fd)
			for {
				n, err := unix.Getdents(fd, buf)
				if n <= 0 || err != nil {
					return 0, err
				}
			}
		}
	}),
	"read 4 KiB":  direct(unix.Pread),
	"write 4 KiB": direct(unix.Pwrite),
	"write 4 KiB+fsync": direct(func(fd int, p []byte, offset int64) (int, error) {
		n, err := unix.Pwrite(fd, p, offset)
		if err != nil {
			return n, err
		}
		return n, unix.Fsync(fd)
	}),
	"read 128 KiB":  stream(128<<10, streamIn),
	"write 128 KiB": stream(128<<10, streamOut),
	"read 1 MiB":    stream(1<<20, streamIn),
	"write 1 MiB":   stream(1<<20, streamOut),
}

// openat opens a file. Signals, such as the Go runtime's own, may interrupt it.
func openat(dir int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags|unix.O_CLOEXEC, 0o644)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func openClose(dir int, name string, flags int) error {
	fd, err := openat(dir, name, flags)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// opened makes a step that works with an open file.
func opened(path string, flags int, f func(fd int) step) (step, func(), error) {
	fd, err := openat(unix.AT_FDCWD, path, flags)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return f(fd), func() { _ = unix.Close(fd) }, nil
}

// inFolder is the case of a step that works with names in the folder.
func inFolder(f func(fd int) step) func(dir string) (step, func(), error) {
	return func(dir string) (step, func(), error) { return opened(dir, unix.O_RDONLY|unix.O_DIRECTORY, f) }
}

// walk is the case of a stat, which gives a result that is known.
func walk(path string, want error) func(dir string) (step, func(), error) {
	return inFolder(func(fd int) step {
		var st unix.Stat_t
		return func() (int, error) {
			if err := unix.Fstatat(fd, path, &st, unix.AT_SYMLINK_NOFOLLOW); err != want {
				return 0, fmt.Errorf("stat of %s: %v, want %v", path, err, want)
			}
			return 0, nil
		}
	})
}

// direct is the case of 4 KiB anywhere in the file, past the guest's page cache.
func direct(f moving) func(dir string) (step, func(), error) {
	const size = 4 << 10
	return transfer(unix.O_DIRECT, size, f, func(blocks int64) int64 { return rand.Int64N(blocks) })
}

// stream is the case of one part of the file after the other. Without O_DIRECT, with which
// Linux' 9p moves one page in each request: the page cache gathers larger ones.
func stream(size int, f moving) func(dir string) (step, func(), error) {
	return func(dir string) (step, func(), error) {
		next := int64(-1)
		return transfer(0, size, f, func(blocks int64) int64 {
			next = (next + 1) % blocks
			return next
		})(dir)
	}
}

// streamIn reads, and forgets what it has read, so that it asks the server the next time.
func streamIn(fd int, p []byte, offset int64) (int, error) {
	n, err := unix.Pread(fd, p, offset)
	if err != nil {
		return n, err
	}
	return n, unix.Fadvise(fd, offset, int64(len(p)), unix.FADV_DONTNEED)
}

// streamOut writes, and waits until the server has all of it.
func streamOut(fd int, p []byte, offset int64) (int, error) {
	n, err := unix.Pwrite(fd, p, offset)
	if err != nil {
		return n, err
	}
	return n, unix.SyncFileRange(fd, offset, int64(len(p)), unix.SYNC_FILE_RANGE_WAIT_BEFORE|unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
}

// moving is a read or a write.
type moving func(fd int, p []byte, offset int64) (int, error)

// transfer is the case of reads or writes of one size, at blocks that another function
// chooses.
func transfer(flags, size int, f moving, choose func(blocks int64) int64) func(dir string) (step, func(), error) {
	return func(dir string) (step, func(), error) {
		path := filepath.Join(dir, "data")
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		// A mapping begins with a page, as O_DIRECT demands. In User-mode Linux memory that was
		// never written to is none that a server can read.
		buf, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			return nil, nil, err
		}
		for i := range buf {
			buf[i] = byte(i)
		}
		one, done, err := opened(path, unix.O_RDWR|flags, func(fd int) step {
			return func() (int, error) {
				n, err := f(fd, buf, choose(st.Size/int64(size))*int64(size))
				if err == nil && n != size {
					err = fmt.Errorf("%d bytes of %d", n, size)
				}
				return n, err
			}
		})
		if err != nil {
			return nil, nil, errors.Join(err, unix.Munmap(buf))
		}
		return one, func() { done(); _ = unix.Munmap(buf) }, nil
	}
}
