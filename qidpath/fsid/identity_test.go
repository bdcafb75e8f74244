// SPDX-License-Identifier: Apache-2.0

package fsid

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

const testUUID = "3d6f1c5e-8a90-4b2f-9c07-51d2e3f4a5b6"

var testIdentity = func() (id Identity) {
	b, _ := hex.DecodeString("3d6f1c5e8a904b2f9c0751d2e3f4a5b6")
	copy(id[:], b)
	return id
}()

// File systems on disks have the UUID that was given to them, on any device, asked
// through directories and files alike.
func TestUUIDs(t *testing.T) {
	for name, c := range map[string]struct {
		size int64
		mkfs []string
		old  func(fd int) (Identity, bool)
	}{
		"ext4": {16 << 20, []string{"mkfs.ext4", "-q", "-U", testUUID}, ext4UUID},
		"xfs":  {320 << 20, []string{"mkfs.xfs", "-q", "-m", "uuid=" + testUUID}, xfsUUID},
	} {
		t.Run(name, func(t *testing.T) {
			privateMounts(t)
			img, dir := image(t, c.size, c.mkfs...), t.TempDir()
			for range 2 {
				mnt := mounted(t, attach(t, img), dir, "mnt", name, 0, "")
				if id := of(t, mnt); id != testIdentity {
					t.Errorf("identity %x", id)
				}
				file := filepath.Join(mnt, "file")
				if err := os.WriteFile(file, nil, 0o000); err != nil {
					t.Fatal(err)
				}
				if id := of(t, file); id != testIdentity {
					t.Errorf("of a file: identity %x", id)
				}
				fd, err := unix.Open(mnt, unix.O_RDONLY|unix.O_CLOEXEC, 0)
				if err != nil {
					t.Fatal(err)
				}
				// What older kernels are asked gives the same.
				if id, ok := c.old(fd); !ok || id != testIdentity {
					t.Errorf("the older way: %x, %v", id, ok)
				}
				_ = unix.Close(fd)
				if err := unix.Unmount(mnt, 0); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestNoUUID(t *testing.T) {
	privateMounts(t)
	img := image(t, 16<<20, "mkfs.ext4", "-q", "-U", "00000000-0000-0000-0000-000000000000")
	mnt := mounted(t, attach(t, img), t.TempDir(), "mnt", "ext4", 0, "")
	if id := of(t, mnt); id != (Identity{}) {
		t.Errorf("identity %x", id)
	}
}

// Each subvolume of btrfs is a file system of its own, which keeps its identity.
func TestSubvolumes(t *testing.T) {
	privateMounts(t)
	img, dir := image(t, 128<<20, "mkfs.btrfs", "-q"), t.TempDir()
	var before []Identity
	for range 2 {
		mnt := mounted(t, attach(t, img), dir, "mnt", "btrfs", 0, "")
		var ids []Identity
		for _, name := range []string{"a", "b"} {
			path := filepath.Join(mnt, name)
			if before == nil {
				run(t, "btrfs", "subvolume", "create", path)
			}
			ids = append(ids, of(t, path))
		}
		ids = append(ids, of(t, mnt))
		if ids[0] == ids[1] || ids[0] == ids[2] || ids[1] == ids[2] || ids[0] == (Identity{}) {
			t.Errorf("identities %x", ids)
		}
		for i := range before {
			if ids[i] != before[i] {
				t.Errorf("identity %x was %x", ids[i], before[i])
			}
		}
		before = ids
		if err := unix.Unmount(mnt, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// What is in memory, or shows several file systems as one, has no identity.
func TestWithoutIdentity(t *testing.T) {
	privateMounts(t)
	dir := t.TempDir()
	tmpfs := mounted(t, "none", dir, "tmpfs", "tmpfs", 0, "")
	for _, name := range []string{"lower", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(tmpfs, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	overlay := mounted(t, "none", dir, "overlay", "overlay", 0,
		"lowerdir="+tmpfs+"/lower,upperdir="+tmpfs+"/upper,workdir="+tmpfs+"/work")
	file := filepath.Join(overlay, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{tmpfs, overlay, file, "/proc", "/sys"} {
		if id := of(t, path); id != (Identity{}) {
			t.Errorf("%s: identity %x", path, id)
		}
	}
}

// What cannot be opened without a side effect is not.
func TestSpecialFiles(t *testing.T) {
	privateMounts(t)
	img := image(t, 16<<20, "mkfs.ext4", "-q", "-U", testUUID)
	mnt := mounted(t, attach(t, img), t.TempDir(), "mnt", "ext4", 0, "")
	fifo := filepath.Join(mnt, "fifo")
	if err := unix.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(fifo, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if id, err := Of(fd, -1); id != (Identity{}) || err != nil {
		t.Errorf("%x, %v", id, err)
	}
}

func TestFailures(t *testing.T) {
	if id, err := Of(-1, -1); id != (Identity{}) || err != nil {
		t.Errorf("no descriptor: %x, %v", id, err)
	}
	if passing(unix.EACCES) != nil || passing(unix.EMFILE) == nil {
		t.Error("a lack of descriptors passes, one of permissions does not")
	}
}
