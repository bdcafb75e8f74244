// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// catchSignals delivers the signals that end the daemon, and keeps others from ending it,
// until stop is called.
//
// SIGHUP is ignored, with a word in the log: there is nothing to read again, and whoever
// sends one, be it a terminal that is closed, does not mean to take a virtual machine down.
// SIGPIPE is ignored so that Go does not end the process when nobody reads its log any more.
func catchSignals(log *slog.Logger) (end <-chan os.Signal, stop func()) {
	signal.Ignore(unix.SIGPIPE)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, unix.SIGHUP)
	go func() {
		for range hangups {
			log.Info("hangup signal ignored: there is nothing to read again")
		}
	}()
	ends := make(chan os.Signal, 2)
	signal.Notify(ends, unix.SIGTERM, unix.SIGINT)
	return ends, func() {
		signal.Stop(ends)
		signal.Stop(hangups)
		close(hangups)
	}
}
