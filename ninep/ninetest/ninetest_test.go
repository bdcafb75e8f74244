// SPDX-License-Identifier: Apache-2.0

package ninetest_test

import (
	"context"
	"testing"

	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/memfs"
	"vhost-user-9p/ninep/ninetest"
)

// TestRunOverAnotherTransport runs the suite as a transport outside of this
// package does: one request at a time, by a function that waits for the reply.
func TestRunOverAnotherTransport(t *testing.T) {
	ninetest.Run(t, ninetest.Config{
		New: func(testing.TB) ninep.Backend { return memfs.New(memfs.Config{}) },
		Connect: func(t testing.TB, cfg ninep.Config) ninetest.Transport {
			l := ninetest.NewLocal(ninep.NewSession(cfg), 0)
			t.Cleanup(l.Close)
			return ninetest.RoundTripFunc(func(ctx context.Context, req []byte, space int) ([]byte, error) {
				wait, err := l.Send(req, space)
				if err != nil {
					return nil, err
				}
				return wait(ctx)
			})
		},
	})
}

// TestLacks lets the suite skip all that it can.
func TestLacks(t *testing.T) {
	ninetest.Run(t, ninetest.Config{
		New: func(testing.TB) ninep.Backend { return memfs.New(memfs.Config{}) },
		Lacks: ninetest.Lacks{
			Owners: true, DeviceNodes: true, FIFOs: true, Xattrs: true, Locks: true,
			OpenUnlink: true, HardLinks: true,
		},
	})
}
