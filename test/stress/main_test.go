// SPDX-License-Identifier: Apache-2.0

//go:build boot

package stress

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"vhost-user-9p/test/rig"
	"vhost-user-9p/test/tree"
)

func TestMain(m *testing.M) { rig.Main(m) }

// period is how long random operations go on, in all.
func period(t *testing.T) time.Duration {
	t.Helper()
	value := os.Getenv("V9P_STRESS_TIME")
	if value == "" {
		return time.Minute
	}
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		t.Fatalf("V9P_STRESS_TIME=%s is no time", value)
	}
	return d
}

// seed is that of the first of the random runs.
func seed(t *testing.T) uint64 {
	t.Helper()
	value := os.Getenv("V9P_STRESS_SEED")
	if value == "" {
		return 1
	}
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		t.Fatalf("V9P_STRESS_SEED=%s is no number", value)
	}
	return n
}

// helper runs the guests' program on the host.
func helper(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(rig.Program(t, "test/guest"), args...).CombinedOutput(); err != nil {
		t.Errorf("%q on the host: %v\n%s", args, err, out)
	}
}

// run runs a program on the host and returns what it printed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// read returns the content of a file that a guest has written.
func read(t *testing.T, elem ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// manifest describes a tree on the host.
func manifest(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	if err := tree.Manifest(&b, root); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// usage is what a daemon uses.
type usage struct {
	fds int
	rss int // KiB
}

func usageOf(t *testing.T, d *rig.Daemon) usage {
	t.Helper()
	u := d.Usage()
	return usage{fds: u.Descriptors, rss: int(u.RSS >> 10)}
}

// nothingLeft waits until a daemon whose guest is gone has no more files open than before it
// came, and compares its metrics with a run without faults.
func nothingLeft(t *testing.T, d *rig.Daemon, before usage) {
	t.Helper()
	rig.Eventually(t, rig.Moment, func() error {
		if now := usageOf(t, d); now.fds > before.fds {
			return fmt.Errorf("without a guest the daemon has %d files open, before there was one %d", now.fds, before.fds)
		}
		return nil
	})
	metrics := d.Metrics()
	metric := func(name string) float64 {
		value, ok := metrics["vhost_user_9p_"+name]
		if !ok {
			t.Errorf("there is no metric %s", name)
		}
		return value
	}
	for _, name := range []string{
		"fids", "queue_requests_in_flight", "queue_bad_chains_total", "queue_broken_total",
		"request_memory_faults_total", "request_panics_total", "request_unknown_errors_total",
		"front_end_framing_errors_total", "front_end_panics_total",
	} {
		if value := metric(name); value != 0 {
			t.Errorf("without a guest %s is %v, want 0", name, value)
		}
	}
	if requests, chains := metric("requests_total"), metric("queue_chains_total"); requests == 0 || requests != chains {
		t.Errorf("%v requests were finished, %v taken", requests, chains)
	}
}
