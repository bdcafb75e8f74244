// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"vhost-user-9p/vhostuser"
)

// newFrontEnd shows what the vhost-user server counts.
func newFrontEnd(snapshot func() vhostuser.Stats) prometheus.Collector {
	type stats = vhostuser.Stats
	messages := describe("front_end_messages_total", "vhost-user messages from front ends, by request.", "request")
	return &collector[stats]{
		snapshot: snapshot,
		scalars: []scalar[stats]{
			boolean("front_end_connected", "1 while a front end is being served.", func(s stats) bool { return s.Connected }),
			counter("front_end_connections_total", "Front ends served.", func(s stats) uint64 { return s.Connections }),
			counter("front_end_connections_refused_total", "Front ends sent away because another one was being served.", func(s stats) uint64 { return s.Refused }),
			counter("front_end_messages_refused_total", "vhost-user messages refused.", func(s stats) uint64 { return s.Nacks }),
			counter("front_end_framing_errors_total", "Connections on which something came that is no vhost-user message.", func(s stats) uint64 { return s.FramingErrors }),
			counter("front_end_panics_total", "vhost-user messages ended by a fault of the daemon, or by guest memory that was gone.", func(s stats) uint64 { return s.Panics }),
			counter("queue_starts_total", "Times that a front end started the virtqueue.", func(s stats) uint64 { return s.RingStarts }),
			counter("queue_start_failures_total", "Times that the virtqueue could not be started as the front end configured it.", func(s stats) uint64 { return s.RingFailures }),
		},
		vectors: []*prometheus.Desc{messages},
		collect: func(s stats, ch chan<- prometheus.Metric) {
			for request, n := range s.Messages {
				sendCounter(ch, messages, n, request.String())
			}
			sendCounter(ch, messages, s.Unknown, "unknown")
		},
	}
}
