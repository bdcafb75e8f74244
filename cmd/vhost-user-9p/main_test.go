// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// asDaemon in the environment makes the test binary the daemon.
const asDaemon = "VHOST_USER_9P_TEST_AS_DAEMON"

func TestMain(m *testing.M) {
	if os.Getenv(asDaemon) != "" {
		os.Unsetenv(asDaemon)
		main()
	}
	state, err := os.MkdirTemp("", "state")
	if err == nil {
		err = os.Setenv("STATE_DIRECTORY", state) // not this machine's
	}
	if err != nil {
		panic(err)
	}
	before := openFiles()
	status := m.Run()
	_ = os.RemoveAll(state)
	if after := openFiles(); status == 0 && len(after) > len(before) {
		fmt.Fprintf(os.Stderr, "files left open: before %v, after %v\n", before, after)
		status = 1
	}
	os.Exit(status)
}

// openFiles lists what the process has open, but for what Go's runtime opens once.
func openFiles() []string {
	links, _ := filepath.Glob("/proc/self/fd/*")
	var files []string
	for _, l := range links {
		target, err := os.Readlink(l)
		if err == nil && target != "anon_inode:[eventpoll]" && target != "anon_inode:[eventfd]" {
			files = append(files, target)
		}
	}
	return files
}

// outcome is what a run of the program did.
type outcome struct {
	status         int
	stdout, stderr string
}

// runArgs runs the program in this process, to an end that comes by itself.
func runArgs(t *testing.T, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // a daemon that starts although it should not ends at once
	var stdout, stderr bytes.Buffer
	status := run(ctx, args, &stdout, &stderr)
	return outcome{status, stdout.String(), stderr.String()}
}
