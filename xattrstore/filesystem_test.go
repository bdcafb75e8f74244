// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/pkg/xattr"
	"golang.org/x/sys/unix"

	"vhost-user-9p/qidpath"
)

// TestFileSystems fills a table on real file systems, in small and large steps,
// until it is full or they are, and loads it again.
func TestFileSystems(t *testing.T) {
	for _, fs := range []struct {
		name string
		dir  func(testing.TB) string
		min  int // elements that fit
	}{
		{"default", func(t testing.TB) string { return xattrDir(t, t.TempDir()) }, 35},
		{"tmpfs", tmpfsDir, qidpath.MaxElements},
		{"ext4 1 KiB blocks", func(t testing.TB) string {
			return loopMount(t, 16, "mkfs.ext4", "-q", "-b", "1024")
		}, 35},
		{"ext4 4 KiB blocks", func(t testing.TB) string {
			return loopMount(t, 16, "mkfs.ext4", "-q", "-b", "4096")
		}, 150},
		{"ext4 with large attributes", func(t testing.TB) string {
			return loopMount(t, 16, "mkfs.ext4", "-q", "-b", "4096", "-O", "ea_inode")
		}, qidpath.MaxElements},
		{"xfs", func(t testing.TB) string { return loopMount(t, 320, "mkfs.xfs", "-q") }, qidpath.MaxElements},
		{"btrfs", func(t testing.TB) string { return loopMount(t, 128, "mkfs.btrfs", "-q") }, qidpath.MaxElements},
	} {
		t.Run(fs.name, func(t *testing.T) {
			dir := fs.dir(t)
			s := openStore(t, dir, testConfig(t))
			all := newElements(1, qidpath.MaxElements)
			n := 0
			for step := 1; n < len(all); {
				next := all[n:min(n+step, len(all))]
				tail, err := s.Append(n, next)
				if err == nil {
					if !slices.Equal(tail, next) {
						t.Fatalf("after %d elements: tail of %d, want %d", n, len(tail), len(next))
					}
					n += len(next)
					if n >= 40 {
						step = 1 + step*3/2
					}
					continue
				}
				wantReason(t, err, qidpath.ReasonNoSpace)
				// Part of a long append may be there now.
				if found := mustLoad(t, openStore(t, dir, testConfig(t))); len(found) >= n {
					n = len(found)
				}
				if step == 1 {
					break
				}
				step = 1
			}
			im, err := readImage(s.xattrs.medium, elementSeries)
			if err != nil {
				t.Fatal(err)
			}
			largest := 0
			for _, c := range im {
				largest = max(largest, len(c))
			}
			t.Logf("%d elements in %d chunks, the largest of %d bytes", n, len(im), largest)
			if n < fs.min {
				t.Errorf("%d elements fit, want %d", n, fs.min)
			}
			if got := mustLoad(t, openStore(t, dir, testConfig(t))); !slices.Equal(got, all[:n]) {
				t.Errorf("loaded %d elements, want %d", len(got), n)
			}
		})
	}
}

// A file system without user attributes is a failure with a reason, and no more.
func TestUnsupported(t *testing.T) {
	var fs unix.Statfs_t
	err := unix.Statfs("/proc", &fs)
	if err == nil && fs.Type != unix.PROC_SUPER_MAGIC {
		err = os.ErrNotExist
	}
	need(t, "a proc file system at /proc", err)
	s := openStore(t, "/proc", testConfig(t))
	_, err = s.Load()
	wantReason(t, err, qidpath.ReasonUnsupported)
	_, err = s.Append(0, newElements(1, 1))
	wantReason(t, err, qidpath.ReasonUnsupported)
}

// A new key is stored with the credentials of the process, whoever the thread
// that asks for it impersonates.
func TestStoreFromAnImpersonatingThread(t *testing.T) {
	needRoot(t)
	dir := tmpfsDir(t) // 0700
	table, _ := openTable(t, dir)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and ends with the goroutine
		if err := unix.Setfsuid(65534); err != nil {
			t.Error(err)
			return
		}
		if _, err := os.ReadDir(dir); err == nil {
			t.Error("the thread does not impersonate anyone")
		}
		wantPath(t, table, 5, 1, 1<<48|1)
	}()
	<-done
	if got := mustLoad(t, openStore(t, dir, testConfig(t))); len(got) != 1 {
		t.Errorf("%d elements stored, want 1", len(got))
	}
}

