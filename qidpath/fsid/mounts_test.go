// SPDX-License-Identifier: Apache-2.0

package fsid

import (
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParse(t *testing.T) {
	const text = "36 35 98:0 /mnt1 /mnt/od\\040d\\134x rw,noatime master:1 shared:2 - ext3 /dev/ro\\040ot rw,errors=continue\n" +
		"24 1 253:0 / / rw - ext4 /dev/vda rw\n" +
		"too short\n" +
		"x 1 253:0 / / rw - ext4 /dev/vda rw\n" +
		"1 1 253 / / rw - ext4 /dev/vda rw\n" +
		"25 24 0:22 / /empty rw - tmpfs  rw\n" +
		"26 24 0:23 / /srv/a\\040b\\134c\\011\\04 rw - tmpfs none rw"
	want := []Mount{
		{36, 35, unix.Mkdev(98, 0), "/mnt1", `/mnt/od d\x`, "ext3", "/dev/ro ot"},
		{24, 1, unix.Mkdev(253, 0), "/", "/", "ext4", "/dev/vda"},
		{25, 24, unix.Mkdev(0, 22), "/", "/empty", "tmpfs", ""},
		{26, 24, unix.Mkdev(0, 23), "/", "/srv/a b\\c\t\\04", "tmpfs", "none"},
	}
	if got := slices.Collect(Mounts([]byte(text))); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

func FuzzMounts(f *testing.F) {
	f.Add("36 35 98:0 /mnt1 /mnt/od\\040d rw,noatime master:1 - ext3 /dev/root rw\n")
	f.Add("1 2 3:4 \\ \\0 \\777 - \\08 \\400")
	f.Fuzz(func(t *testing.T, text string) {
		for m := range Mounts([]byte(text)) {
			m.Below("/")
		}
	})
}

func TestBelow(t *testing.T) {
	for _, c := range []struct{ point, path, want string }{
		{"/srv/share", "/srv/share", "."},
		{"/srv/share/a/b", "/srv/share", "a/b"},
		{"/srv/shared", "/srv/share", ""},
		{"/srv", "/srv/share", ""},
		{"/", "/", "."},
		{"/a", "/", "a"},
	} {
		m := Mount{Point: c.point}
		if rel, ok := m.Below(c.path); rel != c.want || ok != (c.want != "") {
			t.Errorf("%s below %s: %q, %v", c.point, c.path, rel, ok)
		}
	}
}

// All that a tree can reach is found, once, and nothing else.
func TestBeneath(t *testing.T) {
	privateMounts(t)
	img, img2 := image(t, 16<<20, "mkfs.ext4", "-q", "-U", testUUID), image(t, 16<<20, "mkfs.ext4", "-q")
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	ext4 := mounted(t, attach(t, img), root, "a/ext4", "ext4", 0, "")
	tmpfs := mounted(t, "none", root, "tmpfs", "tmpfs", 0, "")
	bound := mounted(t, ext4, root, "bound", "", unix.MS_BIND, "")
	mounted(t, attach(t, img2), root, "covered", "ext4", 0, "")
	cover := mounted(t, "none", root, "covered", "tmpfs", 0, "")
	mounted(t, "none", dir, "beside", "tmpfs", 0, "")
	_ = bound

	fd, err := unix.Open(root, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	dev := func(path string) uint64 {
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			t.Fatal(err)
		}
		return st.Dev
	}
	want := map[uint64]Identity{dev(root): of(t, root), dev(ext4): testIdentity, dev(tmpfs): {}, dev(cover): {}}
	live := Beneath(fd, -1, root, mountinfo(t), nil)
	for _, l := range live {
		id, ok := want[l.Dev]
		if !ok || id != l.Identity {
			t.Errorf("%+v, want %x", l, id)
		}
		delete(want, l.Dev)
	}
	if len(want) > 0 {
		t.Errorf("not found: %v; found %+v", want, live)
	}
	only := Beneath(fd, -1, root, mountinfo(t), func(m *Mount) bool { return m.Type == "ext4" && m.Point == ext4 })
	if len(only) != 1 || only[0].Identity != testIdentity || only[0].Mount.Point != ext4 {
		t.Errorf("only one: %+v", only)
	}
}

func TestContaining(t *testing.T) {
	const text = "1 1 253:0 / / rw - ext4 a rw\n2 1 253:1 / /srv rw - ext4 b rw\n3 2 253:2 / /srv rw - ext4 c rw\n4 1 253:3 / /srv/share2 rw - ext4 d rw\n"
	for path, source := range map[string]string{"/srv/share": "c", "/srv": "c", "/home": "a", "/": "a", "/srv/share2/x": "d"} {
		if m, ok := containing(path, []byte(text)); !ok || m.Source != source {
			t.Errorf("%s is on %s, want %s", path, m.Source, source)
		}
	}
	if _, ok := containing("/", nil); ok {
		t.Error("found a mount in nothing")
	}
}
