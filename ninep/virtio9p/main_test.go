// SPDX-License-Identifier: Apache-2.0

package virtio9p_test

import (
	"os"
	"runtime"
	"testing"

	"vhost-user-9p/ninep/virtio9p"
)

func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + virtio9p.SpareProcs)
	os.Exit(m.Run())
}
