// SPDX-License-Identifier: Apache-2.0

package memfs_test

import (
	"testing"

	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/memfs"
	"vhost-user-9p/ninep/ninetest"
)

func TestSuite(t *testing.T) {
	ninetest.Run(t, ninetest.Config{
		New: func(testing.TB) ninep.Backend { return memfs.New(memfs.Config{}) },
	})
}
