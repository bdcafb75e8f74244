// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vhost-user-9p/xattrstore"
)

func TestQIDBadCommandLines(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		say  string // a regular expression that standard error matches
	}{
		"nothing":                  {nil, `qid: dump, check or repair is needed\nTry 'vhost-user-9p qid --help'`},
		"unknown subcommand":       {[]string{"show", dir}, `qid: unknown subcommand "show": there are dump, check and repair\nTry`},
		"flag before it":           {[]string{"--json", "dump", dir}, `qid: unknown subcommand "--json"`},
		"no directory":             {[]string{"dump"}, `qid dump: the shared directory is needed, as an argument\nTry 'vhost-user-9p qid dump --help'`},
		"empty directory":          {[]string{"check", ""}, `qid check: the shared directory is needed`},
		"two directories":          {[]string{"check", dir, "--json", "x"}, `qid check: unexpected argument "x"`},
		"unknown flag":             {[]string{"check", "--fix", dir}, `qid check: no such flag: --fix\nTry`},
		"flag of another":          {[]string{"check", "--keep=file", dir}, `qid check: no such flag: --keep`},
		"keep nothing":             {[]string{"repair", "--keep=", dir}, `qid repair: --keep "" is neither xattr nor file`},
		"keep something":           {[]string{"repair", dir, "--keep", "disk"}, `qid repair: --keep "disk" is neither xattr nor file`},
		"no state directory":       {[]string{"dump", "--state-dir=", dir}, `qid dump: --state-dir "" is empty`},
		"state directory is none":  {[]string{"dump", "--state-dir", file, dir}, `qid dump: --state-dir ".*/file": not a directory\n$`},
		"state directory missing":  {[]string{"dump", "--state-dir", dir + "/x", dir}, `qid dump: --state-dir ".*/x": no such directory\n$`},
		"directory is a file":      {[]string{"repair", file}, `qid repair: ".*/file": not a directory\n$`},
		"directory is not there":   {[]string{"check", dir + "/x"}, `qid check: ".*/x": no such directory\n$`},
		"value of a flag that has": {[]string{"check", "--json=perhaps", dir}, `qid check: .*perhaps`},
	} {
		t.Run(name, func(t *testing.T) {
			got := runArgs(t, append([]string{"qid"}, c.args...)...)
			if got.status != exitUsage || got.stdout != "" || !regexp.MustCompile(`^vhost-user-9p: `+c.say).MatchString(got.stderr) {
				t.Errorf("%+v, want status %d and %q", got, exitUsage, c.say)
			}
		})
	}
}

func TestQIDHelp(t *testing.T) {
	for want, args := range map[string][]string{
		qidUsage:       {"--help"},
		qidDumpUsage:   {"dump", "--help"},
		qidCheckUsage:  {"check", "-h", "/nonexistent"},
		qidRepairUsage: {"repair", "/nonexistent", "--keep=file", "--help"},
	} {
		if got := runArgs(t, append([]string{"qid"}, args...)...); got != (outcome{0, want, ""}) {
			t.Errorf("%q: %+v", args, got)
		}
		for line := range strings.Lines(want) {
			if len(line) > 81 {
				t.Errorf("more than 80 columns: %s", line)
			}
		}
	}
}

// TestQIDWithoutStateDir looks where the default state directory is not there, and makes none.
func TestQIDWithoutStateDir(t *testing.T) {
	r := tmpfsRig(t)
	state := filepath.Join(t.TempDir(), "state")
	t.Setenv("STATE_DIRECTORY", state)
	r.append(xattrstore.ModeXattr, r.own)
	for args, say := range map[string]string{
		"dump":   state + ", which is not there\n",
		"check":  "note: no-state-directory: there is no state directory " + state,
		"repair": "nothing to repair\n",
	} {
		if got := runArgs(t, "qid", args, r.dir); got.status != exitOK || !strings.Contains(got.stdout, say) || got.stderr != "" {
			t.Errorf("%s: %+v, want %q", args, got, say)
		}
	}
	got := runArgs(t, "qid", "repair", "--keep=file", r.dir)
	if got.status != exitUsage || !strings.Contains(got.stderr, "--keep file: there is no state directory") {
		t.Errorf("%+v", got)
	}
	if _, err := os.Lstat(state); err == nil {
		t.Error("the state directory was made")
	}
}

