// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"

	"vhost-user-9p/test/rig"
)

// peakMemory returns the most memory that a process has had at a time, in KiB.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^VmHWM:\s+(\d+) kB$`).FindSubmatch(status)
	if m == nil {
		t.Fatalf("no VmHWM in %s", status)
	}
	kib, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kib
}

// TestLargeDirectory lists 100,000 entries, several times at once. What the daemon needs
// for that does not grow with the directory.
func TestLargeDirectory(t *testing.T) {
	// Files are made there in a tenth of the time. Before Linux 6.6 it has no extended
	// attributes, which the daemon complains about.
	const quick = "/dev/shm"
	if _, err := unix.Getxattr(quick, "user.none", nil); err == unix.ENODATA {
		t.Setenv("TMPDIR", quick)
	}
	const files, listings = 100_000, 4
	export := rig.Export(t)
	for _, dir := range []string{"small", "large"} {
		if err := os.Mkdir(filepath.Join(export, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := unix.Open(filepath.Join(export, "large"), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for i := range files {
		if err := unix.Mknodat(fd, fmt.Sprintf("a-file-with-a-number-%06d", i), unix.S_IFREG|0o600, 0); err != nil {
			t.Fatal(err)
		}
	}

	d := rig.StartDaemon(t, export)
	root := attach(t, d)
	list := func(name string) (entries int, err error) {
		_, dir, err := root.Walk([]string{name})
		if err != nil {
			return 0, err
		}
		defer dir.Close()
		if _, _, err := dir.Open(p9.ReadOnly); err != nil {
			return 0, err
		}
		seen := make(map[string]bool, files)
		for offset := uint64(0); ; {
			part, err := dir.Readdir(offset, 1<<20)
			if err != nil {
				return 0, err
			}
			if len(part) == 0 {
				return len(seen), nil
			}
			for _, e := range part {
				if seen[e.Name] {
					return 0, fmt.Errorf("%s is listed twice", e.Name)
				}
				seen[e.Name] = true
			}
			offset = part[len(part)-1].Offset
		}
	}
	lists := func(name string, want int) {
		t.Helper()
		results := make(chan error)
		for range listings {
			go func() {
				n, err := list(name)
				if err == nil && n != want {
					err = fmt.Errorf("%d entries, want %d", n, want)
				}
				results <- err
			}()
		}
		for range listings {
			if err := <-results; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for range 3 { // so that threads and buffers are there
		lists("small", 2)
	}
	before := peakMemory(t, d.Pid())
	began := time.Now()
	lists("large", files+2)
	t.Logf("listed in %v", time.Since(began))
	after := peakMemory(t, d.Pid())
	t.Logf("peak memory: %d KiB before, %d KiB after", before, after)
	if after > before+8<<10 {
		t.Errorf("listing %d entries took %d KiB", files, after-before)
	}
}
