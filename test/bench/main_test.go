// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"flag"
	"testing"

	"vhost-user-9p/test/rig"
)

var resultsDir = flag.String("results", "", "folder to write the results to")

func TestMain(m *testing.M) { rig.Main(m, flush) }
