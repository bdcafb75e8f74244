// SPDX-License-Identifier: Apache-2.0

//go:build profile

package main

import (
	"os"
	"runtime/pprof"
)

// profileVar names the file to write a profile to.
const profileVar = "V9P_CPU_PROFILE"

// startProfile begins a CPU profile of the process, and returns what ends it. It is in builds by
// which the compiler is told what most time is spent in (default.pgo); see hack/profile.sh.
func startProfile() (stop func()) {
	f, err := os.Create(os.Getenv(profileVar))
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		panic(err)
	}
	return func() {
		pprof.StopCPUProfile()
		if err := f.Close(); err != nil {
			panic(err)
		}
	}
}
