// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func stat(t *testing.T, path string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st
}

func TestSocketIsTheOwnersAlone(t *testing.T) {
	defer unix.Umask(unix.Umask(0)) // the daemon's
	path := filepath.Join(t.TempDir(), "s")
	l, err := listenUnix(path, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if mode := stat(t, path).Mode; mode != unix.S_IFSOCK|0o600 {
		t.Errorf("mode %#o", mode)
	}
}

func TestSocketGroup(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give a file to any group")
	}
	path := filepath.Join(t.TempDir(), "s")
	l, err := listenUnix(path, 4711)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if st := stat(t, path); st.Mode != unix.S_IFSOCK|0o660 || st.Gid != 4711 {
		t.Errorf("mode %#o, group %d", st.Mode, st.Gid)
	}
}

// TestSocketListensWhenItAppears plays a script that waits for the file and then connects.
func TestSocketListensWhenItAppears(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for range 100 {
		connected := make(chan error)
		go func() {
			for {
				if _, err := os.Lstat(path); err == nil {
					break
				}
			}
			c, err := net.Dial("unix", path)
			if err == nil {
				c.Close()
			}
			connected <- err
		}()
		l, err := listenUnix(path, os.Getegid())
		if err != nil {
			t.Fatal(err)
		}
		if err := <-connected; err != nil {
			t.Error(err)
		}
		l.Close()
	}
}

func TestSocketIsRemovedAtClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := listenUnix(path, -1)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("still there")
	}
}

func TestAnothersSocketIsNotRemovedAtClose(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := listenUnix(path, -1)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	other, err := listenUnix(path, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	l.Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	stat(t, path)
	l, err := listenUnix(path, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestWhatIsInTheWayIsLeftAlone(t *testing.T) {
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		say  string
	}{
		"live socket": {func(t *testing.T, path string) {
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		}, "another process listens"},
		"live socket of another type": {func(t *testing.T, path string) {
			l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		}, "another process listens"},
		"file": {func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "not a socket"},
		"directory": {func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "not a socket"},
		"dangling link": {func(t *testing.T, path string) {
			if err := os.Symlink("nowhere", path); err != nil {
				t.Fatal(err)
			}
		}, "not a socket"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "s")
			c.make(t, path)
			before := stat(t, path)
			got := runArgs(t, "--socket-path", path, "--shared-dir", dir, "--tag", "t")
			if got.status != exitFailure || !strings.Contains(got.stderr, "--socket-path") || !strings.Contains(got.stderr, c.say) {
				t.Errorf("%+v", got)
			}
			if after := stat(t, path); after.Ino != before.Ino || after.Mode != before.Mode {
				t.Errorf("before %+v, after %+v", before, after)
			}
		})
	}
}

func TestSocketPathIsNeverAbstract(t *testing.T) {
	t.Chdir(t.TempDir())
	l, err := listenUnix("@s", -1)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	stat(t, "@s")
}

func TestLongestSocketPath(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	l, err := listenUnix(strings.Repeat("x", maxSocketPath), -1)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}