// TestAutoOnFileSystems goes on in the file where the attributes end: nothing is
// lost on any file system, whatever else is in the root's attributes.
func TestAutoOnFileSystems(t *testing.T) {
	for _, fs := range []struct {
		name  string
		mkfs  []string
		size  int64
		fill  bool
		place string
	}{
		{"ext4 1 KiB blocks", []string{"mkfs.ext4", "-q", "-b", "1024"}, 16, false, PlaceFile},
		{"ext4 4 KiB blocks", []string{"mkfs.ext4", "-q", "-b", "4096"}, 16, false, PlaceFile},
		{"ext4 with other attributes", []string{"mkfs.ext4", "-q", "-b", "4096"}, 16, true, PlaceFile},
		{"xfs", []string{"mkfs.xfs", "-q"}, 320, false, PlaceXattr},
		{"btrfs", []string{"mkfs.btrfs", "-q"}, 128, false, PlaceXattr},
	} {
		t.Run(fs.name, func(t *testing.T) {
			dir, state := loopMount(t, fs.size, fs.mkfs...), tmpfsDir(t)
			if fs.fill {
				for i := 0; ; i++ {
					if err := xattr.Set(dir, fmt.Sprintf("user.other.%d", i), make([]byte, 40)); err != nil {
						break
					}
				}
			}
			before := attributes(t, dir)
			k := newElements(1, 400)
			n := 0
			for _, step := range []int{1, 1, 1, 7, 30, 1, 160, 1, 198} {
				s := openStoreIn(t, dir, state)
				if got := mustLoad(t, s); !slices.Equal(got, k[:n]) {
					t.Fatalf("loaded %d elements, want %d", len(got), n)
				}
				mustAppend(t, s, n, k[n:n+step]...)
				n += step
			}
			s := openStoreIn(t, dir, state)
			if got := mustLoad(t, s); !slices.Equal(got, k) {
				t.Errorf("loaded %d elements, want %d", len(got), n)
			}
			wantPlace(t, s, fs.place)
			after := attributes(t, dir)
			for name, value := range before {
				if after[name] != value {
					t.Errorf("attribute %s was changed", name)
				}
			}
			if old := mustLoad(t, openStore(t, dir, testConfig(t))); !slices.Equal(old, k[:len(old)]) {
				t.Errorf("the attributes have other elements: %v", old)
			}
		})
	}
}

// A file system that is full holds no more attributes, and loses none.
func TestFullFileSystem(t *testing.T) {
	for name, mkfs := range map[string][]string{
		"ext4": {"mkfs.ext4", "-q", "-b", "1024", "-I", "128", "-m", "0"},
		"xfs":  {"mkfs.xfs", "-q"},
	} {
		t.Run(name, func(t *testing.T) {
			size := int64(16)
			if name == "xfs" {
				size = 320
			}
			dir, state := loopMount(t, size, mkfs...), tmpfsDir(t)
			k := newElements(1, 3000)
			s := openStoreIn(t, dir, state)
			mustAppend(t, s, 0, k[:10]...)
			fillUp(t, dir)
			n := 10
			for ; n < len(k); n += 130 {
				mustAppend(t, s, n, k[n:n+130]...)
			}
			if got := mustLoad(t, openStoreIn(t, dir, state)); !slices.Equal(got, k[:n]) {
				t.Errorf("loaded %d elements, want %d", len(got), n)
			}
			t.Logf("%d elements are in place %q", n, s.Place())
		})
	}
}

// fillUp writes a file until there is no room.
func fillUp(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 1 << 10} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil && !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

// On a mount that is read-only the table is found, and goes on in the file.
func TestReadOnlyMount(t *testing.T) {
	dir, state := loopMount(t, 16, "mkfs.ext4", "-q"), tmpfsDir(t)
	k := newElements(1, 9)
	mustAppend(t, openStore(t, dir, testConfig(t)), 0, k[:4]...)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		need(t, "to mount it read-only", err)
	}
	for _, readOnly := range []bool{false, true} {
		cfg := testConfig(t)
		cfg.ReadOnly = readOnly
		alone := openStore(t, dir, cfg)
		if got := mustLoad(t, alone); !slices.Equal(got, k[:4]) {
			t.Errorf("loaded %v", got)
		}
		if err := alone.Flush(); err != nil {
			t.Error(err)
		}
		_, err := alone.Append(4, k[4:5])
		wantReason(t, err, qidpath.ReasonReadOnly)
	}
	s := openStoreIn(t, dir, state)
	mustLoad(t, s)
	mustAppend(t, s, 4, k[4:7]...)
	cfg := testConfig(t)
	cfg.ReadOnly, cfg.StateDir = true, openDir(t, state)
	again := openStore(t, dir, cfg)
	if got := mustLoad(t, again); !slices.Equal(got, k[:7]) {
		t.Errorf("loaded %v", got)
	}
	mustAppend(t, again, 7, k[7:]...)
	wantPlace(t, again, PlaceFile)
}
