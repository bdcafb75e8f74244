// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// pathCall is a system call that takes a path, for what goes wrong on the way there.
type pathCall struct {
	name string
	// target is what the path must lead to; none if the call makes it.
	target kind
	// follows says that a symlink at the end of the path is followed.
	follows bool
	run     func(t *T, c *caller, path string) unix.Errno
}

// other is a file beside the path, for calls that take two.
const other = "other"

var pathCalls = []pathCall{
	{"access", regular, true, func(t *T, c *caller, path string) unix.Errno {
		return c.do(call{Op: "access", Path: path}).Errno
	}},
	{"bind", kind{}, false, func(t *T, c *caller, path string) unix.Errno {
		r := c.do(call{Op: "bind", Path: path, Flags: unix.SOCK_DGRAM})
		if r.Errno == 0 {
			c.close(int(r.N))
		}
		return r.Errno
	}},
	{"chdir", directory, true, func(t *T, c *caller, path string) unix.Errno {
		e := c.do(call{Op: "chdir", Path: path}).Errno
		c.do(call{Op: "chdir", Path: t.home})
		return e
	}},
	{"chmod", regular, true, func(t *T, c *caller, path string) unix.Errno { return c.chmod(path, 0o640) }},
	{"chown", regular, true, func(t *T, c *caller, path string) unix.Errno { return c.chown(path, -1, int(c.gid)) }},
	{"execve", regular, true, func(t *T, c *caller, path string) unix.Errno {
		return c.do(call{Op: "execve", Path: path}).Errno
	}},
	{"getxattr", regular, true, func(t *T, c *caller, path string) unix.Errno {
		_, e := c.getxattr(path, "user.key")
		return e
	}},
	{"lchown", symlink, false, func(t *T, c *caller, path string) unix.Errno { return c.lchown(path, -1, int(c.gid)) }},
	{"link-from", regular, false, func(t *T, c *caller, path string) unix.Errno { return c.link(path, t.path("new")) }},
	{"link-to", kind{}, false, func(t *T, c *caller, path string) unix.Errno { return c.link(t.path(other), path) }},
	{"listxattr", regular, true, func(t *T, c *caller, path string) unix.Errno {
		return c.do(call{Op: "listxattr", Path: path, Len: 1000}).Errno
	}},
	{"lsetxattr", regular, false, func(t *T, c *caller, path string) unix.Errno {
		return c.do(call{Op: "lsetxattr", Path: path, Path2: "user.new", Data: []byte("v")}).Errno
	}},
	{"lstat", regular, false, func(t *T, c *caller, path string) unix.Errno {
		_, e := c.lstat(path)
		return e
	}},
	{"mkdir", kind{}, false, func(t *T, c *caller, path string) unix.Errno { return c.mkdir(path, 0o755) }},
	{"mkfifo", kind{}, false, func(t *T, c *caller, path string) unix.Errno {
		return c.mknod(path, unix.S_IFIFO|0o644, 0)
	}},
	{"mknod", kind{}, false, func(t *T, c *caller, path string) unix.Errno {
		return c.mknod(path, unix.S_IFREG|0o644, 0)
	}},
	{"open", regular, true, func(t *T, c *caller, path string) unix.Errno { return c.opens(path, unix.O_RDONLY) }},
	{"open-create", kind{}, true, func(t *T, c *caller, path string) unix.Errno {
		return c.opens(path, unix.O_WRONLY|unix.O_CREAT)
	}},
	{"open-exclusive", kind{}, false, func(t *T, c *caller, path string) unix.Errno {
		return c.opens(path, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL)
	}},
	{"opendir", directory, true, func(t *T, c *caller, path string) unix.Errno {
		return c.opens(path, unix.O_RDONLY|unix.O_DIRECTORY)
	}},
	{"readlink", symlink, false, func(t *T, c *caller, path string) unix.Errno {
		_, e := c.readlink(path)
		return e
	}},
	{"removexattr", regular, true, func(t *T, c *caller, path string) unix.Errno {
		return c.do(call{Op: "removexattr", Path: path, Path2: "user.key"}).Errno
	}},
	{"rename-from", regular, false, func(t *T, c *caller, path string) unix.Errno { return c.rename(path, t.path("new")) }},
	{"rename-to", kind{}, false, func(t *T, c *caller, path string) unix.Errno { return c.rename(t.path(other), path) }},
	{"rmdir", directory, false, func(t *T, c *caller, path string) unix.Errno { return c.rmdir(path) }},
	{"setxattr", regular, true, func(t *T, c *caller, path string) unix.Errno {
		return c.setxattr(path, "user.new", "v", 0)
	}},
	{"stat", regular, true, func(t *T, c *caller, path string) unix.Errno {
		_, e := c.stat(path)
		return e
	}},
	{"statfs", regular, true, func(t *T, c *caller, path string) unix.Errno {
		return c.do(call{Op: "statfs", Path: path}).Errno
	}},
	{"symlink", kind{}, false, func(t *T, c *caller, path string) unix.Errno { return c.symlink("target", path) }},
	{"truncate", regular, true, func(t *T, c *caller, path string) unix.Errno { return c.truncate(path, 3) }},
	{"unlink", regular, false, func(t *T, c *caller, path string) unix.Errno { return c.unlink(path) }},
	{"utimensat", regular, true, func(t *T, c *caller, path string) unix.Errno { return c.utimens(path, 0) }},
	{"lutimensat", symlink, false, func(t *T, c *caller, path string) unix.Errno {
		return c.utimens(path, unix.AT_SYMLINK_NOFOLLOW)
	}},
}

