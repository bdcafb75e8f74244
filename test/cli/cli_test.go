// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"vhost-user-9p/test/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

// outcome is how a run of the program ended.
type outcome struct {
	status         int
	stdout, stderr string
}

// run runs the program to its end, which must come by itself.
func run(t *testing.T, args ...string) outcome {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), rig.Binary(t), args...)
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
	case <-time.After(rig.Moment):
		_ = cmd.Process.Kill()
		t.Fatalf("%q does not end, and had to be killed (%v):\n%s", args, <-done, &stderr)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func TestVersion(t *testing.T) {
	o := run(t, "--version")
	if o.status != 0 || !strings.HasPrefix(o.stdout, "vhost-user-9p ") || strings.Count(o.stdout, "\n") != 1 || o.stderr != "" {
		t.Errorf("--version: %+v", o)
	}
}

func TestPrintCapabilities(t *testing.T) {
	for _, args := range [][]string{
		{"--print-capabilities"},
		{"--print-capabilities", "--no-such-flag"},
		{"--socket-path", "/nonexistent/socket", "--print-capabilities", "--fd", "x"},
	} {
		o := run(t, args...)
		var got any
		if err := json.Unmarshal([]byte(o.stdout), &got); err != nil {
			t.Errorf("%q: %v in %q", args, err, o.stdout)
		}
		m, ok := got.(map[string]any)
		if !ok || len(m) != 1 || m["type"] != "9p" || o.status != 0 || o.stderr != "" {
			t.Errorf("%q: %+v", args, o)
		}
	}
}

func TestHelp(t *testing.T) {
	long, short := run(t, "--help"), run(t, "-h")
	if long.status != 0 || long.stderr != "" || long != short {
		t.Errorf("--help: status %d, standard error %q; -h: status %d", long.status, long.stderr, short.status)
	}
	for _, line := range strings.Split(long.stdout, "\n") {
		if len(line) > 120 {
			t.Errorf("--help has a line of %d characters: %s", len(line), line)
		}
	}
}

// flags returns what --help says that there is: the flags with values, and those without.
func flags(t *testing.T) (values, booleans []string) {
	t.Helper()
	found := regexp.MustCompile(`(?m)^  --([a-z0-9-]+)( [A-Z|]\S*)?`).FindAllStringSubmatch(run(t, "--help").stdout, -1)
	for _, f := range found {
		if f[2] != "" {
			values = append(values, f[1])
		} else {
			booleans = append(booleans, f[1])
		}
	}
	if len(values) < 5 || len(booleans) < 3 {
		t.Fatalf("--help has the flags %q and %q", values, booleans)
	}
	return values, booleans
}

