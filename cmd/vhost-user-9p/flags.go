// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep/hostfs"
	"vhost-user-9p/ninep/throttle"
	"vhost-user-9p/qidpath"
	"vhost-user-9p/xattrstore"
)

// options is the command line, checked as far as that is possible without opening
// anything.
type options struct {
	printCapabilities, help, version bool

	socketPath string // empty: fd
	fd         int    // -1: socketPath
	group      string // of the socket; empty: the socket is its owner's alone

	sharedDir string
	tag       string
	readOnly  bool
	model     hostfs.Model
	modelSet  bool   // else the one that suits the daemon
	fileMode  uint32 // 0: the default
	dirMode   uint32 // 0: the default
	multiDevs hostfs.MultiDevs
	writeOut  bool
	fsType    uint32 // that guests see; 0: the host's
	qmp       string // socket of QEMU's monitor; empty: none

	uids, gids hostfs.IDMap
	xattrMap   *hostfs.XattrMap // nil: names stay as they are

	maxMsize uint32 // bytes
	threads  int    // 0: as many as processors
	poll     time.Duration
	cpus     unix.CPUSet // none: those that it is started on
	node     int         // of the processors; -1: none in particular
	nofile   uint64      // 0: the hard limit
	packed   bool        // offer packed virtqueues

	qidForget bool // --qid-store none: qidStore does not count
	qidStore  xattrstore.Mode
	qidLayout qidpath.Layout
	stateDir  string // empty: the default

	limits     throttle.Limits
	limited    bool   // by flags
	limitsFile string // empty: none

	logLevel  slog.Level
	logFormat string
	metrics   *endpoint // nil: none
}

// setting is one flag. parse puts its text into the options; its errors go on after
// "--name "text"".
type setting struct {
	name    string
	boolean bool
	repeats bool // may stand there several times, for a list: the texts are joined by commas
	parse   func(o *options, text string) error
}

// settings has every flag, in the order in which bad values are reported.
var settings = append([]setting{
	boolean("print-capabilities", func(o *options) *bool { return &o.printCapabilities }),
	boolean("help", func(o *options) *bool { return &o.help }),
	boolean("h", func(o *options) *bool { return &o.help }),
	boolean("version", func(o *options) *bool { return &o.version }),
	{name: "socket-path", parse: func(o *options, s string) error { return parseSocketPath(s, &o.socketPath) }},
	{name: "fd", parse: parseFD},
	{name: "socket-group", parse: func(o *options, s string) error { return parseNonEmpty(s, "the name or number of a group", &o.group) }},
	{name: "shared-dir", parse: func(o *options, s string) error { return parseNonEmpty(s, "a directory", &o.sharedDir) }},
	{name: "tag", parse: parseTag},
	boolean("readonly", func(o *options) *bool { return &o.readOnly }),
	{name: "statfs-type", parse: parseFSType},
	{name: "security-model", parse: parseModel},
	{name: "fmode", parse: func(o *options, s string) error { return parseHostMode(s, &o.fileMode) }},
	{name: "dmode", parse: func(o *options, s string) error { return parseHostMode(s, &o.dirMode) }},
	{name: "map-uid", repeats: true, parse: func(o *options, s string) error { return parseIDRanges(s, &o.uids) }},
	{name: "map-gid", repeats: true, parse: func(o *options, s string) error { return parseIDRanges(s, &o.gids) }},
	{name: "squash-uid", parse: func(o *options, s string) error { return parseSquash(s, &o.uids) }},
	{name: "squash-gid", parse: func(o *options, s string) error { return parseSquash(s, &o.gids) }},
	{name: "xattrmap", parse: parseXattrMap},
	{name: "multidevs", parse: parseMultiDevs},
	{name: "qmp", parse: func(o *options, s string) error { return parseSocketPath(s, &o.qmp) }},
	{name: "writeout", parse: parseWriteOut},
	{name: "qid-store", parse: parseQIDStore},
	{name: "qid-layout", parse: parseQIDLayout},
	{name: "state-dir", parse: func(o *options, s string) error { return parseNonEmpty(s, "a directory", &o.stateDir) }},
	{name: "max-msize", parse: parseMaxMsize},
	{name: "threads", parse: parseThreads},
	{name: "poll-us", parse: parsePoll},
	{name: "cpus", parse: func(o *options, s string) (err error) { o.cpus, err = parseCPUs(s); return err }},
	{name: "numa-node", parse: parseNode},
	{name: "rlimit-nofile", parse: parseNofile},
	boolean("packed", func(o *options) *bool { return &o.packed }),
	{name: "log-level", parse: parseLogLevel},
	{name: "log-format", parse: parseLogFormat},
	{name: "metrics-listen", parse: func(o *options, s string) (err error) { o.metrics, err = parseEndpoint(s); return err }},
}, throttleSettings()...)

