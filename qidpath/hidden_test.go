// SPDX-License-Identifier: Apache-2.0

package qidpath_test

import (
	"testing"

	"vhost-user-9p/qidpath"
)

func TestHidden(t *testing.T) {
	for name, want := range map[string]bool{
		"user.virtfs.system.qidp.0": true,
		"user.virtfs.uid":           true,
		"user.virtfs.":              true,
		"user.virtfs":               false,
		"user.virtfsx.uid":          false,
		"trusted.virtfs.uid":        false,
		"user.mine":                 false,
		"":                          false,
	} {
		if qidpath.Hidden(name) != want {
			t.Errorf("Hidden(%q) = %v", name, !want)
		}
	}
}
