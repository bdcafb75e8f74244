// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"vhost-user-9p/ninep"
)

// withPayload are the operations that move data.
var withPayload = []string{"read", "write", "readdir"}

// latencyBounds are the upper bounds of a histogram's buckets in seconds; the last bucket
// has none.
var latencyBounds = func() (bounds [ninep.LatencyBuckets - 1]float64) {
	for i := range bounds {
		bounds[i] = float64(ninep.LatencyBound(i)) / 1e9
	}
	return bounds
}()

// newRequests shows what the session counts. An operation that the guest has not used yet
// has counters, which are 0, but no histogram: most are never used, and a histogram is many
// lines.
func newRequests(snapshot func() ninep.Snapshot) prometheus.Collector {
	requests := describe("requests_total", "9P requests finished, by operation.", "op")
	failures := describe("request_errors_total", "9P requests answered with an error, by operation.", "op")
	payload := describe("payload_bytes_total", "Bytes of file contents and directory entries read or written for the guest, by operation.", "op")
	durations := describe("request_duration_seconds", "Time from taking a 9P request from the queue to its answer, by operation.", "op")
	return &collector[ninep.Snapshot]{
		snapshot: snapshot,
		scalars: []scalar[ninep.Snapshot]{
			gauge("fids", "References to files that the guest holds.", func(s ninep.Snapshot) int { return s.FIDs }),
			gauge("session_msize_bytes", "Largest message that the guest's mount agreed on; 0 while nothing is mounted.", func(s ninep.Snapshot) int { return int(s.Msize) }),
			counter("request_memory_faults_total", "9P requests whose guest memory was gone.", func(s ninep.Snapshot) uint64 { return s.Faults }),
			counter("request_panics_total", "9P requests ended by a fault of the daemon, which the log describes.", func(s ninep.Snapshot) uint64 { return s.Panics }),
			counter("request_unknown_errors_total", "Errors of 9P requests that have no number and were answered as EIO.", func(s ninep.Snapshot) uint64 { return s.UnknownErrors }),
		},
		vectors: []*prometheus.Desc{requests, failures, payload, durations},
		collect: func(s ninep.Snapshot, ch chan<- prometheus.Metric) {
			for i := range s.Ops {
				op := &s.Ops[i]
				sendCounter(ch, requests, op.Requests, op.Name)
				sendCounter(ch, failures, op.Errors, op.Name)
				if slices.Contains(withPayload, op.Name) {
					sendCounter(ch, payload, op.Bytes, op.Name)
				}
				if op.Requests != 0 {
					ch <- histogram(durations, op)
				}
			}
		},
	}
}

// histogram turns counts by bucket into Prometheus's, which hold what is in the buckets
// below, too.
func histogram(d *prometheus.Desc, op *ninep.OpStats) prometheus.Metric {
	buckets := make(map[float64]uint64, len(latencyBounds))
	sum := uint64(0)
	for i, bound := range latencyBounds {
		sum += op.Buckets[i]
		buckets[bound] = sum
	}
	return prometheus.MustNewConstHistogram(d, op.Requests, float64(op.Nanos)/1e9, buckets, op.Name)
}
