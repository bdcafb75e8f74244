// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hugelgupf/p9/p9"
	"golang.org/x/sys/unix"

	"vhost-user-9p/test/rig"
)

func statGroup(t *testing.T, path string) uint32 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Gid
}

// use makes a file through a ring, and leaves it open.
func use(t *testing.T, ring io.ReadWriteCloser, name string) {
	t.Helper()
	client, err := p9.NewClient(ring)
	if err != nil {
		t.Fatal(err)
	}
	root, err := client.Attach("")
	if err != nil {
		t.Fatal(err)
	}
	f, _, _, err := root.Create(name, p9.ReadWrite, 0o644, p9.NoUID, p9.GID(os.Getgid()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("content"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { runtime.KeepAlive(f) }) // its finalizer would close it
}

// TestSignals ends daemons in each state that they can be in. rig.Daemon.Stop checks the
// time, the exit status and that the socket is gone.
func TestSignals(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T, *rig.Daemon){
		"idle": func(*testing.T, *rig.Daemon) {},
		"connected": func(t *testing.T, d *rig.Daemon) {
			conn, err := net.Dial("unix", d.Socket)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
		},
		"half a message": func(t *testing.T, d *rig.Daemon) {
			conn, err := net.Dial("unix", d.Socket)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = conn.Close() })
			if _, err := conn.Write([]byte{1, 0, 0, 0, 1}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond)
		},
		"serving":  func(t *testing.T, d *rig.Daemon) { use(t, rig.DialRing(t, d.Socket, 1), "file") },
		"served":   func(t *testing.T, d *rig.Daemon) { r := rig.DialRing(t, d.Socket, 1); use(t, r, "file"); _ = r.Close() },
		"two wait": func(t *testing.T, d *rig.Daemon) { rig.DialRing(t, d.Socket, 1); dialOnly(t, d); dialOnly(t, d) },
		"hung up":  func(t *testing.T, d *rig.Daemon) { d.Signal(unix.SIGHUP); time.Sleep(50 * time.Millisecond); d.Alive() },
	} {
		t.Run(name, func(t *testing.T) {
			d := rig.StartDaemon(t, rig.Export(t))
			prepare(t, d)
			d.Stop()
		})
	}
	t.Run("SIGINT", func(t *testing.T) {
		d := rig.StartDaemon(t, rig.Export(t))
		use(t, rig.DialRing(t, d.Socket, 1), "file")
		d.StopBy(unix.SIGINT)
	})
}

func dialOnly(t *testing.T, d *rig.Daemon) {
	t.Helper()
	conn, err := net.Dial("unix", d.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
}

func TestMetrics(t *testing.T) {
	export := rig.Export(t)
	d := rig.StartDaemon(t, export)
	before := d.Metrics()
	use(t, rig.DialRing(t, d.Socket, 1), "file")
	after := d.Metrics()
	grown := 0
	for name, value := range after {
		if strings.HasPrefix(name, "vhost_user_9p_") && strings.HasSuffix(name, "_total") && value > before[name] {
			grown++
		}
	}
	if grown < 4 {
		t.Errorf("%d counters of the daemon have grown", grown)
	}
	if got := after["vhost_user_9p_requests_total"] - before["vhost_user_9p_requests_total"]; got < 4 {
		t.Errorf("%v requests counted; version, attach, create and write were made", got)
	}
	if got := after["vhost_user_9p_payload_bytes_total"] - before["vhost_user_9p_payload_bytes_total"]; got != 7 {
		t.Errorf("%v bytes counted, 7 were written", got)
	}

	// Over TCP, on a port that is free now.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	rig.StartDaemon(t, export, "--metrics-listen", address)
	for path, want := range map[string]string{"/metrics": "# HELP vhost_user_9p_", "/healthz": "ok"} {
		client := http.Client{Timeout: rig.Moment}
		resp, err := client.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, %v, %d bytes", path, resp.Status, err, len(body))
		}
	}
}

