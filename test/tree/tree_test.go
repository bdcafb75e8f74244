// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/rig"
)

var small = Spec{Seed: 1, Files: 1500, Big: 40 << 20}

func manifestOf(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	if err := Manifest(&b, root); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func generate(t *testing.T, s Spec) string {
	t.Helper()
	rig.NeedRoot(t)
	root := filepath.Join(t.TempDir(), "tree")
	if err := Generate(root, s); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestSameSeedSameTree(t *testing.T) {
	one := manifestOf(t, generate(t, small))
	if err := Compare(one, manifestOf(t, generate(t, small))); err != nil {
		t.Error(err)
	}
	if n := strings.Count(one, "\n"); n != small.Files+1 {
		t.Errorf("%d lines, want %d", n, small.Files+1)
	}
	other := small
	other.Seed++
	if Compare(one, manifestOf(t, generate(t, other))) == nil {
		t.Error("another seed made the same tree")
	}
}

// TestKinds checks that the tree has what the tests rely on.
func TestKinds(t *testing.T) {
	m := manifestOf(t, generate(t, small))
	for _, want := range []string{
		"\" -", "\" d", "\" l", "\" p", "\" s", "\" c", "\" b", " holes", "same=", "\"user.", "size=0 ", "\\xff",
		"-4755", "d1777", "-7777", ":4294967293", "mtime=-", strings.Repeat("long", 60), "size=41943040",
	} {
		if !strings.Contains(m, want) {
			t.Errorf("nothing in the tree has %q", want)
		}
	}
}

// TestManifestSeesEveryChange makes one change of each sort.
func TestManifestSeesEveryChange(t *testing.T) {
	root := generate(t, Spec{Seed: 2, Files: 3})
	file, folder := filepath.Join(root, "f"), filepath.Join(root, "d")
	if err := os.WriteFile(file, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	changes := map[string]func() error{
		"mode":    func() error { return os.Chmod(file, 0o640) },
		"set-id":  func() error { return unix.Chmod(file, 0o4640) },
		"owner":   func() error { return os.Chown(file, 7, -1) },
		"group":   func() error { return os.Chown(file, -1, 7) },
		"content": func() error { return os.WriteFile(file, []byte("c0ntent"), 0o644) },
		"size":    func() error { return os.Truncate(file, 3) },
		"xattr":   func() error { return unix.Setxattr(file, "user.a", []byte("1"), 0) },
		"value":   func() error { return unix.Setxattr(file, "user.a", []byte("2"), 0) },
		"dirattr": func() error { return unix.Setxattr(folder, "user.a", []byte("1"), 0) },
		"link":    func() error { return os.Link(file, filepath.Join(folder, "g")) },
		"name":    func() error { return os.Rename(file, file+"\xff") },
		"mtime": func() error {
			return unix.UtimesNanoAt(unix.AT_FDCWD, folder, []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: 5, Nsec: 1}}, 0)
		},
		"atime": func() error {
			return unix.UtimesNanoAt(unix.AT_FDCWD, folder, []unix.Timespec{{Sec: 5, Nsec: 1}, {Nsec: unix.UTIME_OMIT}}, 0)
		},
	}
	for _, name := range []string{
		"mode", "set-id", "owner", "group", "content", "size", "xattr", "value", "dirattr", "link", "name", "mtime", "atime",
	} {
		before := manifestOf(t, root)
		if err := changes[name](); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if Compare(before, manifestOf(t, root)) == nil {
			t.Errorf("%s: the manifest is the same as before", name)
		}
	}
}
