// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"vhost-user-9p/test/rig"
)

// Stored file IDs are looked at by the same program, before anything was served, too.
func TestQID(t *testing.T) {
	dir := rig.Export(t)
	if o := run(t, "qid", "dump", dir); o.status != 0 || !strings.Contains(o.stdout, "none is stored") || o.stderr != "" {
		t.Errorf("dump: %+v", o)
	}
	o := run(t, "qid", "check", "--json", dir)
	var check struct{ OK bool }
	if err := json.Unmarshal([]byte(o.stdout), &check); o.status != 0 || err != nil || !check.OK {
		t.Errorf("check: %+v, %v", o, err)
	}
	if o := run(t, "qid", "repair", "--dry-run", dir); o.status != 0 || o.stdout != "nothing to repair\n" {
		t.Errorf("repair: %+v", o)
	}
	if o := run(t, "qid", "fix", dir); o.status != 2 || !strings.Contains(o.stderr, `"fix"`) {
		t.Errorf("an unknown subcommand: %+v", o)
	}
}
