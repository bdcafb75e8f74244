// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
)

func (r *rig) run(args ...string) string {
	r.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		r.Fatalf("%q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// image makes an ext4 file system in a file.
func (r *rig) image() string {
	r.Helper()
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		r.Skip("needs mkfs.ext4")
	}
	path := filepath.Join(r.TempDir(), "image")
	r.must(os.WriteFile(path, nil, 0o600))
	r.must(os.Truncate(path, 16<<20))
	r.run("mkfs.ext4", "-q", path)
	return path
}

// loops attaches loop devices to images, one after the other, and returns them.
func (r *rig) loops(images ...string) []string {
	r.Helper()
	var devices []string
	for _, image := range images {
		devices = append(devices, r.run("losetup", "--find", "--show", image))
	}
	return devices
}

func (r *rig) detach(devices ...string) {
	for _, d := range devices {
		_ = exec.Command("losetup", "--detach", d).Run()
	}
}

// pathOf returns the QID path of a file, which must be what the listing of its
// directory says, too.
func (r *rig) pathOf(names ...string) uint64 {
	r.Helper()
	qid, err := r.qidOf(names...)
	r.must(err)
	dir, _, err := r.walkFrom(r.root, names[:len(names)-1]...)
	r.must(err)
	defer dir.Close(nil)
	_, err = dir.Open(r.c, unix.O_RDONLY)
	r.must(err)
	for _, e := range r.list(dir, 8192) {
		if string(e.Name) == names[len(names)-1] && e.QID.Path != qid.Path {
			r.Errorf("%v: path %#x, in the listing %#x", names, qid.Path, e.QID.Path)
		}
	}
	return qid.Path
}

func deviceOf(t testing.TB, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Dev
}

// While the daemon runs, file systems are mounted again under each other's device
// numbers: files keep their paths, and get nobody else's.
func TestDeviceNumbersChange(t *testing.T) {
	privateMounts(t)
	r := newRig(t)
	a, b := r.image(), r.image()
	r.mkdir("a")
	r.mkdir("b")
	devices := r.loops(a, b)
	t.Cleanup(func() { r.detach(devices...) })
	r.mount(devices[0], r.path("a"), "ext4", 0)
	r.mount(devices[1], r.path("b"), "ext4", 0)
	r.put("a/f", "in a")
	r.put("b/f", "in b")
	all := [][]string{{"a"}, {"b"}, {"a", "f"}, {"b", "f"}}
	before := map[uint64]int{}
	for i, names := range all {
		before[r.pathOf(names...)] = i
	}
	if len(before) != len(all) {
		t.Fatalf("paths %x", before)
	}
	for range 3 {
		r.must(unix.Unmount(r.path("a"), 0))
		r.must(unix.Unmount(r.path("b"), 0))
		a, b = b, a
		r.detach(devices...)
		// Each gets the other's.
		for i, image := range []string{a, b} {
			r.run("losetup", devices[i], image)
		}
		for i := range devices {
			name := "a"
			if content(r, devices[i]) == "in b" {
				name = "b"
			}
			r.mount(devices[i], r.path(name), "ext4", 0)
		}
		for i, names := range all {
			path := r.pathOf(names...)
			if j, ok := before[path]; !ok || j != i {
				t.Errorf("%v has the path %#x now", names, path)
			}
		}
	}
}

// content mounts a device for a moment and reads the file f.
func content(r *rig, device string) string {
	dir := r.TempDir()
	r.must(unix.Mount(device, dir, "ext4", 0, ""))
	text, err := os.ReadFile(filepath.Join(dir, "f"))
	r.must(errors.Join(err, unix.Unmount(dir, 0)))
	return string(text)
}

// Two copies of one file system are told apart, in whichever order they are met.
func TestCopiesOfAFileSystem(t *testing.T) {
	for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
		t.Run(strings.Join(order, " then "), func(t *testing.T) {
			privateMounts(t)
			r := newRig(t)
			a := r.image()
			b := a + ".copy"
			r.run("cp", "--sparse=always", a, b)
			devices := r.loops(a, b)
			t.Cleanup(func() { r.detach(devices...) })
			for i, name := range []string{"a", "b"} {
				r.mkdir(name)
				r.mount(devices[i], r.path(name), "ext4", 0)
			}
			first, second := r.pathOf(order[0]), r.pathOf(order[1])
			if first == second {
				t.Errorf("one path for two: %#x", first)
			}
			if second>>48 != first>>48+1 {
				t.Errorf("paths %#x and %#x", first, second)
			}
		})
	}
}

