// SPDX-License-Identifier: Apache-2.0

//go:build boot

package stress

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"vhost-user-9p/test/rig"
)

// TestSteady has a guest make and remove the same kinds of files: the daemon's memory and its
// number of open files must not grow. It goes on as long as the random operations do, or a
// quarter of that where they are short.
func TestSteady(t *testing.T) {
	export := rig.Export(t)
	d := rig.StartDaemon(t, export)
	before := usageOf(t, d)
	// At a time; how many of them are open depends on how fast they are made, since a file stays
	// open for a moment.
	const many = 500
	// Mappings are only read with two processors: see docs/testing.md.
	g := rig.UML(t, d, rig.GuestConfig{Cache: "mmap", CPUs: 2, Script: fmt.Sprintf(`many=%d`, many) + `
round=0
mkdir load
"$guest" writers -n 2 load &
while [ ! -e stop ]; do
	"$guest" fsx -nolinks -map read -ops 200 -seed $round random
	rm -r random random.state
	mkdir many
	(cd many && seq $many | xargs touch && ls -l >/dev/null)
	rm -r many
	round=$((round + 1))
done
: >load/stop
wait $!
echo "rounds: $round"
`})
	duration := period(t)
	if duration < 5*time.Minute {
		duration /= 4
	}
	var samples []usage
	for end := time.Now().Add(duration); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		samples = append(samples, usageOf(t, d))
	}
	if err := os.WriteFile(filepath.Join(export, "stop"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	g.Wait(time.Minute)
	quarter := len(samples) / 4
	second, last := most(samples[quarter:2*quarter]), most(samples[3*quarter:])
	t.Logf("at first %+v, in the second quarter of the time up to %+v, in the last %+v", before, second, last)
	if limit := max(second.fds, many)*5/4 + 20; last.fds > limit {
		t.Errorf("in the last quarter of the time the daemon had up to %d files open, more than %d", last.fds, limit)
	}
	if limit := second.rss*5/4 + 16<<10; last.rss > limit {
		t.Errorf("in the last quarter of the time the daemon had up to %d KiB in memory, more than %d", last.rss, limit)
	}
	nothingLeft(t, d, before)
}

// most returns the largest of each figure.
func most(samples []usage) usage {
	return usage{
		slices.MaxFunc(samples, func(a, b usage) int { return a.fds - b.fds }).fds,
		slices.MaxFunc(samples, func(a, b usage) int { return a.rss - b.rss }).rss,
	}
}
