// SPDX-License-Identifier: Apache-2.0

package xattrstore

import (
	"os"
	"runtime"
	"slices"
	"testing"

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
		{"default", func(t testing.TB) string { return xattrDir(t, t.TempDir()) }, 80},
		{"tmpfs", tmpfsDir, qidpath.MaxElements},
		{"ext4 1 KiB blocks", func(t testing.TB) string {
			return loopMount(t, 16, "mkfs.ext4", "-q", "-b", "1024")
		}, 80},
		{"ext4 4 KiB blocks", func(t testing.TB) string {
			return loopMount(t, 16, "mkfs.ext4", "-q", "-b", "4096")
		}, 380},
		{"ext4 with large attributes", func(t testing.TB) string {
			return loopMount(t, 16, "mkfs.ext4", "-q", "-b", "4096", "-O", "ea_inode")
		}, qidpath.MaxElements},
		{"xfs", func(t testing.TB) string { return loopMount(t, 320, "mkfs.xfs", "-q") }, qidpath.MaxElements},
		{"btrfs", func(t testing.TB) string { return loopMount(t, 128, "mkfs.btrfs", "-q") }, qidpath.MaxElements},
	} {
		t.Run(fs.name, func(t *testing.T) {
			dir := fs.dir(t)
			s := openStore(t, dir, testConfig(t))
			all := newKeys(1, qidpath.MaxElements)
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
			im, err := readImage(s.medium)
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
	_, err = s.Append(0, newKeys(1, 1))
	wantReason(t, err, qidpath.ReasonUnsupported)
}

// A new key is stored with the credentials of the process, whoever the thread
// that asks for it impersonates.
func TestStoreFromAnImpersonatingThread(t *testing.T) {
	needRoot(t)
	dir := tmpfsDir(t) // 0700
	table, _ := newTable(t, dir)
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