func boolean(name string, field func(*options) *bool) setting {
	return setting{name: name, boolean: true, parse: func(o *options, text string) error {
		v, err := strconv.ParseBool(text)
		if err != nil {
			return errors.New("is neither true nor false")
		}
		*field(o) = v
		return nil
	}}
}

// text is a flag.Value that takes everything: the values are checked later, in a fixed
// order and with messages of our own.
type text struct {
	value          string
	boolean, isSet bool
	repeats        bool
}

func (t *text) String() string   { return t.value }
func (t *text) IsBoolFlag() bool { return t.boolean }

func (t *text) Set(s string) error {
	if t.repeats && t.isSet {
		s = t.value + "," + s
	}
	t.value, t.isSet = s, true
	return nil
}

// parseOptions reads the command line. A flag that stands there twice has its last value, but
// for those that repeat.
func parseOptions(args []string) (*options, error) {
	o := &options{
		fd:        -1,
		node:      -1,
		poll:      defaultPoll,
		maxMsize:  defaultMaxMsize,
		logLevel:  slog.LevelInfo,
		logFormat: formatText,
	}
	// QEMU's convention: this one makes a back end ignore all others.
	if slices.ContainsFunc(args, func(a string) bool { return a == "--print-capabilities" || a == "-print-capabilities" }) {
		o.printCapabilities = true
		return o, nil
	}

	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	texts := make([]text, len(settings))
	for i, s := range settings {
		texts[i].boolean, texts[i].repeats = s.boolean, s.repeats
		flags.Var(&texts[i], s.name, "")
	}
	if err := flags.Parse(args); err != nil {
		return nil, flagError(err)
	}
	for i, s := range settings {
		if !texts[i].isSet {
			continue
		}
		if err := s.parse(o, texts[i].value); err != nil {
			return nil, fmt.Errorf("--%s %q %w", s.name, texts[i].value, err)
		}
		if o.printCapabilities || o.help || o.version {
			return o, nil
		}
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: everything is said with flags, such as --shared-dir=DIR", flags.Arg(0))
	}
	return o, o.check()
}

// check finds what single values do not show.
func (o *options) check() error {
	switch {
	case o.socketPath == "" && o.fd < 0:
		return errors.New("no socket: --socket-path PATH or --fd N is needed")
	case o.socketPath != "" && o.fd >= 0:
		return errors.New("two sockets: --socket-path and --fd exclude each other")
	case o.sharedDir == "":
		return errors.New("no directory to serve: --shared-dir DIR is needed")
	case o.tag == "":
		return errors.New("no mount tag: --tag TAG is needed, the name by which the guest mounts the directory")
	case o.multiDevs != hostfs.Remap && o.qidLayout != qidpath.Prefix:
		return fmt.Errorf("--qid-layout %s is for --multidevs remap: with %s, file IDs are inode numbers", o.qidLayout, o.multiDevs)
	case o.qidForget && o.stateDir != "":
		return errors.New("--state-dir is for a table of file IDs that is stored: --qid-store none is not")
	case o.cpus.Count() > 0 && o.node >= 0:
		return errors.New("--cpus and --numa-node exclude each other: both say which processors are used")
	case o.group != "" && o.socketPath == "" && (o.metrics == nil || o.metrics.network != "unix"):
		return errors.New("--socket-group is for a socket that the daemon makes, with --socket-path or --metrics-listen unix:PATH")
	}
	if err := o.checkLimits(); err != nil {
		return err
	}
	if o.modelSet {
		return o.checkModel()
	}
	return nil
}

// checkModel finds flags that the security model has no use for.
func (o *options) checkModel() error {
	for _, f := range []struct {
		name   string
		given  bool
		mapped bool // for mapped models only; else for the others
	}{
		{"fmode", o.fileMode != 0, true},
		{"dmode", o.dirMode != 0, true},
		{"map-uid", len(o.uids.Ranges) > 0, false},
		{"map-gid", len(o.gids.Ranges) > 0, false},
		{"squash-uid", o.uids.Squash, false},
		{"squash-gid", o.gids.Squash, false},
	} {
		if f.given && f.mapped != o.model.Mapped() {
			return fmt.Errorf("--%s is not for --security-model %s", f.name, o.model)
		}
	}
	return nil
}

// flagError says what package flag says, in this program's terms.
func flagError(err error) error {
	if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
		return fmt.Errorf("no such flag: --%s", name)
	}
	if name, ok := strings.CutPrefix(err.Error(), "flag needs an argument: -"); ok {
		return fmt.Errorf("--%s needs a value", name)
	}
	return err
}