// The copy of what was seen before, under its number, gets nothing of it.
func TestCopyOfWhatWasSeen(t *testing.T) {
	privateMounts(t)
	r := newRig(t)
	a := r.image()
	b := a + ".copy"
	r.run("cp", "--sparse=always", a, b)
	devices := r.loops(a, b)
	t.Cleanup(func() { r.detach(devices...) })
	r.mkdir("a")
	r.mkdir("b")
	r.mount(devices[0], r.path("a"), "ext4", 0)
	first := r.pathOf("a")
	r.mount(devices[1], r.path("b"), "ext4", 0)
	second := r.pathOf("b")
	if first == second || r.pathOf("a") != first {
		t.Errorf("paths %#x, %#x, then %#x", first, second, r.pathOf("a"))
	}
	r.must(unix.Unmount(r.path("a"), 0))
	if again := r.pathOf("b"); again != second {
		t.Errorf("path %#x was %#x", again, second)
	}
}

// A subvolume that is made after another was deleted may get its device number, and
// inode numbers are the same in each: all their files have paths of their own.
func TestSubvolumesComeAndGo(t *testing.T) {
	dir := newFileSystem(t, "btrfs", 128<<20, "mkfs.btrfs", "-q")
	r := newRigAt(t, dir, Config{})
	paths, numbers := map[uint64]int{}, map[uint64]int{}
	for i := range 6 {
		r.run("btrfs", "subvolume", "create", r.path("sub"))
		r.put("sub/f", "data")
		numbers[deviceOf(t, r.path("sub"))]++
		for _, names := range [][]string{{"sub"}, {"sub", "f"}} {
			path := r.pathOf(names...)
			if before, ok := paths[path]; ok {
				t.Errorf("%v has the path %#x, as in round %d", names, path, before)
			}
			paths[path] = i
			if again := r.pathOf(names...); again != path {
				t.Errorf("%v has the path %#x, then %#x", names, path, again)
			}
		}
		r.run("btrfs", "subvolume", "delete", "--commit-after", r.path("sub"))
		r.run("btrfs", "subvolume", "sync", dir)
	}
	if len(numbers) == 6 {
		t.Logf("no device number was used twice: %v", numbers)
	}
}

// Mounts elsewhere make the FS ask again, and change nothing.
func TestPathsOutliveMounts(t *testing.T) {
	privateMounts(t)
	r := newRig(t)
	r.mkdir("m")
	r.mount("none", r.path("m"), "tmpfs", 0)
	r.put("f", "")
	r.put("m/f", "")
	all := [][]string{{"f"}, {"m"}, {"m", "f"}}
	var before []uint64
	for range 4 {
		for i, names := range all {
			path := r.pathOf(names...)
			if len(before) == len(all) && path != before[i] {
				t.Errorf("%v has the path %#x, which was %#x", names, path, before[i])
			}
			if len(before) < len(all) {
				before = append(before, path)
			}
		}
		r.mount("none", t.TempDir(), "tmpfs", 0)
	}
}

// Of numbers of the full map that a listing shows, none is shown before all of them are
// durable, by one sync.
func TestListingSettlesOnce(t *testing.T) {
	r := newRig(t)
	for i := range 50 {
		r.put(string(rune('a'+i)), "")
	}
	full := &countingMap{}
	table := qidpath.New(qidpath.Config{Store: fullStore{}, FullMap: full})
	r.fs.qidPaths = table
	dir := r.open(unix.O_RDONLY)
	full.syncs = 0
	if n := len(r.list(dir, 8192)); n != 52 {
		t.Errorf("%d entries", n)
	}
	if full.unsynced != 0 || full.syncs != 1 || full.n < 50 {
		t.Errorf("%d numbers, %d of them not synced, %d syncs", full.n, full.unsynced, full.syncs)
	}
}

// fullStore is a store that has no room for elements.
type fullStore struct{}

func (fullStore) Load() ([]qidpath.Element, error) {
	all := make([]qidpath.Element, qidpath.MaxElements)
	for i := range all {
		all[i].FS = qidpath.DeviceIdentity(1<<40 + uint64(i))
	}
	return all, nil
}
func (s fullStore) Append(known int, _ []qidpath.Element) ([]qidpath.Element, error) {
	all, _ := s.Load()
	return all[known:], nil
}
func (fullStore) Identify(int, qidpath.Identity) error { return nil }
func (fullStore) Flush() error                         { return nil }
func (fullStore) Close() error                         { return nil }

// countingMap is a full map in memory.
type countingMap struct {
	n        uint64
	unsynced int
	syncs    int
}

func (m *countingMap) Load(func(qidpath.File, uint64)) error { return nil }
func (m *countingMap) Append(qidpath.File, func(qidpath.File, uint64)) (uint64, error) {
	m.n++
	m.unsynced++
	return m.n, nil
}
func (m *countingMap) Sync() error  { m.unsynced = 0; m.syncs++; return nil }
func (m *countingMap) Close() error { return nil }
