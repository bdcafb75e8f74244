// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

func xattrs(t *T) {
	t.group("values", xattrValues)
	t.group("kinds", xattrKinds)
	t.group("users", xattrUsers)
	t.group("namespaces", xattrNamespaces)
	t.group("times", func(t *T) {
		t.file("f", "f", 0o644)
		t.moves("set", func() unix.Errno { return t.root.setxattr("f", "user.k", "v", 0) }, 0, track{"f", "c"}, track{".", ""})
		t.moves("get", func() unix.Errno { _, e := t.root.getxattr("f", "user.k"); return e }, 0, track{"f", ""})
		t.moves("set anew", func() unix.Errno { return t.root.setxattr("f", "user.k", "w", 0) }, 0, track{"f", "c"})
		t.moves("remove", func() unix.Errno { return t.root.do(call{Op: "removexattr", Path: "f", Path2: "user.k"}).Errno }, 0, track{"f", "c"})
	})
}

// names returns the names of a file's attributes but those of security modules, sorted.
func xattrNames(c *caller, path string) string {
	r := c.do(call{Op: "listxattr", Path: path, Len: 65536})
	if r.Errno != 0 {
		return text(r.Errno)
	}
	names := strings.Split(strings.TrimSuffix(string(r.Data), "\x00"), "\x00")
	names = slices.DeleteFunc(names, func(s string) bool { return s == "" || strings.HasPrefix(s, "security.") })
	slices.Sort(names)
	return strings.Join(names, " ")
}

func xattrValues(t *T) {
	t.file("f", "f", 0o644)
	get := func(name string) string {
		s, e := t.root.getxattr("f", name)
		return text(e) + " " + s
	}
	remove := func(name string) unix.Errno {
		return t.root.do(call{Op: "removexattr", Path: "f", Path2: name}).Errno
	}
	for _, size := range []int{0, 1, 100, 1000, 2000} {
		value := strings.Repeat("v", size)
		t.is(fmt.Sprint("set ", size), t.root.setxattr("f", "user.size", value, 0), unix.Errno(0))
		t.is(fmt.Sprint("get ", size), get("user.size"), "OK "+value)
	}
	t.is("binary", t.root.setxattr("f", "user.binary", "\x00\xff\n\x00", 0), unix.Errno(0))
	t.is("binary, get", get("user.binary"), "OK \x00\xff\n\x00")
	t.is("list", xattrNames(t.root, "f"), "user.binary user.size")
	t.is("size alone", t.root.do(call{Op: "getxattr", Path: "f", Path2: "user.size"}).N, 2000)
	t.is("little room", t.root.do(call{Op: "getxattr", Path: "f", Path2: "user.size", Len: 10}).Errno, unix.ERANGE)
	t.is("list, size alone", t.root.do(call{Op: "listxattr", Path: "f"}).N >= 22, true)
	t.is("list, little room", t.root.do(call{Op: "listxattr", Path: "f", Len: 3}).Errno, unix.ERANGE)
	t.is("create what is there", t.root.setxattr("f", "user.size", "x", unix.XATTR_CREATE), unix.EEXIST)
	t.is("replace what is missing", t.root.setxattr("f", "user.none", "x", unix.XATTR_REPLACE), unix.ENODATA)
	t.is("replace", t.root.setxattr("f", "user.size", "replaced", unix.XATTR_REPLACE), unix.Errno(0))
	t.is("replace gives", get("user.size"), "OK replaced")
	t.is("create", t.root.setxattr("f", "user.new", "x", unix.XATTR_CREATE), unix.Errno(0))
	t.is("create, empty", t.root.setxattr("f", "user.empty", "", unix.XATTR_CREATE), unix.Errno(0))
	t.is("create, empty, get", get("user.empty"), "OK ")
	t.is("unknown flags", t.root.setxattr("f", "user.new", "x", 8), unix.EINVAL)
	t.is("get what is missing", get("user.none"), "ENODATA ")
	t.is("remove what is missing", remove("user.none"), unix.ENODATA)
	t.is("remove", remove("user.new"), unix.Errno(0))
	t.is("is removed", get("user.new"), "ENODATA ")
	t.is("list then", xattrNames(t.root, "f"), "user.binary user.empty user.size")
	t.is("a name of 255 bytes", t.root.setxattr("f", "user."+strings.Repeat("n", 250), "x", 0), unix.Errno(0))
	t.is("a name of 255 bytes, get", get("user."+strings.Repeat("n", 250)), "OK x")
	t.is("a name of 256 bytes", t.root.setxattr("f", "user."+strings.Repeat("n", 251), "x", 0), unix.ERANGE)
	t.is("no name", t.root.setxattr("f", "", "x", 0), unix.ERANGE)
	t.is("no name behind the dot", t.root.setxattr("f", "user.", "x", 0), unix.EINVAL)
	t.is("no namespace", t.root.setxattr("f", "name", "x", 0), unix.EOPNOTSUPP)
	t.is("an unknown namespace", t.root.setxattr("f", "other.name", "x", 0), unix.EOPNOTSUPP)
	t.is("a value of more than 64 KiB", t.root.setxattr("f", "user.large", strings.Repeat("v", 65537), 0), unix.E2BIG)
	t.is("a value of more than there is room for", t.root.setxattr("f", "user.large", strings.Repeat("v", 65536), 0), unix.ENOSPC)
	t.is("which is not there", get("user.large"), "ENODATA ")
	t.is("and nothing is lost", get("user.size"), "OK replaced")
	for i := range 20 {
		t.is(fmt.Sprint("many ", i), t.root.setxattr("f", fmt.Sprint("user.many-", i), fmt.Sprint(i), 0), unix.Errno(0))
	}
	t.is("many are listed", strings.Count(xattrNames(t.root, "f"), "user.many-"), 20)
	t.must("rename", t.root.rename("f", "g"))
	t.is("go with the file", func() string { s, _ := t.root.getxattr("g", "user.size"); return s }(), "replaced")
	t.must("link", t.root.link("g", "f"))
	t.is("are the file's, not the name's", get("user.size"), "OK replaced")
}

