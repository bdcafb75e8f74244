// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// speed reads and writes a file of a guest.
type speed struct {
	*guest
	fid uint32
}

func newSpeed(t *testing.T, p *process) *speed {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.share, "f"), make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &speed{guest: connect(t, p.socket)}
	s.mount()
	fid, err := s.WalkTo(rootFID, "f")
	if err == nil {
		_, _, err = s.Lopen(fid, unix.O_RDWR)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.fid = fid
	return s
}

const chunk = 64 << 10

// read returns how long it takes to read n bytes.
func (s *speed) read(n int) time.Duration {
	s.t.Helper()
	began := time.Now()
	for off := 0; off < n; off += chunk {
		data, err := s.Read(s.fid, uint64(off), chunk)
		if err != nil || len(data) != chunk {
			s.t.Fatalf("%d bytes, %v", len(data), err)
		}
	}
	return time.Since(began)
}

// write returns how long it takes to write n bytes.
func (s *speed) write(n int) time.Duration {
	s.t.Helper()
	began := time.Now()
	data := bytes.Repeat([]byte("x"), chunk)
	for off := 0; off < n; off += chunk {
		if got, err := s.Write(s.fid, uint64(off), data); err != nil || got != chunk {
			s.t.Fatalf("%d bytes, %v", got, err)
		}
	}
	return time.Since(began)
}

func TestThrottle(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "m")
	p := startDaemon(t, "--throttle-bps-read=1M", "--throttle-iops-write=20", "--metrics-listen=unix:"+sock)
	p.waitFor(`msg="reading and writing is limited" limits="bps-read=1048576 iops-write=20"`)
	s := newSpeed(t, p)
	// A tenth of a second's worth passes at once, and the request that makes it too much: of
	// 8 chunks of a sixteenth of a second each, 2; the last one does not wait for itself.
	if d := s.read(8 * chunk); d < 300*time.Millisecond || d > 5*time.Second {
		t.Errorf("reading 512 KiB at 1 MiB/s took %v", d)
	}
	// 2 pass, and one more.
	if d := s.write(10 * chunk); d < 250*time.Millisecond || d > 5*time.Second {
		t.Errorf("10 writes at 20/s took %v", d)
	}
	_, body := fetch(t, sock, "/metrics")
	for _, name := range []string{`throttled_requests_total{op="read"}`, `throttled_seconds_total{op="write"}`} {
		_, value, _ := strings.Cut(body, "vhost_user_9p_"+name+" ")
		if value == "" || strings.HasPrefix(value, "0\n") {
			t.Errorf("%s: %.10q", name, value)
		}
	}
}

// TestThrottleFile changes limits while a guest runs.
func TestThrottleFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "limits")
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	put("# nothing yet\n")
	p := startDaemon(t, "--throttle-file", path)
	s := newSpeed(t, p)
	fast := func() {
		t.Helper()
		if d := s.read(4 << 20); d > 2*time.Second { // at 1 MiB/s, 3.9 s
			t.Errorf("reading 4 MiB without a limit took %v", d)
		}
	}
	slow := func() {
		t.Helper()
		if d := s.read(8 * chunk); d < 300*time.Millisecond || d > 5*time.Second {
			t.Errorf("reading 512 KiB at 1 MiB/s took %v", d)
		}
	}
	fast()
	put("bps-read = 1M # more later\n")
	p.signal(unix.SIGHUP)
	p.waitFor(`limits="bps-read=1048576"`)
	slow()

	put("iops-read=1000\nbps-read=fast\n")
	p.signal(unix.SIGHUP)
	p.waitFor(`line 2: bps-read \"fast\" is not a number of bytes`)
	time.Sleep(200 * time.Millisecond)
	slow()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	p.signal(unix.SIGHUP)
	p.waitFor("no such file or directory")
	time.Sleep(200 * time.Millisecond)
	slow()

	put("")
	p.signal(unix.SIGHUP)
	p.waitFor(`msg="limits read again" file=` + path + ` limits=none`)
	fast()

	// A guest that waits for long is in nobody's way.
	put("bps-read=1")
	p.signal(unix.SIGHUP)
	p.waitFor(`limits="bps-read=1"`)
	s.read(chunk)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = s.Read(s.fid, 0, chunk) // ends when the daemon does
	}()
	time.Sleep(100 * time.Millisecond)
	p.signal(unix.SIGTERM)
	if status := p.wait(); status != exitOK {
		t.Errorf("exit status %d", status)
	}
	<-done
}

func TestBadThrottleFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "limits")
	for text, want := range map[string]string{
		"\n\nbps-all=1":                  "line 3: bps-all",
		"bps-total=1\nbps-read=1":        "line 1: bps-total and bps-read exclude each other",
		strings.Repeat("#\n", 40<<10):    "larger than 65536 bytes",
		"bps-total=1M\nbps-total-max=1K": "line 2: bps-total-max, 1024, is below",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		status := run(t.Context(), []string{"--socket-path", t.TempDir() + "/s", "--shared-dir", t.TempDir(), "--tag=t", "--throttle-file", path}, &stderr, &stderr)
		if status != exitFailure || !strings.Contains(stderr.String(), "--throttle-file") || !strings.Contains(stderr.String(), want) {
			t.Errorf("%.20q: status %d, %s", text, status, &stderr)
		}
	}
}
