// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"vhost-user-9p/ninep/virtio9p"
)

// newQueue shows what the device counts.
func newQueue(snapshot func() *virtio9p.Stats) prometheus.Collector {
	type stats = *virtio9p.Stats
	return &collector[stats]{
		snapshot: snapshot,
		scalars: []scalar[stats]{
			counter("queue_chains_total", "Requests taken from the virtqueue.", func(s stats) uint64 { return s.Chains.Load() }),
			counter("queue_bad_chains_total", "Malformed requests given back unanswered.", func(s stats) uint64 { return s.BadChains.Load() }),
			counter("queue_kicks_total", "Notifications from the guest.", func(s stats) uint64 { return s.Kicks.Load() }),
			counter("queue_interrupts_total", "Notifications to the guest.", func(s stats) uint64 { return s.Interrupts.Load() }),
			counter("queue_broken_total", "Times that the virtqueue was given up until the guest resets the device.", func(s stats) uint64 { return s.BrokenQueues.Load() }),
			counter("queue_blocked_total", "Operations known to block, during which others took over the virtqueue.", func(s stats) uint64 { return s.Blocked.Load() }),
			counter("queue_stuck_total", "Operations found to take long, whereupon others took over the virtqueue.", func(s stats) uint64 { return s.Stuck.Load() }),
			gauge("queue_threads", "Threads that serve the virtqueue, idle ones included.", func(s stats) int64 { return s.Threads.Load() }),
			gauge("queue_requests_in_flight", "Requests taken and not yet answered.", func(s stats) int64 { return s.InFlight.Load() }),
		},
	}
}
