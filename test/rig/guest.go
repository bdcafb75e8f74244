// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// GuestConfig says what a guest is to do.
type GuestConfig struct {
	// Script is what it runs in the share, which is mounted at /mnt: bash with
	// -e, -u and -x. The test program is there as $guest.
	Script string
	// Files are copied to /run/vm in the guest.
	Files []string
	// Cache is the share's cache mode, a mount option; if empty, none. (Linux 7.3
	// then reads 4 KiB at a time.)
	Cache string
	// Version is the dialect to mount by; if empty, 9p2000.L.
	Version string
	// Options are more mount options of the share.
	Options string
	// Programs are packages of the module whose programs it has beside the test
	// program, in the same folder, each under the last part of its package's name.
	Programs []string
	// Unmounted leaves it to the script to mount the share, whose tag is Tag.
	Unmounted bool
	// Mem is its memory, such as "2G"; if empty, 2G in User-mode Linux and 1G in
	// QEMU.
	Mem string
	// CPUs is its number of processors; 0 is one.
	CPUs int
	// Reboot lets a QEMU guest reboot.
	Reboot bool
	// Monitor is the path of one more QMP socket of a QEMU guest; if empty, none.
	Monitor string
	// OwnModel has QEMU's own 9p server serve the export, in this security model.
	OwnModel string
	// Input connects the script's standard input to Say.
	Input bool
	// Packed lets a QEMU guest have a packed virtqueue, if the daemon offers it.
	Packed bool
	// VQSize is the size of a QEMU guest's virtqueue; if 0, 128.
	VQSize int
	// Bare leaves out a QEMU guest's second share with the programs: what runs is
	// busybox and its shell.
	Bare bool
}

// mountOptions are those of the share.
func (c *GuestConfig) mountOptions() string {
	access := "client"
	if c.Version != "" {
		access = "user" // the others have no ACLs, which is what client is about
	}
	options := "trans=virtio,version=" + cmp.Or(c.Version, "9p2000.L") + ",msize=512000,access=" + access + ",cache=" + cmp.Or(c.Cache, "none")
	if c.Options != "" {
		options += "," + c.Options
	}
	return options
}

// additions are the arguments that put programs and files into a guest.
func (c *GuestConfig) additions(t testing.TB) []string {
	var args []string
	for _, pkg := range append([]string{"test/guest"}, c.Programs...) {
		args = append(args, "--add", Program(t, pkg)+":"+filepath.Base(pkg))
	}
	for _, file := range c.Files {
		args = append(args, "--add", file+":"+filepath.Base(file))
	}
	return args
}

// Vehicle is a way to run guests.
type Vehicle func(*testing.T, *Daemon, GuestConfig) *Guest

// Guest is a running guest.
type Guest struct {
	t       testing.TB
	name    string
	dir     string
	daemon  *Daemon
	process *process
	qmp     *QMP
	input   *os.File // a FIFO, if there is an input
	heard   int      // lines that Hear has returned
}

// script runs a script of hack that prints a path. It builds what is missing.
func script(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(root(), "hack", name), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, &stderr)
	}
	return strings.TrimSpace(string(out))
}

// begins is the line that a guest writes when its script begins.
const begins = "the command runs"

// prelude stands before every script. "part NAME COMMAND..." runs one of several parts,
// says how it ended, and lets the script go on; see Guest.Part.
const prelude = `
guest=/run/vm/guest
part() {
	local name=$1 code
	shift
	echo "$name begins"
	set +e
	(set -e; "$@")
	code=$?
	set -e
	echo "$name ended with $code"
}
echo ` + begins + `
set -eux
`

