// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"testing"
	"time"

	"github.com/hugelgupf/p9/p9"

	"vhost-user-9p/test/rig"
)

// TestStartupTime: a guest's start does not wait for the daemon. Of several attempts the
// fastest counts, because the machine may be busy.
func TestStartupTime(t *testing.T) {
	const limit = 20 * time.Millisecond
	least := time.Hour
	for range 20 {
		least = min(least, rig.StartupTime(t))
	}
	t.Logf("%v", least)
	if least > limit {
		t.Errorf("%v until the first reply, more than %v", least, limit)
	}
}

// TestIdle: a daemon that has served, and has nothing to do, takes little memory and wakes
// up for nothing.
func TestIdle(t *testing.T) {
	const limit = 15 << 20
	d := rig.StartDaemon(t, rig.Export(t))
	ring := rig.DialRing(t, d.Socket, 1)
	client, err := p9.NewClient(ring)
	if err != nil {
		t.Fatal(err)
	}
	root, err := client.Attach("")
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		_, f, err := root.Walk(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := f.GetAttr(p9.AttrMaskAll); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(2 * time.Second) // what lingers is let go
	switches := d.Switches(3 * time.Second)
	for attempt := 1; switches > 0 && attempt < 3; attempt++ {
		switches = d.Switches(3 * time.Second)
	}
	if switches > 0 {
		t.Errorf("its threads were switched to and from %d times in 3 s", switches)
	}
	if err := root.Close(); err != nil {
		t.Fatal(err)
	}
	if err := ring.Close(); err != nil {
		t.Fatal(err)
	}
	rss := d.Usage().RSS
	t.Logf("%.1f MiB", float64(rss)/(1<<20))
	if rss > limit {
		t.Errorf("after a session it takes %d bytes of memory, more than %d", rss, limit)
	}
}
