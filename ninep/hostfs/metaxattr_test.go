// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// hostAttrs are what fill leaves in the attributes user.virtfs.*, in hexadecimal.
var hostAttrs = map[string]map[string]string{
	"file": {"uid": "e8030000", "gid": "d0070000", "mode": "a0890000"},
	"dir":  {"uid": "e9030000", "gid": "d1070000", "mode": "e9450000"},
	"link": {"uid": "e9030000", "gid": "d2070000", "mode": "ffa10000"},
	"chr":  {"uid": "e9030000", "gid": "d3070000", "mode": "90210000", "rdev": "45bc3a1200000000"},
	"blk":  {"uid": "e9030000", "gid": "d3070000", "mode": "80610000", "rdev": "0108000000000000"},
	"fifo": {"uid": "e9030000", "gid": "d4070000", "mode": "a4110000"},
	"sock": {"uid": "e9030000", "gid": "d5070000", "mode": "edc10000"},
}

// virtfsAttrs returns a file's attributes of that kind.
func virtfsAttrs(t *testing.T, path string) map[string]string {
	t.Helper()
	list := make([]byte, 4096)
	n, err := unix.Listxattr(path, list)
	if err != nil {
		t.Fatal(err)
	}
	attrs := map[string]string{}
	for _, name := range strings.Split(string(list[:n]), "\x00") {
		if short, ok := strings.CutPrefix(name, "user.virtfs."); ok {
			v := make([]byte, 100)
			n, err := unix.Getxattr(path, name, v)
			if err != nil {
				t.Fatal(err)
			}
			attrs[short] = hex.EncodeToString(v[:n])
		}
	}
	return attrs
}

func TestMetaXattrBytes(t *testing.T) {
	r := newMappedRig(t, Config{Model: MappedXattr})
	r.fill()
	for name, want := range hostAttrs {
		got := virtfsAttrs(t, r.path(name))
		if len(got) != len(want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		for attr, v := range want {
			if got[attr] != v {
				t.Errorf("%s: %s is %s, want %s", name, attr, got[attr], v)
			}
		}
	}
	// Changes touch what they are of.
	f, _ := r.walk("dir")
	r.must(f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetGID, GID: 0xfffffffe}))
	if got := virtfsAttrs(t, r.path("dir")); got["gid"] != "feffffff" || got["uid"] != "e9030000" || got["mode"] != "e9450000" {
		t.Errorf("after a change of the group: %v", got)
	}
}

// TestMetaXattrRead serves what another server wrote.
func TestMetaXattrRead(t *testing.T) {
	r := newMappedRig(t, Config{Model: MappedXattr})
	for name, attrs := range hostAttrs {
		switch name {
		case "dir":
			r.mkdir(name)
		case "file":
			r.put(name, "content")
		case "link":
			r.put(name, "to/the target")
		default:
			r.put(name, "")
		}
		for attr, v := range attrs {
			raw, err := hex.DecodeString(v)
			r.must(err)
			r.must(unix.Setxattr(r.path(name), "user.virtfs."+attr, raw, 0))
		}
	}
	r.check(seen)

	// Attributes of another size are nobody's, and types that a regular file cannot stand
	// for are not believed.
	r.put("odd", "")
	r.must(os.Chmod(r.path("odd"), 0o604))
	for attr, v := range map[string]string{"uid": "e80300", "gid": "", "mode": strings.Repeat("\x01", 100)} {
		r.must(unix.Setxattr(r.path("odd"), "user.virtfs."+attr, []byte(v), 0))
	}
	own := ninep.Attr{Mode: unix.S_IFREG | 0o604, UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	r.check(map[string]ninep.Attr{"odd": own})
	r.must(unix.Setxattr(r.path("odd"), "user.virtfs.mode", []byte{0xff, 0x41, 0, 0}, 0)) // a directory
	own.Mode = unix.S_IFREG | 0o777
	r.check(map[string]ninep.Attr{"odd": own})
	r.mkdir("d")
	r.must(unix.Setxattr(r.path("d"), "user.virtfs.mode", []byte{0xff, 0xa1, 0, 0}, 0)) // a symlink
	own.Mode = unix.S_IFDIR | 0o777
	r.check(map[string]ninep.Attr{"d": own})
}

// Access control lists are kept where the host does not obey them.
func TestMetaXattrACLs(t *testing.T) {
	r := newMappedRig(t, Config{Model: MappedXattr})
	d, _ := r.walk()
	_, err := d.Mkdir(r.c, ninep.Name("d"), 0o755, 0)
	r.must(err)
	d, _ = r.walk("d")
	for _, name := range []string{"access", "default"} {
		guest, host := "system.posix_acl_"+name, "user.virtfs.system.posix_acl_"+name
		_, err := d.GetXattr(r.c, ninep.Name(guest))
		r.want(err, unix.ENODATA)
		r.must(d.RemoveXattr(r.c, guest))
		r.must(d.SetXattr(r.c, guest, []byte("list"), 0))
		v := make([]byte, 10)
		if n, err := unix.Getxattr(r.path("d"), host, v); err != nil || string(v[:n]) != "list" {
			t.Errorf("%s: %q, %v", host, v[:n], err)
		}
		if v, err := d.GetXattr(r.c, ninep.Name(guest)); err != nil || string(v) != "list" {
			t.Errorf("%s: %q, %v", guest, v, err)
		}
		if list, err := d.ListXattr(r.c); err != nil || string(list) != guest+"\x00" {
			t.Errorf("list %q, %v", list, err)
		}
		r.must(d.RemoveXattr(r.c, guest))
	}
}

// A change that fails half way leaves what was before.
func TestMetaXattrAllOrNothing(t *testing.T) {
	r := newMappedRig(t, Config{Model: MappedXattr})
	r.put("f", "")
	f, _ := r.walk("f")
	// ext4 has no room for more than a block of attributes.
	for i, size := 0, 4000; size > 0; {
		name := "user.fill" + string(rune('a'+i))
		if unix.Setxattr(r.path("f"), name, make([]byte, size), 0) == nil {
			i++
		} else {
			size /= 2
		}
		if i > 20 {
			t.Skip("needs a file system with little room for attributes")
		}
	}
	before := virtfsAttrs(t, r.path("f"))
	r.want(f.SetAttr(r.c, &ninep.SetAttr{Valid: ninep.SetUID | ninep.SetGID | ninep.SetMode, UID: 1, GID: 2, Mode: 3}), unix.ENOSPC)
	if after := virtfsAttrs(t, r.path("f")); len(before) != 0 || len(after) != 0 {
		t.Errorf("before %v, after %v", before, after)
	}
}

func TestMetaXattrNeedsAttributes(t *testing.T) {
	root, err := os.Open("/proc")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := TakesXattrs(root); err == nil {
		t.Error("/proc has attributes")
	}
	if got := DefaultModel(root); got == MappedXattr {
		t.Error("the default for /proc is mapped-xattr")
	}
}
