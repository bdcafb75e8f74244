// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep/hostfs"
)

// asNobody calls f on a thread that has no privileges.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give it up")
	}
	const nobody = 65534
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		_, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0)
		if errno == 0 {
			_, _, errno = unix.RawSyscall(unix.SYS_SETRESGID, nobody, nobody, nobody)
		}
		if errno == 0 {
			_, _, errno = unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody)
		}
		if errno != 0 {
			t.Errorf("giving up privileges: %v", errno)
			return
		}
		f()
	}()
	<-done
}

// dirWithMode makes a directory with a mode, in one that everybody can search.
func dirWithMode(t *testing.T, mode os.FileMode) string {
	t.Helper()
	dir := t.TempDir()
	for d, m := range map[string]os.FileMode{dir: mode, filepath.Dir(dir): 0o755} {
		if err := os.Chmod(d, m); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestDirectoryThatCannotBeUsed(t *testing.T) {
	for mode, good := range map[os.FileMode]bool{0o700: false, 0o744: false, 0o711: false, 0o705: true} {
		dir := dirWithMode(t, mode)
		asNobody(t, func() {
			root, err := openExport(dir)
			if err == nil {
				root.Close()
			}
			const say = "the daemon's user must be able to read and search it"
			if (err == nil) != good || err != nil && !strings.Contains(err.Error(), `--shared-dir "`+dir+`": `+say) {
				t.Errorf("mode %v: %v", mode, err)
			}
		})
	}
}

func TestGroupThatCannotBeGiven(t *testing.T) {
	dir := dirWithMode(t, 0o777)
	asNobody(t, func() {
		l, err := listenUnix(filepath.Join(dir, "s"), 4711)
		if err == nil {
			l.Close()
			t.Error("given")
		} else if !strings.Contains(err.Error(), "--socket-group 4711: operation not permitted") {
			t.Error(err)
		}
	})
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestLimitThatCannotBeRaised(t *testing.T) {
	var before, after unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() {
		if _, err := raiseNofile(before.Max + 1); err == nil || !strings.Contains(err.Error(), "a higher one needs root") {
			t.Errorf("raising the limit: %v", err)
		}
	})
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &after); err != nil || after.Max != before.Max {
		t.Errorf("before %+v, after %+v, %v", before, after, err)
	}
}

func TestModelThatSuits(t *testing.T) {
	dir := dirWithMode(t, 0o777)
	choose := func(dir string, args ...string) (hostfs.Model, string, error) {
		args = append([]string{"--socket-path=/s", "--tag=t", "--shared-dir", dir}, args...)
		o, err := parseOptions(args)
		if err != nil {
			t.Fatal(err)
		}
		root, err := openExport(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer root.Close()
		var log strings.Builder
		err = o.chooseModel(root, slog.New(slog.NewTextHandler(&log, nil)))
		return o.model, log.String(), err
	}
	// Errors name the flag.
	refused := func(say, dir string, args ...string) {
		t.Helper()
		if _, _, err := choose(dir, args...); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if m, log, err := choose(dir); os.Geteuid() == 0 && (m != hostfs.Passthrough || log != "" || err != nil) {
		t.Errorf("as root: %v, %q, %v", m, log, err)
	}
	if os.Geteuid() == 0 {
		refused("--fmode is not for --security-model passthrough, which is the default here", dir, "--fmode=600")
	}
	refused("--security-model mapped-xattr: --shared-dir \"/proc\": its file system has no attributes user.*", "/proc", "--security-model=mapped-xattr")
	asNobody(t, func() {
		if m, log, err := choose(dir); m != hostfs.MappedXattr || log != "" || err != nil {
			t.Errorf("as nobody: %v, %q, %v", m, log, err)
		}
		if m, log, err := choose("/proc"); m != hostfs.None || !strings.Contains(log, "level=WARN") || err != nil {
			t.Errorf("as nobody, on /proc: %v, %q, %v", m, log, err)
		}
		if m, _, err := choose(dir, "--security-model=passthrough"); m != hostfs.Passthrough || err != nil {
			t.Errorf("as nobody, told to: %v, %v", m, err)
		}
		if m, _, err := choose(dir, "--squash-uid=65534"); m != hostfs.Passthrough || err != nil {
			t.Errorf("as nobody, with users of the host: %v, %v", m, err)
		}
		refused("--fmode 0444: a daemon without privileges", dir, "--fmode=444")
		refused("--dmode 0600: a daemon without privileges", dir, "--dmode=600")
		if _, _, err := choose(dir, "--fmode=0640", "--dmode=0750"); err != nil {
			t.Error(err)
		}
	})
}
