// SPDX-License-Identifier: Apache-2.0

package drive

import (
	"runtime"
	"testing"
	"time"

	"vhost-user-9p/test/bench/cases"
	"vhost-user-9p/test/rig"
)

// The collector is not what is to be measured.
func TestLoopDoesNotAllocate(t *testing.T) {
	rig.NeedRoot(t)
	dir := rig.Export(t)
	const depth = 4
	if err := cases.Make(dir, depth, 0); err != nil {
		t.Fatal(err)
	}
	d := rig.StartDaemon(t, dir)
	p := DialNineP(t, d.Socket, d.Pid())
	for _, name := range []string{"walk 1", "readdir 10000", "write 4 KiB"} {
		p.Prepare(cases.ByName(name), depth)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		const operations = 200
		p.loop.run(time.Minute, operations)
		runtime.ReadMemStats(&after)
		// Some are made before the first operation, and by the runtime.
		if n := after.Mallocs - before.Mallocs; n > operations/4 {
			t.Errorf("%s: %d allocations for %d operations", name, n, operations)
		}
	}
}