func TestLog(t *testing.T) {
	export := rig.Export(t)
	d := rig.StartDaemon(t, export, "--log-format", "json", "--log-level", "debug")
	use(t, rig.DialRing(t, d.Socket, 1), "a secret name")
	d.Stop()
	log := d.Log()
	for line := range strings.Lines(log) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		for _, key := range []string{"time", "level", "msg"} {
			if fields[key] == nil {
				t.Errorf("no %s: %s", key, line)
			}
		}
	}
	if !strings.Contains(log, "DEBUG") {
		t.Error("nothing at level debug")
	}
	if strings.Contains(log, "content") {
		t.Error("a file's content is in the log")
	}
	quiet := rig.StartDaemon(t, export, "--log-level", "error")
	use(t, rig.DialRing(t, quiet.Socket, 1), "another")
	quiet.Stop()
	if got := quiet.Log(); got != "" {
		t.Errorf("at level error: %s", got)
	}
}

// inherited starts a daemon that is given an open file, and returns its standard error.
func inherited(t *testing.T, export string, f *os.File) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command(rig.Binary(t), "--fd", "3", "--shared-dir", export, "--tag", rig.Tag)
	cmd.ExtraFiles = []*os.File{f}
	cmd.Stderr = &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, &stderr
}

// ends waits for the end of a daemon, with status 0.
func ends(t *testing.T, cmd *exec.Cmd, stderr fmt.Stringer) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("%v\n%s", err, stderr)
		}
	case <-time.After(rig.Moment):
		_ = cmd.Process.Kill()
		t.Errorf("the daemon does not end")
	}
}

func TestListeningFD(t *testing.T) {
	export := rig.Export(t)
	path := filepath.Join(rig.Dir(t), "socket")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	cmd, stderr := inherited(t, export, f)
	_ = f.Close()
	for n := range 2 { // one front end after the other
		r := rig.DialRing(t, path, uint64(n))
		use(t, r, fmt.Sprint("file-", n))
		_ = r.Close()
	}
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ends(t, cmd, stderr)
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the socket was not the daemon's to remove: %v", err)
	}
	for n := range 2 {
		if content, err := os.ReadFile(filepath.Join(export, fmt.Sprint("file-", n))); err != nil || string(content) != "content" {
			t.Errorf("front end %d has written %q, %v", n, content, err)
		}
	}
}

func TestConnectedFD(t *testing.T) {
	export := rig.Export(t)
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs, ours := os.NewFile(uintptr(fds[0]), "daemon"), os.NewFile(uintptr(fds[1]), "front end")
	conn, err := net.FileConn(ours)
	_ = ours.Close()
	if err != nil {
		t.Fatal(err)
	}
	cmd, stderr := inherited(t, export, theirs)
	_ = theirs.Close()
	r := rig.NewRing(t, conn.(*net.UnixConn), 1)
	use(t, r, "file")
	_ = r.Close()
	ends(t, cmd, stderr) // by itself: nobody else can come
	if content, err := os.ReadFile(filepath.Join(export, "file")); err != nil || string(content) != "content" {
		t.Errorf("written: %q, %v", content, err)
	}
}

// TestStatFSType asks for the type of the file system through a ring.
func TestStatFSType(t *testing.T) {
	export := rig.Export(t)
	var host unix.Statfs_t
	if err := unix.Statfs(export, &host); err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]uint32{
		"host":    uint32(host.Type),
		"v9fs":    0x01021997,
		"ext4":    0xef53,
		"xfs":     0x58465342,
		"btrfs":   0x9123683e,
		"tmpfs":   0x01021994,
		"0xcafe1": 0xcafe1,
	} {
		d := rig.StartDaemon(t, export, "--statfs-type", value)
		root := attach(t, d)
		got, err := root.StatFS()
		if err != nil || got.Type != want {
			t.Errorf("--statfs-type %s: type %#x, %v; want %#x", value, got.Type, err, want)
		}
		if got.BlockSize != uint32(host.Frsize) || got.Blocks != host.Blocks {
			t.Errorf("--statfs-type %s: %d blocks of %d bytes, the host has %d of %d", value, got.Blocks, got.BlockSize, host.Blocks, host.Frsize)
		}
	}
}
