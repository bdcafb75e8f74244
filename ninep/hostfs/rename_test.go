// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

func TestRename(t *testing.T) {
	r := newRig(t)
	r.mkdir("a/sub")
	r.mkdir("b")
	r.put("a/f", "f")
	r.put("b/g", "g")
	f := r.open(unix.O_RDWR, "a", "f")
	b := r.walk("b")
	r.must(f.Rename(r.c, b, ninep.Name("f2")))
	r.must(f.Rename(r.c, r.root, ninep.Name("f3"))) // its place is known
	r.must(f.Rename(r.c, b, ninep.Name("g")))       // over another
	if got := r.read(r.open(unix.O_RDONLY, "b", "g"), 0, 9); got != "f" {
		t.Errorf("b/g is %q", got)
	}
	r.write(f, 0, "F")
	r.must(r.walk("a", "sub").Rename(r.c, b, ninep.Name("sub")))
	r.want(r.walk("b").Rename(r.c, r.walk("b", "sub"), ninep.Name("loop")), unix.EINVAL)
	r.must(r.walk("b").Rename(r.c, r.root, ninep.Name("a")))
	r.want(r.root.Rename(r.c, b, ninep.Name("root")), unix.EBUSY)
	r.mkdir("e")
	r.want(r.walk("a", "g").Rename(r.c, r.root, ninep.Name("e")), unix.EISDIR)
}

func TestRenameAt(t *testing.T) {
	r := newRig(t)
	r.mkdir("a")
	r.put("f", "f")
	r.put("a/g", "g")
	f, g := r.open(unix.O_RDONLY, "f"), r.open(unix.O_RDWR, "a", "g")
	a := r.walk("a")
	r.must(r.root.RenameAt(r.c, ninep.Name("f"), a, ninep.Name("g")))
	if r.read(f, 0, 9) != "f" || r.read(g, 0, 9) != "g" {
		t.Error("open files have changed")
	}
	r.write(g, 0, "G")
	if r.attr(f).NLink != 1 || r.attr(g).NLink != 0 {
		t.Error("links are wrong")
	}
	r.want(r.root.RenameAt(r.c, ninep.Name("f"), a, ninep.Name("x")), unix.ENOENT)
	r.want(r.root.RenameAt(r.c, ninep.Name("a"), a, ninep.Name("x")), unix.EINVAL)
	r.want(f.RenameAt(r.c, ninep.Name("a"), a, ninep.Name("x")), unix.ENOTDIR)
}

func TestUnlinkAt(t *testing.T) {
	r := newRig(t)
	r.mkdir("d/sub")
	r.put("f", "")
	r.want(r.root.UnlinkAt(r.c, ninep.Name("d"), 0), unix.EISDIR)
	r.want(r.root.UnlinkAt(r.c, ninep.Name("d"), unix.AT_REMOVEDIR), unix.ENOTEMPTY)
	r.want(r.root.UnlinkAt(r.c, ninep.Name("f"), unix.AT_REMOVEDIR), unix.ENOTDIR)
	r.must(r.walk("d").UnlinkAt(r.c, ninep.Name("sub"), unix.AT_REMOVEDIR))
	r.must(r.root.UnlinkAt(r.c, ninep.Name("d"), unix.AT_REMOVEDIR))
	r.must(r.root.UnlinkAt(r.c, ninep.Name("f"), 0))
	r.want(r.root.UnlinkAt(r.c, ninep.Name("f"), 0), unix.ENOENT)
}

// A fid's name is checked before it is used, and found again if it is no longer
// right.
func TestRemoveFindsItsName(t *testing.T) {
	r := newRig(t)
	r.mkdir("a/b")
	r.mkdir("c")
	r.put("a/b/f", "victim")
	r.put("a/b/g", "bystander")
	f := r.walk("a", "b", "f")
	r.must(os.Rename(r.path("a", "b", "f"), r.path("c", "new name")))
	r.must(os.Rename(r.path("a", "b", "g"), r.path("a", "b", "f"))) // takes the old name
	r.must(os.Rename(r.path("c"), r.path("a", "c")))
	r.must(f.Remove(r.c))
	if _, err := os.Stat(r.path("a", "b", "f")); err != nil {
		t.Error("removed another file")
	}
	if _, err := os.Stat(r.path("a", "c", "new name")); err == nil {
		t.Error("not removed")
	}

	// Out of the export it is out of reach, by the root that was attached.
	outside := t.TempDir()
	g := r.walk("a", "b", "f")
	sub := r.attach("a/b")
	defer sub.Close(nil)
	h, _, err := r.walkFrom(sub, "f")
	r.must(err)
	defer h.Close(nil)
	r.must(os.Rename(r.path("a", "b", "f"), r.path("elsewhere")))
	r.want(h.Remove(r.c), unix.ENOENT)
	r.must(os.Rename(r.path("elsewhere"), outside+"/f"))
	r.want(g.Remove(r.c), unix.ENOENT)
	r.want(g.Rename(r.c, r.root, ninep.Name("back")), unix.ENOENT)
	if _, err := os.Stat(outside + "/f"); err != nil {
		t.Error(err)
	}

	// A second name is not what the fid was walked to.
	r.put("one", "")
	r.must(os.Link(r.path("one"), r.path("two")))
	two, one := r.walk("two"), r.walk("one")
	r.must(os.Remove(r.path("one")))
	r.must(os.Link(r.path("two"), r.path("three")))
	r.want(one.Remove(r.c), unix.ENOENT)
	r.want(one.Rename(r.c, r.root, ninep.Name("four")), unix.ENOENT)
	r.must(two.Remove(r.c))
	r.must(os.Remove(r.path("three")))

	d := r.walk("a", "c")
	r.must(os.Rename(r.path("a", "c"), r.path("d")))
	r.must(d.Remove(r.c))
	r.want(r.root.Remove(r.c), unix.EBUSY)
}
