// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"vhost-user-9p/ninep/throttle"
)

// newThrottle shows how limits made reads and writes wait.
func newThrottle(of func(throttle.Class) throttle.Stats) prometheus.Collector {
	type stats = map[string]throttle.Stats
	requests := describe("throttled_requests_total", "Reads and writes that had to wait for a limit, by operation.", "op")
	waited := describe("throttled_seconds_total", "Time that reads and writes have waited for limits, by operation.", "op")
	waiting := describe("throttled_requests_waiting", "Reads and writes that wait for a limit, by operation.", "op")
	return &collector[stats]{
		snapshot: func() stats { return stats{"read": of(throttle.Read), "write": of(throttle.Write)} },
		vectors:  []*prometheus.Desc{requests, waited, waiting},
		collect: func(s stats, ch chan<- prometheus.Metric) {
			for op, st := range s {
				sendCounter(ch, requests, st.Requests, op)
				ch <- prometheus.MustNewConstMetric(waited, prometheus.CounterValue, st.Waited.Seconds(), op)
				ch <- prometheus.MustNewConstMetric(waiting, prometheus.GaugeValue, float64(st.Waiting), op)
			}
		},
	}
}
