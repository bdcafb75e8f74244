// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"vhost-user-9p/ninep"
)

// TestFewFiles: a guest that holds more files than the daemon may have open finds each as it
// was, and the metrics say what that takes.
func TestFewFiles(t *testing.T) {
	const count = 1000
	sock := filepath.Join(t.TempDir(), "m")
	p := startDaemon(t, "--rlimit-nofile=200", "--metrics-listen=unix:"+sock)
	fids, open := make([]uint32, count), make([]uint32, 0, count)
	g := connect(t, p.socket)
	g.mount()
	for i := range fids {
		name := fmt.Sprint("file", i)
		if err := os.WriteFile(filepath.Join(p.share, name), []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
		fid, err := g.WalkTo(rootFID, name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		fids[i] = fid
	}
	for i, fid := range fids {
		a, err := g.Getattr(fid, ninep.AttrBasic)
		if want := uint64(len(fmt.Sprint("file", i))); err != nil || a.Size != want {
			t.Fatalf("file%d: size %d, %v", i, a.Size, err)
		}
		if os.Geteuid() != 0 && i >= 50 {
			continue // who is not root may not be let in again
		}
		if _, _, err := g.Lopen(fid, unix.O_RDONLY); err != nil {
			t.Fatalf("file%d: open: %v", i, err)
		}
		open = append(open, fid)
	}
	for i, fid := range open {
		if data, err := g.Read(fid, 0, 100); err != nil || string(data) != fmt.Sprint("file", i) {
			t.Fatalf("file%d: read %q, %v", i, data, err)
		}
	}
	_, body := fetch(t, sock, "/metrics")
	for name, ok := range map[string]func(v float64) bool{
		"files":                      func(v float64) bool { return v == count+1 },
		"cold_files":                 func(v float64) bool { return v > count-200 && v < count },
		"descriptors":                func(v float64) bool { return v > 1 && v <= 200 },
		"descriptors_max":            func(v float64) bool { return v > 100 && v < 200 },
		"descriptors_evicted_total":  func(v float64) bool { return v > count-200 },
		"descriptors_reopened_total": func(v float64) bool { return v > count/2 },
		"descriptors_stale_total":    func(v float64) bool { return v == 0 },
	} {
		m := regexp.MustCompile(`(?m)^vhost_user_9p_` + name + ` (.*)$`).FindStringSubmatch(body)
		if m == nil {
			t.Errorf("no metric %s", name)
			continue
		}
		if v, err := strconv.ParseFloat(m[1], 64); err != nil || !ok(v) {
			t.Errorf("%s is %s", name, m[1])
		}
	}
}
