// SPDX-License-Identifier: Apache-2.0

// Posix tries what programs expect of a file system, as root and as two ordinary users,
// in an empty folder: some thousands of checks, of which each prints a line,
//
//	NAME<TAB>ok|FAIL<TAB>WHAT WAS SEEN[, want WHAT SHOULD BE]
//
// What should be is what Linux does on its own file systems (ext4). It is linked statically
// (CGO_ENABLED=0), so that it runs in any guest, and on the host. It needs root; what it
// mounts is seen by nobody else.
//
// usage: posix [-only PREFIX] DIR
//
//	posix -prepare DIR     make files for the next
//	posix -readonly DIR    try these where the server does not let them be changed
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// groups are all checks: one file of source each.
var groups = []struct {
	name string
	run  func(*T)
}{
	{"walk", walks},
	{"permissions", permissions},
	{"chmod", chmods},
	{"chown", chowns},
	{"link", links},
	{"make", makes},
	{"symlink", symlinks},
	{"rename", renames},
	{"remove", removes},
	{"sticky", sticky},
	{"truncate", truncates},
	{"utimens", utimes},
	{"open", opens},
	{"setid", setIDs},
	{"openfile", openFiles},
	{"special", special},
	{"mmap", mmaps},
	{"data", data},
	{"readdir", readdirs},
	{"xattr", xattrs},
	{"lock", locks},
	{"busy", busy},
	{"readonly", readonly},
}

func main() {
	if err := command(os.Args[1:]); err != nil {
		var status *exec.ExitError
		if errors.As(err, &status) {
			os.Exit(status.ExitCode())
		}
		fmt.Fprintln(os.Stderr, "posix:", err)
		os.Exit(1)
	}
}

// alone is set in the environment of the process that has its own mounts.
const alone = "POSIX_ALONE"

func command(args []string) error {
	flags := flag.NewFlagSet("posix", flag.ContinueOnError)
	only := flags.String("only", "", "run only checks whose names begin so")
	prepare := flags.Bool("prepare", false, "make the files for -readonly")
	readonly := flags.Bool("readonly", false, "try files that the server does not let be changed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	args = flags.Args()
	if len(args) == 1 && args[0] == "caller" {
		return serveCalls()
	}
	if os.Getenv(alone) == "" {
		// Mounts are made in a namespace of its own. The runtime is to send no signals
		// to threads, by which it takes turns: a guest may cut writes short for them.
		cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
		cmd.Env = append(os.Environ(), alone+"=1", "GODEBUG=asyncpreemptoff=1")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
		return cmd.Run()
	}
	if len(args) != 1 {
		return errors.New("one folder is needed")
	}
	dir, err := filepath.Abs(args[0])
	if err != nil {
		return err
	}
	s, err := newSuite(*only)
	if err != nil {
		return err
	}
	defer s.end()
	top := &T{suite: s, home: dir, dir: dir}
	switch {
	case *prepare:
		top.group("readonly", prepareReadonly)
	case *readonly:
		top.again("readonly", checkReadonly)
	default:
		if err := top.all(); err != nil {
			return err
		}
	}
	return s.outcome()
}
