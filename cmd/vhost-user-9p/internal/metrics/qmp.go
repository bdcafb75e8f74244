// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"vhost-user-9p/cmd/vhost-user-9p/internal/qmp"
)

// newQMP shows what was seen of QEMU's monitor.
func newQMP(snapshot func() qmp.Stats) prometheus.Collector {
	type stats = qmp.Stats
	failures := describe("qmp_failures_total", "Attempts to connect to QEMU's monitor and connections to it that failed, by reason.", "reason")
	events := describe("qmp_events_total", "Events of QEMU's monitor, by name.", "event")
	return &collector[stats]{
		snapshot: snapshot,
		scalars: []scalar[stats]{
			boolean("qmp_connected", "1 while events of QEMU's monitor are being received.", func(s stats) bool { return s.Connected }),
			counter("qmp_connections_total", "Times that QEMU's monitor was connected to.", func(s stats) uint64 { return s.Connections }),
		},
		vectors: []*prometheus.Desc{failures, events},
		collect: func(s stats, ch chan<- prometheus.Metric) {
			for reason, n := range s.Failures {
				sendCounter(ch, failures, n, reason.String())
			}
			for event, n := range s.Events {
				sendCounter(ch, events, n, event.String())
			}
		},
	}
}
