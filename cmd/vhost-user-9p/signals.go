// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// catchSignals delivers the signals that end the daemon, and those that have it read files
// again, until stop is called. None of them ends it by itself.
//
// A SIGHUP can also come from a terminal that is closed, and does not mean to take a virtual
// machine down. SIGPIPE is ignored so that Go does not end the process when nobody reads its
// log any more.
func catchSignals() (end, hangup <-chan os.Signal, stop func()) {
	signal.Ignore(unix.SIGPIPE)
	hangups, ends := make(chan os.Signal, 1), make(chan os.Signal, 2)
	signal.Notify(hangups, unix.SIGHUP)
	signal.Notify(ends, unix.SIGTERM, unix.SIGINT)
	return ends, hangups, func() {
		signal.Stop(ends)
		signal.Stop(hangups)
	}
}