func newGuest(t *testing.T, name string, d *Daemon, c GuestConfig) *Guest {
	t.Helper()
	g := &Guest{t: t, name: name, dir: Dir(t), daemon: d}
	if err := os.WriteFile(g.path("command"), []byte(prelude+c.Script), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"stdout", "stderr", "console", "status", "vehicle"} {
		if err := os.WriteFile(g.path(name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if c.Input {
		if err := unix.Mkfifo(g.path("stdin"), 0o600); err != nil {
			t.Fatal(err)
		}
		var err error
		if g.input, err = os.OpenFile(g.path("stdin"), os.O_RDWR, 0); err != nil { // does not wait for the reader
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = g.input.Close() })
	}
	return g
}

// Say writes a line to the script's standard input.
func (g *Guest) Say(line string) {
	g.t.Helper()
	if _, err := g.input.WriteString(line + "\n"); err != nil {
		g.t.Fatal(err)
	}
}

func (g *Guest) path(name string) string { return filepath.Join(g.dir, name) }

// start starts the script that runs the guest.
func (g *Guest) start(stdout, stderr string, name string, args ...string) {
	g.t.Helper()
	cmd := exec.Command(filepath.Join(root(), "hack", name), args...)
	out, err := os.OpenFile(g.path(stdout), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		g.t.Fatal(err)
	}
	defer out.Close()
	errs, err := os.OpenFile(g.path(stderr), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		g.t.Fatal(err)
	}
	defer errs.Close()
	cmd.Stdout, cmd.Stderr = out, errs
	cmd.Env = append(os.Environ(), "TMPDIR="+g.dir)
	g.t.Cleanup(func() {
		if g.process != nil {
			g.Kill()
		}
		if g.t.Failed() {
			for _, name := range []string{"console", "vehicle", "stderr", "stdout"} {
				showTail(g.t, g.name+"'s "+name, g.path(name), 40)
			}
		}
	})
	if g.process, err = startProcess(cmd, unix.SIGTERM); err != nil {
		g.t.Fatal(err)
	}
	g.await(begins, 2*time.Minute, func() bool { return strings.Contains(g.Stdout(), begins) })
}

// UML starts a guest in User-mode Linux and returns when its command runs.
func UML(t *testing.T, d *Daemon, c GuestConfig) *Guest {
	t.Helper()
	script(t, "build-uml.sh")
	script(t, "debian-root.sh")
	g := newGuest(t, "the guest (User-mode Linux)", d, c)
	tag := Tag
	if c.Unmounted {
		tag = "none"
	}
	args := []string{
		"--socket", d.Socket, "--tag", tag, "--command", g.path("command"), "--console", g.path("console"),
	}
	args = append(args, c.additions(t)...)
	if d.peer == "virtiofsd" {
		args = append(args, "--type", "virtiofs")
	} else {
		args = append(args, "--opts", c.mountOptions())
	}
	if c.Mem != "" {
		args = append(args, "--mem", c.Mem)
	}
	if c.CPUs != 0 {
		args = append(args, "--cpus", fmt.Sprint(c.CPUs))
	}
	if c.Input {
		args = append(args, "--stdin", g.path("stdin"))
	}
	g.start("stdout", "stderr", "run-uml.sh", args...)
	return g
}

// QEMU starts a guest in QEMU and returns when its command runs.
func QEMU(t *testing.T, d *Daemon, c GuestConfig) *Guest {
	t.Helper()
	script(t, "debian-root.sh")
	script(t, "guest-kernel.sh")
	g := newGuest(t, "the guest (QEMU)", d, c)
	initrd := script(t, "initramfs.sh", append([]string{"--output", g.path("initrd"), "--command", g.path("command")}, c.additions(t)...)...)
	args := []string{
		"--tag", Tag, "--opts", c.mountOptions(), "--initrd", initrd, "--qmp", g.path("qmp"),
		"--console", g.path("console"), "--stdout", g.path("stdout"), "--stderr", g.path("stderr"), "--status", g.path("status"),
	}
	if d.peer == "qemu" || c.OwnModel != "" {
		args = append(args, "--peer", "qemu", "--share", d.Export, "--security-model", cmp.Or(c.OwnModel, "passthrough"))
	} else {
		args = append(args, "--socket", d.Socket)
	}
	if !c.Bare {
		args = append(args, "--chroot")
	}
	if c.Reboot {
		args = append(args, "--reboot")
	}
	if c.Packed {
		args = append(args, "--packed")
	}
	if c.VQSize != 0 {
		args = append(args, "--vq-size", fmt.Sprint(c.VQSize))
	}
	if c.Unmounted {
		args = append(args, "--unmounted")
	}
	if c.Input {
		args = append(args, "--stdin", g.path("stdin"))
	}
	if c.Monitor != "" {
		args = append(args, "--qmp", c.Monitor)
	}
	if c.Mem != "" {
		args = append(args, "--mem", c.Mem)
	}
	// QEMU emulates each processor by a thread of its own, and on a busy machine a kernel now
	// and then stumbles, while it boots, over code that it is patching on the other one: it
	// panics before it has looked for any device. So a guest has one, unless it asks for more.
	args = append(args, "--cpus", fmt.Sprint(cmp.Or(c.CPUs, 1)))
	g.start("vehicle", "vehicle", "run-qemu.sh", args...)
	return g
}

// Stdout returns what the guest has written to its standard output.
func (g *Guest) Stdout() string {
	content, err := os.ReadFile(g.path("stdout"))
	if err != nil {
		g.t.Fatal(err)
	}
	return strings.ReplaceAll(string(content), "\r", "")
}

// await waits until something is true while the guest runs.
func (g *Guest) await(what string, timeout time.Duration, f func() bool) {
	g.t.Helper()
	for deadline := time.Now().Add(timeout); !f(); time.Sleep(20 * time.Millisecond) {
		if !g.process.running() && !f() {
			g.t.Fatalf("%s has ended (%v) before this: %s", g.name, g.process.cmd.ProcessState, what)
		}
		if time.Now().After(deadline) {
			g.dump()
			g.t.Fatalf("%s: not in %v: %s", g.name, timeout, what)
		}
	}
}

// dump shows what the guest and the daemon were doing when something took too long.
func (g *Guest) dump() {
	g.t.Helper()
	g.showTasks()
	g.daemon.dump()
}

// WaitFor waits until the guest has written a line n times.
func (g *Guest) WaitFor(line string, n int, timeout time.Duration) {
	g.t.Helper()
	g.await(fmt.Sprintf("%d times the line %q", n, line), timeout, func() bool {
		return strings.Count("\n"+g.Stdout(), "\n"+line+"\n") >= n
	})
}

// Hear waits for the next line that the script has written.
func (g *Guest) Hear(timeout time.Duration) string {
	g.t.Helper()
	var line string
	g.await("a line", timeout, func() bool {
		_, written, _ := strings.Cut(g.Stdout(), begins+"\n")
		lines := strings.SplitAfter(written, "\n")
		if g.heard >= len(lines)-1 {
			return false
		}
		line = strings.TrimSuffix(lines[g.heard], "\n")
		return true
	})
	g.heard++
	return line
}

// Wait waits until the guest has ended by itself, its command with status 0, and returns
// what it wrote.
func (g *Guest) Wait(timeout time.Duration) string {
	g.t.Helper()
	began := time.Now()
	if _, err := g.process.wait(timeout); err != nil {
		g.dump()
		g.t.Fatalf("%s: %v", g.name, err)
	}
	status := g.process.cmd.ProcessState.String()
	if line := strings.TrimSpace(tail(g.path("status"), 1)); line != "" {
		status = line // QEMU's exit status is not the command's
	}
	g.closeQMP()
	g.process = nil
	if status != "exit 0" && status != "exit status 0" {
		g.t.Fatalf("%s: %s", g.name, status)
	}
	g.daemon.Alive()
	g.t.Logf("%s: %.1f s", g.name, time.Since(began).Seconds())
	return g.Stdout()
}

// Part waits until a part of the script has ended, and fails the test if it failed.
func (g *Guest) Part(name string, timeout time.Duration) {
	g.t.Helper()
	began := time.Now()
	var outcome string
	g.await("the end of the part "+name, timeout, func() bool {
		_, rest, _ := strings.Cut("\n"+g.Stdout(), "\n"+name+" ended with ")
		var complete bool
		outcome, _, complete = strings.Cut(rest, "\n")
		return complete
	})
	g.t.Logf("%s: %.1f s", name, time.Since(began).Seconds())
	if outcome != "0" {
		g.t.Errorf("%s: the part %s ended with %s", g.name, name, outcome)
	}
}

// Kill ends the guest as if its power was cut.
func (g *Guest) Kill() {
	g.t.Helper()
	g.closeQMP()
	g.process.kill()
	g.process = nil
}

// Signal sends QEMU, or User-mode Linux, a signal.
func (g *Guest) Signal(s syscall.Signal) { g.process.signal(s) }

func (g *Guest) closeQMP() {
	if g.qmp != nil {
		g.qmp.close()
		g.qmp = nil
	}
}

// Pid returns the process id of QEMU, or of the script that runs User-mode Linux.
func (g *Guest) Pid() int { return g.process.cmd.Process.Pid }

// Running reports whether the guest has not ended.
func (g *Guest) Running() bool { return g.process != nil && g.process.running() }