// TestQIDWhileServed repairs what a daemon is using, which goes on with it.
func TestQIDWhileServed(t *testing.T) {
	r := tmpfsRig(t)
	daemon := r.store(xattrstore.ModeAuto)
	if _, err := daemon.Append(0, nil); err != nil {
		t.Fatal(err)
	}
	r.append(xattrstore.ModeAuto, r.own, absent(1))
	r.set("qidf.1", make([]byte, 16))
	r.set("qidp.1", make([]byte, 10))
	if elements, err := daemon.Load(); err != nil || len(elements) != 2 {
		t.Fatalf("%v, %v", elements, err)
	}
	r.want(exitFailure, "check")
	r.want(exitOK, "repair")
	r.want(exitOK, "check")
	if tail, err := daemon.Append(2, append(r.load(), absent(2))); err != nil || len(tail) != 1 || tail[0] != absent(2) {
		t.Errorf("%v, %v", tail, err)
	}
	if got := r.load(); len(got) != 3 {
		t.Errorf("loaded %v", got)
	}
	r.want(exitOK, "check")
}

// TestQIDLocked looks while somebody keeps the lock, and when they let it go.
func TestQIDLocked(t *testing.T) {
	r := tmpfsRig(t)
	root := r.root()
	lock := func(how int) {
		t.Helper()
		if err := unix.Flock(int(root.Fd()), how); err != nil {
			t.Error(err)
		}
	}
	lock(unix.LOCK_EX)
	for _, args := range [][]string{{"dump"}, {"check"}, {"repair"}} {
		got := r.qid(args...)
		if got.status != exitBlind || got.stdout != "" || !strings.Contains(got.stderr, "qid "+args[0]+`: "`+r.dir+`": `) ||
			!strings.Contains(got.stderr, "flock") {
			t.Errorf("%q: %+v", args, got)
		}
	}
	released := make(chan struct{})
	go func() {
		defer close(released)
		time.Sleep(100 * time.Millisecond)
		lock(unix.LOCK_UN)
	}()
	r.want(exitOK, "check")
	<-released
}

// TestQIDDenied looks as somebody who may not.
func TestQIDDenied(t *testing.T) {
	r := newQIDRig(t, dirWithMode(t, 0o700))
	asNobody(t, func() {
		if got := r.qid("check"); got.status != exitBlind || !strings.Contains(got.stderr, `"`+r.dir+`": must be readable for this`) {
			t.Errorf("a directory that may not be read: %+v", got)
		}
	})
	if err := os.Chmod(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(r.state, 0o700); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() {
		if got := r.qid("check"); got.status != exitBlind || !strings.Contains(got.stderr, `--state-dir "`+r.state+`": must be readable`) {
			t.Errorf("a state directory that may not be read: %+v", got)
		}
	})

	// What is in it may not be read.
	r.append(xattrstore.ModeFile, r.own)
	r.number(file(1, 1))
	for _, dir := range []string{r.state, filepath.Dir(r.state)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	asNobody(t, func() {
		got := r.qid("check")
		for _, line := range []string{"no-permission: file: ", "no-permission: full map: "} {
			if got.status != exitBlind || !strings.Contains("\n"+got.stdout, "\n"+line) {
				t.Errorf("no line %q: %+v", line, got)
			}
		}
		if got := r.qid("dump"); got.status != exitOK || !strings.Contains(got.stdout, "permission denied") {
			t.Errorf("%+v", got)
		}
		if got := r.qid("repair"); got.status != exitFailure || !strings.Contains(got.stdout, "left: no-permission: file: ") {
			t.Errorf("%+v", got)
		}
	})
}
