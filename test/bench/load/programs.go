// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// programs are scripts for bash, which run in the share: $count says how much is to be done,
// $threads by how many at once. A script that measures itself prints operations, bytes
// and nanoseconds; else its operations are $count.
var programs = map[string]string{
	"git status, per file": `
git -C repository status --porcelain >/tmp/status
test ! -s /tmp/status`,

	"untar, per file": `
mkdir untar
tar -xf tree.tar -C untar`,

	"rm -r, per file": `
rm -r remove`,

	"sqlite insert": `
{
	echo 'CREATE TABLE entries (n INTEGER PRIMARY KEY, text);'
	for ((n = 0; n < count; n++)); do
		echo "INSERT INTO entries VALUES ($n, 'entry $n');"
	done
} | sqlite3 -batch -bail db`,

	"fio random read": `
out=$(fio --name=random --filename=0/data --readonly --rw=randread --bs=4k --direct=1 --ioengine=psync \
	--time_based --runtime="$count" --thread --numjobs="$threads" --group_reporting --minimal)
IFS=';' read -ra field <<<"$out" # terse version 3: KiB read, ..., milliseconds
echo $((field[5] / 4)) $((field[5] * 1024)) $((field[8] * 1000000))`,
}

// runProgram runs a script.
func runProgram(dir, script string, threads int, count int64, ready func() error) (outcome, error) {
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), fmt.Sprint("count=", count), fmt.Sprint("threads=", threads),
		"HOME=/tmp", "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := ready(); err != nil {
		return outcome{}, err
	}
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return outcome{}, fmt.Errorf("%w: %q", err, tail(stderr.String(), 300))
	}
	out := outcome{operations: count, elapsed: time.Since(began)}
	if own := strings.TrimSpace(stdout.String()); own != "" {
		if _, err := fmt.Sscan(own, &out.operations, &out.bytes, &out.elapsed); err != nil {
			return outcome{}, fmt.Errorf("the script has printed %q: %w", tail(own, 300), err)
		}
	}
	return out, nil
}

// tail returns the last bytes of a text.
func tail(s string, n int) string { return s[max(0, len(s)-n):] }
