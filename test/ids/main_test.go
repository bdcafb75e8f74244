// SPDX-License-Identifier: Apache-2.0

//go:build boot

package ids

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"vhost-user-9p/test/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

// patience is how long a guest may take on a machine that is busy.
const patience = 2 * time.Minute

// look is a script that lists everything, beginning in some folders.
func look(seed int, first ...string) string {
	var b strings.Builder
	b.WriteString("set +x\n")
	for _, dir := range append(first, ".") {
		fmt.Fprintf(&b, "$guest ids -seed %d %s\n", seed, dir)
	}
	return b.String()
}

// looked has a guest list everything, beginning in some folders, and returns what it has
// written.
func looked(t *testing.T, d *rig.Daemon, seed int, first ...string) string {
	t.Helper()
	return rig.UML(t, d, rig.GuestConfig{Script: look(seed, first...)}).Wait(patience)
}

// wantTable checks where the daemon says that the table is, and that it is in order.
func wantTable(t *testing.T, d *rig.Daemon, place string) {
	t.Helper()
	series := d.Series()
	if series[fmt.Sprintf("vhost_user_9p_qid_store_info{place=%q}", place)] != 1 {
		t.Errorf("the table is not in the place %q", place)
	}
	for _, name := range []string{"degraded", "volatile_entries", "volatile_numbers"} {
		if v, ok := series["vhost_user_9p_qid_"+name]; !ok || v != 0 {
			t.Errorf("the metric %s is %v, known: %v", name, v, ok)
		}
	}
}
