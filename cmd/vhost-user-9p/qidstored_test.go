// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vhost-user-9p/qidpath"
	"vhost-user-9p/xattrstore"
)

// TestQIDStored looks at tables in many states, repairs them, and loads what is left.
func TestQIDStored(t *testing.T) {
	for name, c := range map[string]struct {
		make  func(r *qidRig)
		keep  string
		stays bool // the repair leaves something
		load  int  // how many elements are loaded at last
	}{
		"nothing": {make: func(*qidRig) {}},
		"one":     {make: func(r *qidRig) { r.append(xattrstore.ModeAuto, r.own) }, load: 1},
		"several": {make: func(r *qidRig) {
			again := absent(2) // another file system under the number of the one before
			again.Dev = absent(1).Dev
			other := absent(1) // more inode numbers of the same one
			other.InoPrefix = 0xff00
			r.append(xattrstore.ModeAuto, r.own, absent(1), again, absent(3), other)
		}, load: 5},
		"unproven": {make: func(r *qidRig) {
			r.append(xattrstore.ModeAuto, r.own, absent(1))
			r.remove("qidf.0")
		}, load: 2},
		"torn-append": {make: func(r *qidRig) {
			r.append(xattrstore.ModeAuto, r.own, absent(1))
			r.set("qidf.1", make([]byte, 16))
			r.set("qidp.1", make([]byte, 10))
		}, load: 2},
		"bad-companion": {make: func(r *qidRig) {
			r.append(xattrstore.ModeAuto, r.own, absent(1))
			r.flip("qidf.0", 9)
		}, load: 2},
		"both-places": {make: func(r *qidRig) {
			r.append(xattrstore.ModeAuto, r.own, absent(1))
			r.append(xattrstore.ModeFile, absent(2))
		}, load: 3},
		"contradiction":            {make: contradiction, stays: true},
		"contradiction-keep-xattr": {make: contradiction, keep: "xattr", load: 2},
		"contradiction-keep-file":  {make: contradiction, keep: "file", load: 3},
		"damaged": {make: func(r *qidRig) {
			r.append(xattrstore.ModeAuto, r.own, absent(1))
			r.flip("qidp.0", 9)
		}},
		"damaged-beside-file": {make: func(r *qidRig) {
			r.append(xattrstore.ModeFile, r.own, absent(1))
			r.set("qidp.0", []byte{1, 0, 0})
		}, load: 2},
		"damaged-file": {make: func(r *qidRig) {
			r.append(xattrstore.ModeAuto, r.own, absent(1))
			r.append(xattrstore.ModeFile, absent(2))
			r.flip(".qids", 30)
		}, load: 2},
		"newer": {make: func(r *qidRig) {
			r.append(xattrstore.ModeAuto, r.own)
			r.set("qidp.0", append([]byte{2, 0}, r.get("qidp.0")[2:]...))
		}, stays: true},
		"cut-header": {make: func(r *qidRig) {
			r.append(xattrstore.ModeAuto, r.own)
			value := r.get("qidp.0")
			r.set("qidp.1", value[5:])
			r.set("qidp.0", value[:5])
		}, stays: true, load: 1},
		"full-map": {make: func(r *qidRig) {
			r.append(xattrstore.ModeAuto, r.own, absent(1))
			r.number(qidpath.File{FS: r.own.FS, Dev: r.own.Dev, Ino: 1}, file(1, 1), file(1, 2), file(3, 1))
		}, load: 2},
		"full-map-damaged": {make: func(r *qidRig) {
			r.append(xattrstore.ModeAuto, absent(1))
			r.number(file(1, 1), file(1, 2), file(1, 3))
			r.flip(".fullmap", 60)
			r.flip(".fullmap", 3)
		}, load: 1},
		"full-map-newer": {make: func(r *qidRig) {
			r.append(xattrstore.ModeAuto, r.own)
			r.number(file(1, 1))
			r.flip(".fullmap", 1)
		}, stays: true, load: 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := tmpfsRig(t)
			c.make(r)
			repair, dry := []string{"repair"}, []string{"repair", "--dry-run"}
			if c.keep != "" {
				repair, dry = append(repair, "--keep", c.keep), append(dry, "--keep", c.keep)
			}
			before := r.load1()
			r.golden(name+".txt", []string{"dump"}, []string{"check"}, dry, []string{"check"}, repair, []string{"check"}, repair)
			if c.stays {
				r.want(exitFailure, "check")
			} else {
				r.want(exitOK, "check")
				got := r.load()
				if len(got) != c.load {
					t.Errorf("%d elements are loaded at last, want %d", len(got), c.load)
				}
				for i := range min(len(before), len(got)) {
					if got[i].Dev != before[i].Dev || got[i].InoPrefix != before[i].InoPrefix {
						t.Errorf("prefix %d was %+v and is %+v", i+1, before[i], got[i])
					}
				}
			}
		})
	}
}

// load1 returns what a daemon loads, if it can load anything.
func (r *qidRig) load1() []qidpath.Element {
	elements, _ := r.store(xattrstore.ModeAuto).Load()
	return elements
}

func contradiction(r *qidRig) {
	r.append(xattrstore.ModeFile, r.own, absent(1), absent(2))
	r.append(xattrstore.ModeXattr, absent(4), absent(5))
}

// file is a file of an absent file system.
func file(fs int, ino uint64) qidpath.File {
	e := absent(fs)
	return qidpath.File{FS: e.FS, Dev: e.Dev, Ino: ino}
}

// TestQIDJSON holds the JSON of all subcommands.
func TestQIDJSON(t *testing.T) {
	r := tmpfsRig(t)
	r.append(xattrstore.ModeAuto, r.own, absent(1), absent(3))
	r.append(xattrstore.ModeFile, absent(2))
	r.flip("qidf.0", 9)
	r.number(file(1, 1), file(1, 2))
	r.flip(".fullmap", 10)
	json := func(args ...string) []string { return append(args, "--json") }
	r.golden("json.txt", json("dump"), json("check"), json("repair", "--dry-run"), json("repair"), json("check"), json("repair"))
}

// TestQIDNamesOfMounts does not let names change what a terminal shows.
func TestQIDNamesOfMounts(t *testing.T) {
	r := tmpfsRig(t)
	r.dir = filepath.Join(r.dir, "a\x1b[2Jb")
	if err := os.Mkdir(r.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"dump"}, {"check"}, {"repair"}} {
		if out := r.want(exitOK, args...); strings.Contains(out, "\x1b") {
			t.Errorf("%q prints %q", args, out)
		}
	}
}
