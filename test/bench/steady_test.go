// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"flag"
	"slices"
	"testing"
	"time"

	"vhost-user-9p/test/bench/cases"
	"vhost-user-9p/test/bench/drive"
	"vhost-user-9p/test/rig"
)

var steadyTime = flag.Duration("steady-time", 5*time.Minute, "how long the daemon must serve without garbage")

// forcedGC is how often Go's runtime collects garbage even if nothing is allocated.
const forcedGC = 2 * time.Minute

// TestBenchSteady has a daemon do the same for long: it must not allocate so much that garbage
// is collected, and its memory must not grow.
func TestBenchSteady(t *testing.T) {
	rig.NeedRoot(t)
	const depth = 4
	export := rig.Export(t)
	if err := cases.Make(export, depth, 0); err != nil {
		t.Fatal(err)
	}
	d := rig.StartDaemon(t, export)
	p := drive.DialNineP(t, d.Socket, d.Pid())
	names := []string{"getattr", "read 4 KiB", "write 4 KiB"}
	serve := func(name string, f func()) {
		p.Prepare(cases.ByName(name), depth)
		f()
		p.Finish()
	}
	for _, name := range names {
		serve(name, func() { p.Run(time.Second) }) // all threads and buffers are there then
	}

	before := d.Metrics() // which allocates
	began := time.Now()
	first := d.Usage().RSS
	var rss []int64
	var operations int64
	part := *steadyTime / time.Duration(len(names))
	for _, name := range names {
		serve(name, func() {
			for end := time.Now().Add(part); time.Now().Before(end); {
				operations += p.Run(min(time.Second, part)).Operations
				rss = append(rss, d.Usage().RSS)
			}
		})
	}
	took := time.Since(began)
	after := d.Metrics()
	grown := func(name string) float64 {
		t.Helper()
		if _, ok := after[name]; !ok {
			t.Errorf("there is no metric %s", name)
		}
		return after[name] - before[name]
	}

	collections, forced := grown("go_gc_duration_seconds_count"), float64(took/forcedGC+1)
	allocated := grown("go_memstats_alloc_bytes_total")
	figure(t, took.Seconds(), "s", "steady: time")
	figure(t, float64(operations), "operations", "steady: served")
	figure(t, collections, "garbage collections", "steady: seen")
	figure(t, allocated, "bytes", "steady: allocated")
	figure(t, float64(first)/mebibyte, "MiB", "steady: memory (RSS) at first")
	figure(t, float64(slices.Max(rss))/mebibyte, "MiB", "steady: memory (RSS) at most")
	if collections > forced {
		t.Errorf("garbage was collected %v times in %v, the runtime itself does so every %v", collections, took, forcedGC)
	}
	if limit := first + mebibyte; slices.Max(rss) > limit {
		t.Errorf("memory grew from %d to %d bytes, more than %d", first, slices.Max(rss), limit)
	}
}
