// SPDX-License-Identifier: Apache-2.0

package ninetest

import (
	"fmt"
	"math"
	"slices"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// names100 fills root with 100 files.
func names100(e *env) {
	for i := range 100 {
		fid := e.create(fmt.Sprintf("QTestFile%d", i), "")
		e.ok(e.Clunk(fid))
	}
}

// checkListing fails unless the list is "." and ".." and the names100.
func checkListing(e *env, list []ninep.DirEntry) {
	e.Helper()
	var names []string
	for _, d := range list {
		names = append(names, string(d.Name))
	}
	slices.Sort(names)
	if u := slices.Compact(slices.Clone(names)); len(u) != len(names) {
		e.Errorf("%d entries, %d of them different", len(names), len(u))
	}
	equal(e, "entries", len(names), 102)
	equal(e, "first", names[0], ".")
	equal(e, "second", names[1], "..")
}

var readdirTests = []suiteTest{
	{name: "basic", run: func(e *env) {
		names100(e)
		fid := e.open(unix.O_RDONLY)
		list, err := e.ReadAllDir(fid, 16000)
		e.ok(err)
		checkListing(e, list)
	}},
	{name: "split_512", run: func(e *env) { splitReaddir(e, 512) }},
	{name: "split_256", run: func(e *env) { splitReaddir(e, 256) }},
	{name: "split_128", run: func(e *env) { splitReaddir(e, 128) }},
	{name: "entries", run: func(e *env) {
		e.create("f", "")
		e.mkdir("d")
		_, err := e.Symlink(root, "l", "f", 0)
		e.ok(err)
		list, err := e.ReadAllDir(e.open(unix.O_RDONLY), 4096)
		e.ok(err)
		equal(e, "entries", len(list), 5)
		types := map[string]uint8{"f": unix.DT_REG, "d": unix.DT_DIR, "l": unix.DT_LNK, ".": unix.DT_DIR, "..": unix.DT_DIR}
		for _, d := range list {
			name := string(d.Name)
			// The type may be unknown, not wrong.
			if d.Type != unix.DT_UNKNOWN && d.Type != types[name] {
				e.Errorf("type of %s is %d", name, d.Type)
			}
			path := []string{name}
			if name == "." || name == ".." {
				path = nil // also "..": this is the root
			}
			equal(e, "QID path of "+name, d.QID.Path, e.attr(e.walk(path...)).QID.Path)
		}
	}},
	{name: "resume", run: func(e *env) {
		for i := range 20 {
			e.create(fmt.Sprint("f", i), "")
		}
		fid := e.open(unix.O_RDONLY)
		all, err := e.ReadAllDir(fid, 4096)
		e.ok(err)
		// From any entry on, in any order.
		for i := len(all) - 1; i >= 0; i-- {
			list, err := e.Readdir(fid, all[i].Offset, 4096)
			e.ok(err)
			equal(e, "entries", len(list), len(all)-i-1)
			for j := range list {
				equal(e, "name", string(list[j].Name), string(all[i+1+j].Name))
			}
		}
		list, err := e.Readdir(fid, 0, 4096)
		e.ok(err)
		equal(e, "entries from the start", len(list), len(all))
	}},
	{name: "while_entries_go", run: func(e *env) {
		names100(e)
		fid := e.open(unix.O_RDONLY)
		var off uint64
		seen := map[string]bool{}
		for {
			list, err := e.Readdir(fid, off, 256)
			e.ok(err)
			if len(list) == 0 {
				break
			}
			for _, d := range list {
				name := string(d.Name)
				if seen[name] {
					e.Fatalf("%s was listed twice", name)
				}
				seen[name] = true
				off = d.Offset
				if name != "." && name != ".." {
					e.ok(e.Unlinkat(root, name, 0))
				}
			}
		}
		equal(e, "entries", len(seen), 102)
		list, err := e.ReadAllDir(e.open(unix.O_RDONLY), 4096)
		e.ok(err)
		equal(e, "entries left", len(list), 2)
	}},
	{name: "too_small", run: func(e *env) {
		fid := e.create(longName(200), "")
		e.ok(e.Clunk(fid))
		fid = e.open(unix.O_RDONLY)
		list, err := e.ReadAllDir(fid, 4096)
		e.ok(err)
		equal(e, "entries", len(list), 3)
		_, err = e.Readdir(fid, 0, 10)
		e.want(err, unix.EINVAL)
		// The entry that is too long must not look like the end.
		for i, d := range list {
			if len(d.Name) == 200 && i > 0 {
				_, err = e.Readdir(fid, list[i-1].Offset, 100)
				e.want(err, unix.EINVAL)
			}
		}
	}},
	{name: "count_is_clipped", run: func(e *env) {
		names100(e)
		list, err := e.ReadAllDir(e.open(unix.O_RDONLY), math.MaxUint32)
		e.ok(err)
		checkListing(e, list)
	}},
	{name: "not_a_directory", run: func(e *env) {
		_, err := e.Readdir(root, 0, 4096)
		e.want(err, unix.EINVAL) // not open
		_, err = e.Readdir(e.create("f", ""), 0, 4096)
		e.want(err, unix.ENOTDIR)
	}},
	{name: "long_names", run: func(e *env) {
		name := longName(255)
		e.create(name, "x")
		list, err := e.ReadAllDir(e.open(unix.O_RDONLY), 4096)
		e.ok(err)
		if !slices.ContainsFunc(list, func(d ninep.DirEntry) bool { return string(d.Name) == name }) {
			e.Error("a name of 255 bytes is missing")
		}
		equal(e, "content", e.content(name), "x")
	}},
}

func splitReaddir(e *env, count uint32) {
	e.Helper()
	names100(e)
	list, err := e.ReadAllDir(e.open(unix.O_RDONLY), count)
	e.ok(err)
	checkListing(e, list)
}