func xattrKinds(t *T) {
	for _, k := range kinds {
		t.a(k, k.name, t.root, 0o777)
		set := func(name string) unix.Errno {
			return t.root.do(call{Op: "lsetxattr", Path: k.name, Path2: name, Data: []byte("v")}).Errno
		}
		want := unix.EPERM
		if k == regular || k == directory {
			want = 0
		}
		t.is(k.name+" user.", set("user.k"), want)
		t.is(k.name+" trusted.", set("trusted.k"), unix.Errno(0))
	}
	t.must("symlink", t.root.symlink("regular", "s"))
	t.is("through a symlink", t.root.setxattr("s", "user.via", "v", 0), unix.Errno(0))
	t.is("through a symlink gives", func() string { s, _ := t.root.getxattr("regular", "user.via"); return s }(), "v")
	t.folder("sticky", t.root, 0o1777)
	t.is("user. of another's sticky folder", t.alice.setxattr("sticky", "user.k", "v", 0), unix.EPERM)
	t.must("mkdir", t.root.mkdir("open", 0o777))
	t.is("user. of another's folder", t.alice.setxattr("open", "user.k", "v", 0), unix.Errno(0))
}

func xattrUsers(t *T) {
	t.file("f", "f", 0o644)
	t.must("setxattr", t.root.setxattr("f", "user.k", "v", 0))
	t.must("setxattr", t.root.setxattr("f", "trusted.k", "v", 0))
	get := func(name string) unix.Errno { _, e := t.alice.getxattr("f", name); return e }
	t.is("get user. of one to read", get("user.k"), unix.Errno(0))
	t.is("set user. of one to read", t.alice.setxattr("f", "user.k", "w", 0), unix.EACCES)
	t.is("remove user. of one to read", t.alice.do(call{Op: "removexattr", Path: "f", Path2: "user.k"}).Errno, unix.EACCES)
	t.is("get trusted.", get("trusted.k"), unix.ENODATA)
	t.is("set trusted.", t.alice.setxattr("f", "trusted.k", "v", 0), unix.EPERM)
	t.is("root's list", xattrNames(t.root, "f"), "trusted.k user.k")
	t.is("a user's list has no trusted.", xattrNames(t.alice, "f"), "user.k")
	t.must("chmod", t.root.chmod("f", 0o600))
	t.is("get user. of one not to read", get("user.k"), unix.EACCES)
	t.is("list of one not to read", xattrNames(t.alice, "f"), "user.k")
	t.give("f", t.alice, 0o200)
	t.is("set user. of one to write", t.alice.setxattr("f", "user.k", "w", 0), unix.Errno(0))
	t.is("get user. of one to write", get("user.k"), unix.EACCES)
}

func xattrNamespaces(t *T) {
	t.file("f", "f", 0o755)
	// A version 2 capability set: cap_net_bind_service, effective.
	capability := "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	t.is("set security.capability", t.root.setxattr("f", "security.capability", capability, 0), unix.Errno(0))
	s, e := t.root.getxattr("f", "security.capability")
	t.is("get security.capability", text(e)+" "+s, "OK "+capability)
	s, e = t.alice.getxattr("f", "security.capability")
	t.is("get security.capability as a user", text(e)+" "+s, "OK "+capability)
	t.is("set security.capability as a user", t.alice.setxattr("f", "security.capability", capability, 0), unix.EPERM)
	t.is("bad security.capability", t.root.setxattr("f", "security.capability", "bad", 0), unix.EINVAL)
	lost := func(what string, e unix.Errno) {
		t.is(what, e, unix.Errno(0))
		_, e = t.root.getxattr("f", "security.capability")
		t.is(what+" takes them off", e, unix.ENODATA)
		t.must("setxattr", t.root.setxattr("f", "security.capability", capability, 0))
	}
	fd := t.open("f", unix.O_WRONLY)
	lost("write", t.root.write(fd, "x"))
	t.root.close(fd)
	lost("truncate", t.root.truncate("f", 3))
	lost("chown", t.root.chown("f", -1, 0))
	t.is("chmod", t.root.chmod("f", 0o711), unix.Errno(0))
	_, e = t.root.getxattr("f", "security.capability")
	t.is("chmod leaves them", e, unix.Errno(0))
	t.is("set another security.", t.root.setxattr("f", "security.posix-suite", "v", 0), unix.Errno(0))
	t.is("set another security. as a user", t.alice.setxattr("f", "security.posix-suite", "v", 0), unix.EPERM)
}
