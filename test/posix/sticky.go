// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// sticky: in such a folder only the owners, of the file or of the folder, and root
// remove and rename.
func sticky(t *T) {
	owners := []*caller{t.root, t.alice, t.bob}
	t.must("mkdir", t.root.mkdir(t.path("out"), 0o777))
	for _, k := range kinds {
		for _, bit := range []uint32{0, 0o1000} {
			for _, dirOf := range owners {
				for _, fileOf := range owners {
					for _, by := range []*caller{t.alice, t.root} {
						if by == t.root && (bit == 0 || dirOf == t.root || fileOf == t.root) {
							continue
						}
						what := fmt.Sprintf("%s, %s of %s's in %s's, by %s", octal(bit|0o777), k.name, fileOf.name, dirOf.name, by.name)
						want := unix.Errno(0)
						if bit != 0 && by != t.root && dirOf != by && fileOf != by {
							want = unix.EPERM
						}
						dir := t.path("d")
						if !t.exists(dir) {
							t.folder(dir, t.root, 0o777)
						}
						t.give(dir, dirOf, bit|0o777)
						f := dir + "/f"
						try := func(how string, e unix.Errno, f func() unix.Errno) {
							if e == 0 {
								t.is(what+", "+how, f(), e)
							} else {
								t.refuses(what+", "+how, e, f, dir)
							}
						}
						t.a(k, f, fileOf, 0o777)
						try("rename", want, func() unix.Errno { return by.rename(f, dir+"/g") })
						if t.exists(dir + "/g") {
							t.must("rename", t.root.rename(dir+"/g", f))
						}
						// A folder of another's would get a new "..".
						away := want
						if k == directory && away == 0 && by != t.root && fileOf != by {
							away = 0 // its mode gives everybody the right
						}
						try("rename away", away, func() unix.Errno { return by.rename(f, t.path("out", "g")) })
						if t.exists(t.path("out", "g")) {
							t.must("rename", t.root.rename(t.path("out", "g"), f))
						}
						t.a(k, dir+"/mine", by, 0o777)
						try("rename over", want, func() unix.Errno { return by.rename(dir+"/mine", f) })
						if t.exists(dir + "/mine") {
							t.must("remove", k.remove(t.root, dir+"/mine"))
						} else {
							t.give(f, fileOf, 0o777)
						}
						try("remove", want, func() unix.Errno { return k.remove(by, f) })
						if t.exists(f) {
							t.must("remove", k.remove(t.root, f))
						}
					}
				}
			}
		}
	}
	t.must("rmdir", t.root.rmdir(t.path("d")))
	t.group("opening", func(t *T) { // fs.protected_regular and fs.protected_fifos
		t.must("mkdir", t.root.mkdir(t.path("d"), 0o777))
		t.must("chmod", t.root.chmod(t.path("d"), 0o1777))
		t.file(t.path("d", "f"), "f", 0o666)
		t.give(t.path("d", "f"), t.alice, 0o666)
		t.is("another's without O_CREAT", t.bob.opens(t.path("d", "f"), unix.O_RDWR), unix.Errno(0))
		want := unix.Errno(0)
		if protected("regular") {
			want = unix.EACCES
		}
		t.is("another's with O_CREAT", t.bob.opens(t.path("d", "f"), unix.O_RDWR|unix.O_CREAT), want)
		t.is("one's own with O_CREAT", t.alice.opens(t.path("d", "f"), unix.O_RDWR|unix.O_CREAT), unix.Errno(0))
	})
}
