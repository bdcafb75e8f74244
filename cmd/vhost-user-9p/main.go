// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

const program = "vhost-user-9p"

// Exit statuses.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	stop := startProfile()
	status := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run is the program without the process: it returns the exit status. The end of ctx is
// as good as a SIGTERM.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == qidCommand {
		return runQID(args[1:], stdout, stderr)
	}
	opts, err := parseOptions(args)
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "%s: %v\nTry '%s --help'.\n", program, err, program)
		return exitUsage
	case opts.printCapabilities:
		return printed(io.WriteString(stdout, capabilities))
	case opts.help:
		return printed(io.WriteString(stdout, usage))
	case opts.version:
		return printed(fmt.Fprintln(stdout, program, versionString()))
	}

	log := newLogger(stderr, opts)
	end, hangup, release := catchSignals()
	defer release()
	d, err := openDaemon(opts, log)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", program, err)
		return exitFailure
	}
	if err := d.serve(ctx, end, hangup); err != nil {
		if !errors.Is(err, errImpatient) {
			log.Error("cannot go on", "error", err)
		}
		return exitFailure
	}
	return exitOK
}

// printed returns the exit status of a run that only prints.
func printed(_ int, err error) int {
	if err != nil {
		return exitFailure
	}
	return exitOK
}