// badValues has values that each flag must refuse.
var badValues = map[string][]string{
	"socket-path":    {"", strings.Repeat("x", 108), "/nonexistent/socket", "/dev/null"},
	"fd":             {"", "x", "-1", "1", "2", "999", "99999999999999999999"},
	"socket-group":   {"", "no such group", "-1"},
	"shared-dir":     {"", "/nonexistent", "/dev/null"},
	"tag":            {"", strings.Repeat("x", 255), "new\nline"},
	"statfs-type":    {"", "x", "0x", "0", "61267", "0x100000000", "EXT4"},
	"max-msize":      {"", "x", "0", "4095", "-1", "1T", "17M"},
	"threads":        {"", "x", "-1", "1025", "1.5"},
	"poll-us":        {"", "x", "-1", "1001", "0.5"},
	"cpus":           {"", "x", "-1", "1-", "3-1", "1024", "0,,1", "0 1"},
	"numa-node":      {"", "x", "-1", "65536", "9999"},
	"rlimit-nofile":  {"", "x", "-1", "10"},
	"log-level":      {"", "loud", "INFO "},
	"log-format":     {"", "xml"},
	"throttle-file":  {"", "/nonexistent", "/nonexistent/limits", "/dev/null", "/etc/passwd"},
	"multidevs":      {"", "x", "Remap", "remap,warn"},
	"writeout":       {"", "x", "Immediate", "none"},
	"security-model": {"", "x", "Passthrough", "passthrough "},
	"fmode":          {"", "x", "0888", "01777", "-1", "0"},
	"dmode":          {"", "x", "0888", "01777", "-1", "0"},
	"map-uid":        {"", "x", "0:1", "0:1:0", "0:0:4294967296", "0:0:2,1:5:1", "0:-1:1"},
	"map-gid":        {"", "x", "0:1", "0:1:0", "1:4294967295:1", "0:0:2,9:1:1", "0 0 1"},
	"squash-uid":     {"", "x", "-1", "4294967295", "root"},
	"squash-gid":     {"", "x", "-1", "4294967296", "1.5"},
	"xattrmap":       {"", "x", ":ok:all", ":good:all:::", ":map:::", ":map::user.a.::ok:all:::"},
	"metrics-listen": {"", "x", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999", "unix:", "unix:/nonexistent/socket"},
	"qid-store":      {"", "x", "Auto", "xattr,file"},
	"qid-layout":     {"", "x", "Suffix"},
	"state-dir":      {"", "/dev/null", "/dev/null/state", "/proc/state"},
	"qmp":            {"", "/nonexistent/socket"},
}

func init() {
	for _, unit := range []string{"bps", "iops"} {
		for _, class := range []string{"total", "read", "write"} {
			name := "throttle-" + unit + "-" + class
			badValues[name] = []string{"", "x", "-1", "1.5", "1000000000000001"}
			badValues[name+"-max"] = []string{"", "x", "-1", "1"} // without a limit
			badValues[name+"-max-length"] = []string{"", "0", "x", "2"}
		}
	}
	badValues["throttle-iops-size"] = []string{"", "x", "1"}
}

func TestBadValues(t *testing.T) {
	values, booleans := flags(t)
	dir := rig.Dir(t)
	good := map[string]string{"socket-path": filepath.Join(dir, "socket"), "shared-dir": dir, "tag": "share"}
	try := func(name, value string) {
		t.Helper()
		var args []string
		for n, v := range good {
			if n != name && (name != "fd" || n != "socket-path") {
				args = append(args, "--"+n, v)
			}
		}
		for _, args := range [][]string{append(slices.Clone(args), "--"+name+"="+value), append(slices.Clone(args), "--"+name, value)} {
			if strings.HasPrefix(value, "-") && !strings.Contains(args[len(args)-1], "=") {
				continue
			}
			o := run(t, args...)
			if o.status == 0 || !strings.Contains(o.stderr, "--"+name) || o.stdout != "" {
				t.Errorf("%q: %+v", args, o)
			}
			if strings.Contains(o.stderr, "goroutine") || strings.Count(o.stderr, "\n") > 3 {
				t.Errorf("%q: this is not a message for people: %s", args, o.stderr)
			}
		}
	}
	for _, name := range values {
		if len(badValues[name]) == 0 {
			t.Errorf("the test knows no bad value of --%s", name)
		}
		for _, value := range badValues[name] {
			try(name, value)
		}
	}
	for _, name := range booleans {
		if name == "print-capabilities" || name == "help" || name == "version" {
			continue
		}
		if o := run(t, "--"+name+"=maybe", "--socket-path", good["socket-path"], "--shared-dir", dir, "--tag", "share"); o.status == 0 || !strings.Contains(o.stderr, "--"+name) {
			t.Errorf("--%s=maybe: %+v", name, o)
		}
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) > 0 {
		t.Errorf("left behind: %q", names)
	}
}

func TestBadCommandLines(t *testing.T) {
	dir := rig.Dir(t)
	socket := filepath.Join(dir, "socket")
	for _, c := range []struct {
		args []string
		say  string
	}{
		{nil, "--socket-path"},
		{[]string{"--socket-path", socket, "--tag", "share"}, "--shared-dir"},
		{[]string{"--socket-path", socket, "--shared-dir", dir}, "--tag"},
		{[]string{"--shared-dir", dir, "--tag", "share"}, "--fd"},
		{[]string{"--socket-path", socket, "--fd", "3", "--shared-dir", dir, "--tag", "share"}, "--fd"},
		{[]string{"--socket-path", socket, "--shared-dir", dir, "--tag", "share", "more"}, "more"},
		{[]string{"--no-such-flag"}, "--no-such-flag"},
		{[]string{"--socket-path", socket, "--shared-dir", dir, "--tag"}, "--tag"},
	} {
		if o := run(t, c.args...); o.status == 0 || !strings.Contains(o.stderr, c.say) || o.stdout != "" {
			t.Errorf("%q: %+v, it should name %s", c.args, o, c.say)
		}
	}
}

func TestSocketFile(t *testing.T) {
	dir := rig.Dir(t)
	args := func(socket string) []string {
		return []string{"--socket-path", socket, "--shared-dir", dir, "--tag", "share"}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if o := run(t, args(file)...); o.status == 0 || !strings.Contains(o.stderr, file) {
		t.Errorf("a file at the socket's place: %+v", o)
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "precious" {
		t.Errorf("the file has become %q, %v", content, err)
	}

	d := rig.StartDaemon(t, dir)
	info, err := os.Lstat(d.Socket)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("the socket's mode is %v, %v", info.Mode(), err)
	}
	if o := run(t, args(d.Socket)...); o.status == 0 || !strings.Contains(o.stderr, d.Socket) {
		t.Errorf("a socket in use: %+v", o)
	}
	if _, err := os.Lstat(d.Socket); err != nil {
		t.Errorf("the first daemon's socket: %v", err)
	}
	d.Kill()
	if _, err := os.Lstat(d.Socket); err != nil {
		t.Fatalf("a killed daemon's socket: %v", err)
	}
	d.Start() // in spite of the socket that is there
	if os.Getuid() == 0 {
		g := rig.StartDaemon(t, dir, "--socket-group", "12345")
		info, err := os.Lstat(g.Socket)
		if err != nil || info.Mode() != os.ModeSocket|0o660 {
			t.Errorf("with --socket-group the socket's mode is %v, %v", info.Mode(), err)
		}
		if got := fmt.Sprint(statGroup(t, g.Socket)); got != "12345" {
			t.Errorf("the socket's group is %s", got)
		}
	}
}
