// SPDX-License-Identifier: Apache-2.0

// Load runs inside the guests of the benchmarks: it makes requests of a share, as many as
// it can or as a program makes them, and says how long that took. It is linked statically
// (CGO_ENABLED=0), so that it runs in any guest, and on the host.
//
// usage: load DIR
//
// It reads cases from standard input, each a line of three fields with tabs between them: the
// name, the number of threads, and for how long (500ms) or, where programs run, how much is
// done (20000). To each it answers "ready" when all is prepared, and awaits the line "go";
// then "done OPERATIONS BYTES NANOSECONDS", or "failed: WHY" in place of either. What it waits
// for makes no request. The line "end" ends it.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

func main() {
	debug.SetGCPercent(-1) // what a case allocates is little
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) != 1 {
		return errors.New("usage: load DIR")
	}
	lines := bufio.NewScanner(stdin)
	for lines.Scan() && lines.Text() != "end" {
		if err := answer(args[0], lines, stdout); err != nil {
			fmt.Fprintln(stdout, "failed:", err)
		}
	}
	return lines.Err()
}

// outcome is what was measured.
type outcome struct {
	operations, bytes int64
	elapsed           time.Duration
}

// answer does what the last line asks for.
func answer(dir string, lines *bufio.Scanner, stdout io.Writer) error {
	fields := strings.Split(lines.Text(), "\t")
	if len(fields) != 3 {
		return fmt.Errorf("%q are not three fields", lines.Text())
	}
	name := fields[0]
	threads, err := strconv.Atoi(fields[1])
	if err != nil {
		return err
	}
	// ready is called once, when all is prepared.
	ready := func() error {
		fmt.Fprintln(stdout, "ready")
		if !lines.Scan() || lines.Text() != "go" {
			return fmt.Errorf("%q is not the line to wait for", lines.Text())
		}
		return nil
	}
	var out outcome
	if script, ok := programs[name]; ok {
		count, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil {
			return err
		}
		out, err = runProgram(dir, script, threads, count, ready)
		if err != nil {
			return err
		}
	} else {
		period, err := time.ParseDuration(fields[2])
		if err != nil {
			return err
		}
		out, err = measure(dir, name, threads, period, ready)
		if err != nil {
			return err
		}
	}
	fmt.Fprintln(stdout, "done", out.operations, out.bytes, out.elapsed.Nanoseconds())
	return nil
}
