// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"testing"

	"vhost-user-9p/vhostuser/vhosttest"
	"vhost-user-9p/virtqueue"
)

// TestPacked: --packed offers packed virtqueues, the driver decides, and the log says which it is.
func TestPacked(t *testing.T) {
	for _, c := range []struct {
		args    []string
		driver  bool // knows packed virtqueues
		offered bool
		layout  string
	}{
		{nil, true, false, "split"},
		{[]string{"--packed=false"}, true, false, "split"},
		{[]string{"--packed"}, false, true, "split"},
		{[]string{"--packed"}, true, true, "packed"},
	} {
		p := startDaemon(t, c.args...)
		conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: p.socket})
		if err != nil {
			t.Fatal(err)
		}
		g := bootWith(t, conn, vhosttest.Options{NeedReply: vhosttest.NeedReplyQEMU, Packed: c.driver})
		if got := g.Offered.Has(virtqueue.FeatureRingPacked); got != c.offered {
			t.Errorf("%q: offered: %v, want %v", c.args, got, c.offered)
		}
		g.mount()
		p.waitFor(`msg="queue started" layout=` + c.layout)
	}
}
