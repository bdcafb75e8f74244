// SPDX-License-Identifier: Apache-2.0

//go:build boot

package ids

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// populate makes some dozen files of each kind. In each file system that is filled with
// it they have much the same inode numbers.
func populate(t *testing.T, dir string) {
	t.Helper()
	for sub := range 3 {
		folder := filepath.Join(dir, fmt.Sprint("folder-", sub))
		few(t, folder)
		deeper := filepath.Join(folder, "deeper")
		few(t, deeper)
		must(t, os.Symlink("file-0", filepath.Join(folder, "symlink")))
		must(t, unix.Mkfifo(filepath.Join(deeper, "fifo"), 0o644))
		must(t, unix.Mknod(filepath.Join(deeper, "device"), unix.S_IFCHR|0o644, int(unix.Mkdev(1, 3))))
	}
}

// few makes three files.
func few(t *testing.T, dir string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o755))
	for n := range 3 {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprint("file-", n)), []byte(fmt.Sprintln(n)), 0o644))
	}
}

// subvolumes fills a btrfs and subvolumes on it.
func subvolumes(t *testing.T, dir string) {
	t.Helper()
	few(t, filepath.Join(dir, "plain"))
	for _, name := range []string{"sub-0", "sub-1", "sub-1/inner"} {
		path := filepath.Join(dir, name)
		if out, err := exec.Command("btrfs", "subvolume", "create", path).CombinedOutput(); err != nil {
			t.Fatalf("btrfs subvolume create: %v\n%s", err, out)
		}
		few(t, filepath.Join(path, "files"))
	}
}

// layer returns a function that fills a layer of an overlay: with a folder of its own, and
// a folder that others have too.
func layer(name string) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		few(t, filepath.Join(dir, "layer", "of-"+name))
		must(t, os.MkdirAll(filepath.Join(dir, "layer", "both"), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, "layer", "both", "from-"+name), nil, 0o644))
		for _, folder := range []string{"upper", "work"} {
			must(t, os.MkdirAll(filepath.Join(dir, folder), 0o755))
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
