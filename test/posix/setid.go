// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// setIDs: who is not root and changes a program's content takes its set-ID bits off, and
// set-group-ID only where the group may execute.
func setIDs(t *T) {
	for _, by := range []*caller{t.root, t.alice, t.bob} {
		t.group(by.name, func(t *T) {
			for _, mode := range []uint32{0o4777, 0o2777, 0o6777, 0o7777, 0o4666, 0o2666, 0o6666, 0o1777, 0o4676, 0o2676} {
				for _, how := range changers {
					what := octal(mode) + " " + how.name
					f := t.path("f")
					t.file(f, "0123456789", 0o644)
					t.give(f, t.alice, mode)
					want := mode
					if by != t.root && how.clears {
						want &^= unix.S_ISUID
						if mode&0o010 != 0 {
							want &^= unix.S_ISGID
						}
						// Without x for the group the bit goes if the user is not in it.
						if by == t.bob {
							want &^= unix.S_ISGID
						}
					}
					t.is(what, how.run(by, f), unix.Errno(0))
					t.is(what+" gives", t.mode(f), octal(want))
					t.must("unlink", t.root.unlink(f))
				}
			}
		})
	}
	t.group("running", func(t *T) {
		for _, c := range []struct {
			name   string
			mode   uint32
			number byte // of the system call
			want   int
		}{
			{"user, not set", 0o755, 107, aliceID & 0xff},
			{"user", 0o4755, 107, bobID & 0xff},
			{"group, not set", 0o755, 108, aliceID & 0xff},
			{"group", 0o2755, 108, bobID & 0xff},
			{"group without x", 0o2745, 108, aliceID & 0xff},
		} {
			f := t.path(c.name)
			t.file(f, program(exitsWith(c.number)), 0o755)
			t.give(f, t.bob, c.mode)
			r := t.alice.do(call{Op: "execve", Path: f})
			t.is(c.name, fmt.Sprint(text(r.Errno), " ", r.N), fmt.Sprint("OK ", c.want))
		}
	})
}

// changers change a file's content, or might.
var changers = []struct {
	name   string
	clears bool
	run    func(c *caller, path string) unix.Errno
}{
	{"write", true, withOpen(unix.O_WRONLY, func(c *caller, fd int) unix.Errno { return c.write(fd, "x") })},
	{"append", true, withOpen(unix.O_WRONLY|unix.O_APPEND, func(c *caller, fd int) unix.Errno { return c.write(fd, "x") })},
	{"pwrite beyond", true, withOpen(unix.O_RDWR, func(c *caller, fd int) unix.Errno { return c.pwrite(fd, "x", 5000) })},
	{"write nothing", false, withOpen(unix.O_WRONLY, func(c *caller, fd int) unix.Errno { return c.write(fd, "") })},
	{"truncate", true, func(c *caller, path string) unix.Errno { return c.truncate(path, 5) }},
	{"truncate to the same", true, func(c *caller, path string) unix.Errno { return c.truncate(path, 10) }},
	{"extend", true, func(c *caller, path string) unix.Errno { return c.truncate(path, 100) }},
	{"ftruncate", true, withOpen(unix.O_RDWR, func(c *caller, fd int) unix.Errno {
		return c.do(call{Op: "ftruncate", FD: fd, Len: 5}).Errno
	})},
	{"truncating open", true, withOpen(unix.O_WRONLY|unix.O_TRUNC, func(*caller, int) unix.Errno { return 0 })},
	{"open", false, withOpen(unix.O_RDWR, func(*caller, int) unix.Errno { return 0 })},
	{"read", false, withOpen(unix.O_RDWR, func(c *caller, fd int) unix.Errno { _, e := c.pread(fd, 5, 0); return e })},
}

func withOpen(flags int, f func(c *caller, fd int) unix.Errno) func(*caller, string) unix.Errno {
	return func(c *caller, path string) unix.Errno {
		fd, e := c.open(path, flags, 0)
		if e != 0 {
			return e
		}
		defer c.close(fd)
		return f(c, fd)
	}
}
