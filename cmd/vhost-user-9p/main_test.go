// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"os"
	"testing"

	"vhost-user-9p/test/leaks"
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
	status := leaks.Run(m)
	_ = os.RemoveAll(state)
	os.Exit(status)
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
