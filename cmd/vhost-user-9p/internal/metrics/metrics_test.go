// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"vhost-user-9p/cmd/vhost-user-9p/internal/flush"
	"vhost-user-9p/cmd/vhost-user-9p/internal/qmp"
	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/hostfs"
	"vhost-user-9p/ninep/throttle"
	"vhost-user-9p/ninep/virtio9p"
	"vhost-user-9p/qidpath"
	"vhost-user-9p/vhostuser"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write testdata/metrics.golden anew")

// sample is a daemon in which something of everything has happened, with numbers that no
// two fields share.
func sample() Sources {
	device := new(virtio9p.Stats)
	device.Chains.Store(301)
	device.BadChains.Store(302)
	device.Kicks.Store(303)
	device.Interrupts.Store(304)
	device.BrokenQueues.Store(305)
	device.Blocked.Store(306)
	device.Stuck.Store(307)
	device.Threads.Store(308)
	device.InFlight.Store(309)
	return Sources{
		Version:  "v1",
		Revision: "abc",
		Requests: func() ninep.Snapshot {
			walk := ninep.OpStats{Name: "walk"}
			read := ninep.OpStats{Name: "read", Requests: 6, Errors: 101, Bytes: 102, Nanos: 1_500_000_000}
			read.Buckets[0], read.Buckets[2], read.Buckets[ninep.LatencyBuckets-1] = 1, 2, 3
			return ninep.Snapshot{Ops: []ninep.OpStats{walk, read}, FIDs: 103, Msize: 107, Faults: 104, Panics: 105, UnknownErrors: 106}
		},
		Queue: func() *virtio9p.Stats { return device },
		FrontEnd: func() vhostuser.Stats {
			return vhostuser.Stats{
				Connections: 201, Refused: 202, Connected: true,
				Messages: map[vhostuser.Request]uint64{1: 203}, Unknown: 204,
				Nacks: 205, FramingErrors: 206, Panics: 207, RingStarts: 208, RingFailures: 209,
			}
		},
		Files: func() hostfs.Stats {
			return hostfs.Stats{
				Nodes: 501, LockedFiles: 502, LockOwners: 503, Locks: 504, LockWaiters: 505,
				Descriptors: hostfs.DescriptorStats{Used: 506, Max: 507, Cold: 508, Evicted: 509, Reopened: 510, Stale: 511},
			}
		},
		Throttle: func(c throttle.Class) throttle.Stats {
			n := 600 + 10*int(c)
			return throttle.Stats{Requests: uint64(n), Waited: time.Duration(n+1) * time.Second, Waiting: n + 2}
		},
		Flushes: func() flush.Stats {
			return flush.Stats{
				Flushes:  map[flush.Trigger]uint64{flush.Suspended: 701, flush.QMPStop: 702},
				Failures: map[flush.Trigger]uint64{flush.DaemonEnd: 703},
				Last:     time.Unix(1700000000, 250_000_000),
			}
		},
		QMP: func() qmp.Stats {
			return qmp.Stats{
				Connected: true, Connections: 801,
				Failures: map[qmp.Reason]uint64{qmp.ReasonRead: 802},
				Events:   map[qmp.Event]uint64{qmp.Other: 803, qmp.SuspendDisk: 804},
			}
		},
		QIDs: func() qidpath.Stats {
			return qidpath.Stats{
				Entries: 401, Volatile: 402, Numbers: 403, VolatileNumbers: 410, Place: "file", Loads: 404, Stores: 405, BytesStored: 406,
				LoadFailures:  map[qidpath.Reason]uint64{qidpath.ReasonRejected: 407},
				StoreFailures: map[qidpath.Reason]uint64{qidpath.ReasonNoSpace: 408},
				StoreTime:     409 * time.Second, LastStore: 1500 * time.Millisecond, Degraded: true,
			}
		},
	}
}

// TestGolden holds names, types, helps and values against what was published: dashboards
// and alerts rest on them.
func TestGolden(t *testing.T) {
	families, err := NewRegistry(sample()).Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	foreign := 0
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), namespace+"_") {
			foreign++ // Go's and the process's
			continue
		}
		fmt.Fprintf(&got, "%s (%s): %s\n", f.GetName(), strings.ToLower(f.GetType().String()), f.GetHelp())
		for _, m := range f.GetMetric() {
			got.WriteString("   ")
			for _, l := range m.GetLabel() {
				if l.GetName() == "goversion" {
					continue
				}
				fmt.Fprintf(&got, " %s=%q", l.GetName(), l.GetValue())
			}
			switch {
			case m.Counter != nil:
				fmt.Fprintf(&got, " %v\n", m.Counter.GetValue())
			case m.Gauge != nil:
				fmt.Fprintf(&got, " %v\n", m.Gauge.GetValue())
			case m.Histogram != nil:
				fmt.Fprintf(&got, " count %d sum %v\n", m.Histogram.GetSampleCount(), m.Histogram.GetSampleSum())
				for _, b := range m.Histogram.GetBucket() {
					fmt.Fprintf(&got, "        %v: %d\n", b.GetUpperBound(), b.GetCumulativeCount())
				}
			}
		}
	}
	if foreign == 0 {
		t.Error("nothing about Go and the process")
	}
	const golden = "testdata/metrics.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("-want +got (go test -update writes it anew):\n%s", diff)
	}
}

func TestLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(NewRegistry(sample()))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestRealSources makes sure that nothing in what the packages really give (names that
// occur twice, say) makes a scrape fail.
func TestRealSources(t *testing.T) {
	src := sample()
	table := qidpath.New(qidpath.Config{})
	src.QIDs = table.Stats
	src.Flushes = flush.New(table.Flush, slog.New(slog.DiscardHandler)).Stats
	src.FrontEnd = func() vhostuser.Stats {
		s := vhostuser.Stats{Messages: map[vhostuser.Request]uint64{}}
		for r := range vhostuser.Request(64) {
			s.Messages[r] = 1
		}
		return s
	}
	if _, err := NewRegistry(src).Gather(); err != nil {
		t.Error(err)
	}
}
