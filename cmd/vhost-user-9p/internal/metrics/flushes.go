// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"vhost-user-9p/cmd/vhost-user-9p/internal/flush"
)

// newFlushes shows when and why the table of file IDs was made durable.
func newFlushes(snapshot func() flush.Stats) prometheus.Collector {
	type stats = flush.Stats
	flushes := describe("qid_flushes_total", "Flushes of the file ID table that succeeded, by what they were for.", "trigger")
	failures := describe("qid_flush_failures_total", "Flushes of the file ID table that failed, by what they were for.", "trigger")
	return &collector[stats]{
		snapshot: snapshot,
		scalars: []scalar[stats]{
			seconds(prometheus.GaugeValue, "qid_last_flush_timestamp_seconds", "Unix time of the last flush of the file ID table that succeeded; 0 if there was none.", func(s stats) float64 {
				if s.Last.IsZero() {
					return 0
				}
				return float64(s.Last.UnixMicro()) / 1e6
			}),
		},
		vectors: []*prometheus.Desc{flushes, failures},
		collect: func(s stats, ch chan<- prometheus.Metric) {
			for trigger, n := range s.Flushes {
				sendCounter(ch, flushes, n, trigger.String())
			}
			for trigger, n := range s.Failures {
				sendCounter(ch, failures, n, trigger.String())
			}
		},
	}
}
