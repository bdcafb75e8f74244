// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"vhost-user-9p/qidpath"
)

// Health returns what an operator should look after, or nil. It is about this daemon's
// promises, not about the guest: a daemon that nobody is connected to is well.
func Health(qids qidpath.Stats) error {
	if !qids.Degraded {
		return nil
	}
	var reasons []string
	add := func(what string, failures map[qidpath.Reason]uint64) {
		for reason, n := range failures {
			if n != 0 {
				reasons = append(reasons, fmt.Sprintf("%d %s failed (%s)", n, what, reason))
			}
		}
	}
	add("loads", qids.LoadFailures)
	add("stores", qids.StoreFailures)
	slices.Sort(reasons)
	if qids.Volatile > 0 {
		reasons = append(reasons, fmt.Sprintf("%d entries are not stored", qids.Volatile))
	}
	if qids.VolatileNumbers > 0 {
		reasons = append(reasons, fmt.Sprintf("%d numbers of single files are not stored", qids.VolatileNumbers))
	}
	return errors.New("file IDs may change at the next start: " + strings.Join(reasons, ", "))
}
