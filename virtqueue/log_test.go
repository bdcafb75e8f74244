// SPDX-License-Identifier: Apache-2.0

package virtqueue_test

import (
	"testing"

	"vhost-user-9p/virtqueue"
)

// newLog maps the first size bytes of a guest's memory as a dirty log.
func newLog(tb testing.TB, g *guest, size uint64) *virtqueue.Log {
	tb.Helper()
	l, err := virtqueue.MapLog(g.fd, size, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(l.Unref)
	return l
}
