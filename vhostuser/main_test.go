// SPDX-License-Identifier: Apache-2.0

package vhostuser_test

import (
	"os"
	"testing"

	"vhost-user-9p/test/leaks"
)

func TestMain(m *testing.M) { os.Exit(leaks.Run(m)) }
