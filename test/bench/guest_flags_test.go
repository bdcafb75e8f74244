// SPDX-License-Identifier: Apache-2.0

//go:build bench

package bench

import (
	"flag"
	"time"
)

var (
	guestRounds = flag.Int("guest-rounds", 5, "rounds of each case in guests (programs in QEMU: half as many)")
	guestTime   = flag.Duration("guest-time", 500*time.Millisecond, "time for a case in a guest, in each round")
	guestFiles  = flag.Int("guest-files", 20000, "files in the trees of programs in guests (QEMU: a tenth)")
	guestCases  = flag.String("guest-cases", "", "regular expression: which cases in guests")
)
