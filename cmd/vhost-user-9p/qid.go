// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"vhost-user-9p/cmd/vhost-user-9p/internal/qids"
	"vhost-user-9p/qidpath"
	"vhost-user-9p/xattrstore"
)

// qidCommand is the first argument that makes the program look at stored file IDs, instead
// of serving.
const qidCommand = "qid"

// exitBlind is the exit status if something could not be looked at.
const exitBlind = exitUsage

// qidOptions is the command line after the subcommand.
type qidOptions struct {
	help     bool
	json     bool
	stateDir string // empty: the default
	keep     string // empty, or a place
	dryRun   bool
	dir      string
}

// qidSubcommands are what can be done with stored file IDs.
var qidSubcommands = []struct {
	name   string
	usage  string
	repair bool // it has the flags of that
	run    func(*qids.Export, *qidOptions, io.Writer) (status int, err error)
}{
	{"dump", qidDumpUsage, false, qidDump},
	{"check", qidCheckUsage, false, qidCheck},
	{"repair", qidRepairUsage, true, qidRepair},
}

// runQID is the program with the arguments after "qid".
func runQID(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		return qidUsageError(stderr, "", errors.New("dump, check or repair is needed"))
	}
	switch args[0] {
	case "--help", "-help", "-h":
		return printed(io.WriteString(stdout, qidUsage))
	}
	for _, c := range qidSubcommands {
		if c.name != args[0] {
			continue
		}
		o, err := parseQIDOptions(args[1:], c.repair)
		switch {
		case err != nil:
			return qidUsageError(stderr, " "+c.name, err)
		case o.help:
			return printed(io.WriteString(stdout, c.usage))
		}
		status, err := onExport(o, func(e *qids.Export) (int, error) { return c.run(e, o, stdout) })
		if err != nil {
			fmt.Fprintf(stderr, "%s: qid %s: %v\n", program, c.name, err)
			return exitBlind
		}
		return status
	}
	return qidUsageError(stderr, "", fmt.Errorf("unknown subcommand %q: there are dump, check and repair", args[0]))
}

func qidUsageError(stderr io.Writer, subcommand string, err error) int {
	fmt.Fprintf(stderr, "%s: qid%s: %v\nTry '%s qid%s --help'.\n", program, subcommand, err, program, subcommand)
	return exitUsage
}

// parseQIDOptions reads flags and the one argument, in any order.
func parseQIDOptions(args []string, repair bool) (*qidOptions, error) {
	o := &qidOptions{}
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&o.help, "help", false, "")
	flags.BoolVar(&o.help, "h", false, "")
	flags.BoolVar(&o.json, "json", false, "")
	var stateDir, keep text
	flags.Var(&stateDir, "state-dir", "")
	if repair {
		flags.BoolVar(&o.dryRun, "dry-run", false, "")
		flags.Var(&keep, "keep", "")
	}
	var dirs []string
	for {
		if err := flags.Parse(args); err != nil {
			return nil, flagError(err)
		}
		if flags.NArg() == 0 {
			break
		}
		dirs, args = append(dirs, flags.Arg(0)), flags.Args()[1:]
	}
	if stateDir.isSet {
		if err := parseNonEmpty(stateDir.value, "a directory", &o.stateDir); err != nil {
			return nil, fmt.Errorf("--state-dir %q %w", stateDir.value, err)
		}
	}
	if o.keep = keep.value; keep.isSet && o.keep != xattrstore.PlaceXattr && o.keep != xattrstore.PlaceFile {
		return nil, fmt.Errorf("--keep %q is neither xattr nor file", o.keep)
	}
	switch {
	case o.help:
	case len(dirs) == 0 || dirs[0] == "":
		return nil, errors.New("the shared directory is needed, as an argument")
	case len(dirs) > 1:
		return nil, fmt.Errorf("unexpected argument %q: there is one shared directory", dirs[1])
	default:
		o.dir = dirs[0]
	}
	return o, nil
}

// onExport runs f on the export that the options name.
func onExport(o *qidOptions, f func(*qids.Export) (int, error)) (int, error) {
	root, err := openToLook(o.dir)
	if err != nil {
		return 0, fmt.Errorf("%q: %w", o.dir, err)
	}
	defer root.Close()
	state, statePath, err := openStateToLook(o.stateDir)
	if err != nil {
		return 0, err
	}
	if state != nil {
		defer state.Close()
	}
	e, err := qids.New(root, state, statePath)
	if err != nil {
		return 0, fmt.Errorf("%q: %w", o.dir, err)
	}
	status, err := f(e)
	switch {
	case errors.Is(err, qids.ErrNoPlace):
		err = fmt.Errorf("--keep file: %w: say which with --state-dir", err)
	case qidpath.ReasonOf(err) == qidpath.ReasonLocked:
		err = fmt.Errorf("%q: %w: somebody has kept its lock, flock(2), for seconds; daemons do so only for moments", o.dir, err)
	case err != nil:
		err = fmt.Errorf("%q: %w", o.dir, err)
	}
	return status, err
}

// openToLook opens a directory that must be there.
func openToLook(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	switch err {
	case nil:
		return os.NewFile(uintptr(fd), dir), nil
	case unix.ENOENT:
		return nil, errors.New("no such directory")
	case unix.EACCES:
		return nil, fmt.Errorf("must be readable for this: %w", err)
	}
	return nil, err
}

// openStateToLook opens the state directory, or the default one if that is there.
func openStateToLook(dir string) (state *os.File, path string, err error) {
	given := dir != ""
	if !given {
		if dir, err = defaultStateDir(); err != nil {
			return nil, "", nil // nor has a daemon one
		}
	}
	state, err = openToLook(dir)
	if err == nil {
		return state, dir, nil
	}
	if _, missing := os.Stat(dir); !given && errors.Is(missing, os.ErrNotExist) {
		return nil, dir, nil
	}
	if !given {
		return nil, "", fmt.Errorf("the state directory %q, which --state-dir changes: %w", dir, err)
	}
	return nil, "", fmt.Errorf("--state-dir %q: %w", dir, err)
}

func qidDump(e *qids.Export, o *qidOptions, w io.Writer) (int, error) {
	l, err := e.Look()
	if err != nil {
		return 0, err
	}
	d := l.Dump()
	return exitOK, emit(w, o.json, d, d.WriteText)
}

func qidCheck(e *qids.Export, o *qidOptions, w io.Writer) (int, error) {
	l, err := e.Look()
	if err != nil {
		return 0, err
	}
	c := l.Check()
	status := exitOK
	switch {
	case c.Blind():
		status = exitBlind
	case !c.OK:
		status = exitFailure
	}
	return status, emit(w, o.json, c, c.WriteText)
}

func qidRepair(e *qids.Export, o *qidOptions, w io.Writer) (int, error) {
	r, err := e.Repair(o.keep, o.dryRun)
	if err != nil {
		return 0, err
	}
	status := exitOK
	if !r.OK() {
		status = exitFailure
	}
	return status, emit(w, o.json, r, r.WriteText)
}

// emit prints data as JSON, or as text.
func emit(w io.Writer, asJSON bool, data any, text func(io.Writer) error) error {
	if !asJSON {
		return text(w)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(data)
}
