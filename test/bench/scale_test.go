// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/bench/cases"
	"vhost-user-9p/test/bench/drive"
	"vhost-user-9p/test/bench/report"
	"vhost-user-9p/test/rig"
)

const mebibyte = 1 << 20

// figure records one number, whose name is a format.
func figure(t *testing.T, value float64, unit, name string, args ...any) {
	t.Helper()
	f := report.Figure{Name: fmt.Sprintf(name, args...), Value: value, Unit: unit}
	collected.Figures = append(collected.Figures, f)
	t.Logf("%s: %.4g %s", f.Name, f.Value, f.Unit)
}

// TestBenchScale measures what many files, and many daemons, take.
func TestBenchScale(t *testing.T) {
	rig.NeedRoot(t)
	t.Run("files", benchFiles)
	t.Run("daemons", benchDaemons)
	t.Run("startup", benchStartup)
}

// benchFiles has a session hold ever more files. The time for each includes that of the
// driver, whose depth is one.
func benchFiles(t *testing.T) {
	counts := []int{1_000, 100_000, 1_000_000}
	most := counts[len(counts)-1]
	export := roomyExport(t, most)
	if err := cases.MakeMany(export, most); err != nil {
		t.Fatal(err)
	}
	for _, n := range counts {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			d := rig.StartDaemon(t, export)
			before := d.Usage().RSS
			r := drive.DialNineP(t, d.Socket, d.Pid()).Hold(n)
			if r.Operations != int64(n) {
				t.Fatalf("%d files are held, not %d", r.Operations, n)
			}
			u := d.Usage()
			figure(t, float64(r.Elapsed.Nanoseconds())/1e3/float64(n), "us", "%d files held: to walk to each", n)
			figure(t, float64(r.CPU.Nanoseconds())/1e3/float64(n), "us", "%d files held: CPU time for each", n)
			figure(t, float64(u.RSS)/mebibyte, "MiB", "%d files held: memory (RSS)", n)
			figure(t, float64(u.RSS-before)/float64(n), "bytes", "%d files held: memory for each", n)
			figure(t, float64(u.Descriptors), "descriptors", "%d files held: open", n)
		})
	}
}

// roomyExport makes a folder for many files, in memory if there is room.
func roomyExport(t *testing.T, files int) string {
	t.Helper()
	const shm = "/dev/shm"
	var st unix.Statfs_t
	need := uint64(files) * 2048 // the kernel's memory for an inode and a name is less
	if err := unix.Statfs(shm, &st); err != nil || st.Bavail*uint64(st.Bsize) < need || st.Ffree < 2*uint64(files) {
		return rig.Export(t)
	}
	dir, err := os.MkdirTemp(shm, "v9p-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// benchDaemons has daemons on one machine that have served, each one front end, and have
// nothing to do now.
func benchDaemons(t *testing.T) {
	for _, n := range []int{1, 8, 64} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			var daemons []*rig.Daemon
			for range n {
				export := rig.Export(t)
				if err := os.WriteFile(filepath.Join(export, cases.FileName(0)), nil, 0o644); err != nil {
					t.Fatal(err)
				}
				d := rig.StartDaemon(t, export)
				p := drive.DialNineP(t, d.Socket, d.Pid())
				p.Prepare(cases.ByName("getattr"), 1)
				p.Count(1000)
				daemons = append(daemons, d)
			}
			time.Sleep(2 * time.Second) // what lingers is let go
			var rss, pss int64
			for _, d := range daemons {
				u := d.Usage()
				rss, pss = rss+u.RSS, pss+u.PSS
			}
			figure(t, float64(rss)/float64(n)/mebibyte, "MiB", "idle daemon of %d: memory (RSS)", n)
			figure(t, float64(pss)/float64(n)/mebibyte, "MiB", "idle daemon of %d: memory, of shared pages its part (PSS)", n)
			if n == 1 {
				figure(t, float64(daemons[0].Switches(10*time.Second)), "context switches", "idle daemon for 10 s")
			}
		})
	}
}

func benchStartup(t *testing.T) {
	var times []time.Duration
	for range 20 {
		times = append(times, rig.StartupTime(t))
	}
	slices.Sort(times)
	figure(t, float64(times[len(times)/2].Nanoseconds())/1e6, "ms", "start to first reply, median of %d", len(times))
}
