// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by a release's build: -ldflags "-X main.version=v1.2.3".
var version string

// capabilities is what --print-capabilities prints: QEMU's back-end program conventions,
// docs/interop/vhost-user.json. The type 9p has no features there.
const capabilities = "{ \"type\": \"9p\" }\n"

// buildInfo names this build: its version and the commit it was made from, "unknown"
// where the binary does not say.
func buildInfo() (version, revision string) {
	version = thisVersion()
	revision = "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		dirty := ""
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				revision = s.Value[:min(12, len(s.Value))]
			case s.Key == "vcs.modified" && s.Value == "true":
				dirty = "-dirty"
			}
		}
		revision += dirty
	}
	return version, revision
}

func thisVersion() string {
	main := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		main = info.Main.Version
	}
	return cmp.Or(version, main, "unknown")
}

func versionString() string {
	v, revision := buildInfo()
	return fmt.Sprintf("%s (commit %s, %s %s/%s)", v, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