// walks tries each call that takes a path with paths on which the way fails.
func walks(t *T) {
	// A chain of 41 symlinks, of which the first leads to each group. 40 may be followed.
	t.must("mkdir", t.root.mkdir("chain", 0o755))
	for i := range 40 {
		t.must("symlink", t.root.symlink(fmt.Sprint(i), fmt.Sprintf("chain/%d", i+1)))
	}
	for _, c := range pathCalls {
		t.group(c.name, func(t *T) { walk(t, c) })
	}
}

func walk(t *T, c pathCall) {
	creates := c.target == kind{}
	// place puts what the call wants at the end of a path.
	place := func(path string, of *caller) {
		if !creates {
			t.a(c.target, path, of, 0o755)
		}
		if c.target == regular {
			t.must("truncate", t.root.truncate(path, 5))
			t.must("setxattr", t.root.setxattr(path, "user.key", "v", 0))
			if c.name == "execve" {
				t.must("unlink", t.root.unlink(path))
				t.file(path, program(exits(0)), 0o755)
			}
		}
	}
	fresh := func() { // for the next success
		if !t.exists(t.path(other)) {
			t.file(t.path(other), "other", 0o644)
		}
		t.root.unlink(t.path("new"))
	}
	fails := func(what string, want unix.Errno, path string) {
		t.refuses(what, want, func() unix.Errno { return c.run(t, t.root, path) }, t.dir)
	}
	works := func(what, path string) {
		fresh()
		t.is(what, c.run(t, t.root, path), unix.Errno(0))
	}
	t.file(t.path(other), "other", 0o644)
	t.folder(t.path("d"), t.root, 0o755)
	for _, k := range nonTraverse {
		t.a(k, t.path(k.name), t.root, 0o777)
		fails("through a "+k.name, unix.ENOTDIR, t.path(k.name, "x"))
	}
	t.must("symlink", t.root.symlink("loop2", t.path("loop")))
	t.must("symlink", t.root.symlink("loop", t.path("loop2")))
	t.must("symlink", t.root.symlink("nowhere", t.path("dangling")))
	t.must("symlink", t.root.symlink("d", t.path("to-d")))
	long, longest := strings.Repeat("n", 256), strings.Repeat("n", 255)
	fails("through what is missing", unix.ENOENT, t.path("missing", "x"))
	fails("through a dangling symlink", unix.ENOENT, t.path("dangling", "x"))
	fails("through a loop", unix.ELOOP, t.path("loop", "x"))
	if c.name != "bind" { // whose paths end at 107 bytes, and have a meaning when empty
		fails("through a name of 256 bytes", unix.ENAMETOOLONG, t.path(long, "x"))
		fails("a name of 256 bytes", unix.ENAMETOOLONG, t.path("d", long))
		fails("an empty path", unix.ENOENT, "")
	}
	if !creates {
		fails("what is missing", unix.ENOENT, t.path("d", "missing"))
		fails("a name of 255 bytes that is missing", unix.ENOENT, t.path("d", longest))
	}
	switch {
	case c.follows:
		fails("a loop", unix.ELOOP, t.path("loop"))
		if !creates {
			fails("a dangling symlink", unix.ENOENT, t.path("dangling"))
		}
	case creates && c.name != "rename-to":
		want := unix.EEXIST
		if c.name == "bind" {
			want = unix.EADDRINUSE
		}
		fails("a loop", want, t.path("loop"))
		fails("a dangling symlink", want, t.path("dangling"))
	}
	if c.target == regular && !creates {
		place(t.path("file"), t.root)
		fails("a file with a slash behind it", unix.ENOTDIR, t.path("file")+"/")
	}

	if c.name != "bind" {
		tail := func(length int) string { // a path of so many bytes to d/target
			path := t.path("d") + "/"
			for len(path)+len("target") < length-1 {
				path += "./"
			}
			if len(path)+len("target") < length {
				path += "/"
			}
			return path + "target"
		}
		place(t.path("d", "target"), t.root)
		fails("a path of 4096 bytes", unix.ENAMETOOLONG, tail(4096))
		works("a path of 4095 bytes", tail(4095))
		place(t.path("d", longest), t.root)
		works("a name of 255 bytes", t.path("d", longest))
		t.root.unlink("../chain/0")
		t.must("symlink", t.root.symlink("../"+c.name, "../chain/0"))
		place(t.path("chained"), t.root)
		fails("through 41 symlinks", unix.ELOOP, "../chain/40/chained")
		works("through 40 symlinks", "../chain/39/chained")
	}
	place(t.path("d", "via"), t.root)
	works("through a symlink", t.path("to-d", "via"))
	walkPermissions(t, c, place, creates)
}

