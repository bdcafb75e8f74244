// SPDX-License-Identifier: Apache-2.0

package hostfs

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/test/leaks"
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(lockHelperEnv); spec != "" {
		os.Exit(lockHelper(spec))
	}
	unix.Umask(0) // as the daemon does
	flockExit, lateUnlock = time.Minute, time.Minute
	os.Exit(leaks.Run(m))
}
