// SPDX-License-Identifier: Apache-2.0

//go:build boot

package stress

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"vhost-user-9p/test/rig"
)

// stressors are those of stress-ng that do something over 9p, with options of their own.
var stressors = []string{
	// data
	"hdd --hdd-bytes 16M", "hdd --hdd-opts direct,fsync --hdd-bytes 4M", "iomix --iomix-bytes 8M", "seek --seek-size 8M",
	"readahead --readahead-bytes 8M", "copy-file --copy-file-bytes 128M", "sync-file --sync-file-bytes 8M",
	// names
	"dentry --dentries 300", "dir --dir-dirs 300", "dirdeep", "rename",
	"filerace", "getdent", "open", "metamix --metamix-bytes 1M", "mknod",
	// attributes
	"access", "acl", "chmod", "chown", "fstat", "touch", "utime", "xattr",
	// locks
	"fcntl", "flock", "locka", "lockf", "lockofd",
}

// TestLoad runs stress-ng's file stressors, each with two processes that verify what they
// read, and dbench.
func TestLoad(t *testing.T) {
	rig.NeedRoot(t)
	export := rig.Export(t)
	d := rig.StartDaemon(t, export)
	before := usageOf(t, d)
	seconds := max(1, int(period(t).Minutes()))
	var calls strings.Builder
	for _, s := range stressors {
		fmt.Fprintf(&calls, "stressor %d %s\n", seconds, s)
	}
	g := rig.UML(t, d, rig.GuestConfig{CPUs: 2, Script: `
stressor() { # SECONDS STRESSOR OPTION...
	local seconds=$1 code=0 began=$SECONDS
	shift
	rm -rf /mnt/ng
	mkdir /mnt/ng
	set +x
	timeout $((seconds + 40)) stress-ng --temp-path /mnt/ng --verify --timeout "$seconds" --oom-avoid --"$1" 2 "${@:2}" >/tmp/out 2>&1 || code=$?
	echo "$* took $((SECONDS - began)) s and ended with $code"
	if [ $code != 0 ]; then
		failed=1
		sed "s/^/$1: /" /tmp/out
	fi
	set -x
}
stressors() {
	failed=0
` + calls.String() + `
	return $failed
}
dbench_() {
	mkdir /mnt/dbench
	dbench --directory=/mnt/dbench --timelimit=5 4 >/tmp/dbench
	grep '^Throughput' /tmp/dbench
	! grep ERROR /tmp/dbench
	rm -r /mnt/dbench
}
part stress-ng stressors
part dbench dbench_
`})
	g.Part("stress-ng", 10*time.Minute)
	g.Part("dbench", 3*time.Minute)
	out := g.Wait(time.Minute)
	if done := strings.Count(out, " ended with 0\n"); done != len(stressors)+2 {
		t.Errorf("%d stressors and dbench: %d parts have ended well", len(stressors), done)
	}
	t.Log(out)
	nothingLeft(t, d, before)
}