// walkPermissions: searching needs the x of the class that one is in, and of no other.
func walkPermissions(t *T, c pathCall, place func(string, *caller), creates bool) {
	t.must("chmod", t.root.chmod(t.dir, 0o777))
	t.root.unlink(t.path(other))
	another := func() { // the second file, and none where it may be put
		t.root.unlink(t.path("new"))
		if !t.exists(t.path(other)) {
			t.file(t.path(other), "other", 0o666)
			t.give(t.path(other), t.alice, 0o666)
		}
	}
	another()
	for _, class := range []struct {
		name     string
		uid, gid int
		bit      uint32
	}{
		{"owner", aliceID, foreign, 0o700},
		{"group", 0, aliceID, 0o070},
		{"supplementary group", 0, shared, 0o070},
		{"others", 0, foreign, 0o007},
	} {
		dir := t.path("by-" + class.name)
		t.must("mkdir", t.root.mkdir(dir, 0o755))
		place(dir+"/x", t.alice)
		t.must("chown", t.root.chown(dir, class.uid, class.gid))
		t.must("chmod", t.root.chmod(dir, 0o777&^(class.bit&0o111)))
		t.refuses("without search permission for "+class.name, unix.EACCES, func() unix.Errno { return c.run(t, t.alice, dir+"/x") }, dir)
		t.must("chmod", t.root.chmod(dir, class.bit))
		another()
		t.is("with permissions for "+class.name+" alone", c.run(t, t.alice, dir+"/x"), unix.Errno(0))
		if creates && t.exists(dir+"/x") {
			// Changing a directory needs its w as well.
			t.must("remove", kindOf(t, dir+"/x").remove(t.root, dir+"/x"))
			t.must("chmod", t.root.chmod(dir, 0o777&^(class.bit&0o222)))
			another()
			t.refuses("without write permission for "+class.name, unix.EACCES, func() unix.Errno { return c.run(t, t.alice, dir+"/x") }, dir)
		}
		if removes := c.name == "unlink" || c.name == "rmdir" || c.name == "rename-from"; removes {
			place(dir+"/x", t.alice)
			t.must("chmod", t.root.chmod(dir, 0o777&^(class.bit&0o222)))
			t.refuses("without write permission for "+class.name, unix.EACCES, func() unix.Errno { return c.run(t, t.alice, dir+"/x") }, dir)
		}
	}
}

// kindOf returns the kind of what is there.
func kindOf(t *T, path string) kind {
	st := t.lstat(path)
	for _, k := range kinds {
		if k.bits == st.Mode&unix.S_IFMT {
			return k
		}
	}
	return regular
}
