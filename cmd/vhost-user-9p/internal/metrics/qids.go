// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"vhost-user-9p/qidpath"
)

// newQIDs shows what the table of file IDs counts.
func newQIDs(snapshot func() qidpath.Stats) prometheus.Collector {
	type stats = qidpath.Stats
	loadFailures := describe("qid_load_failures_total", "Loads of the file ID table that failed, by reason.", "reason")
	place := describe("qid_store_info", "1 for where the file ID table is stored: in extended attributes (xattr) or in the state directory (file).", "place")
	storeFailures := describe("qid_store_failures_total", "Stores of the file ID table that failed, by reason.", "reason")
	return &collector[stats]{
		snapshot: snapshot,
		scalars: []scalar[stats]{
			gauge("qid_entries", "Entries of the file ID table, of which it can have 32766.", func(s stats) int { return s.Entries }),
			gauge("qid_volatile_entries", "Entries that could not be stored: file IDs that the next start changes.", func(s stats) int { return s.Volatile }),
			gauge("qid_numbers", "Files that are numbered one by one, of which there can be 29000000.", func(s stats) int { return s.Numbers }),
			gauge("qid_volatile_numbers", "Files whose number could not be stored: file IDs that the next start changes.", func(s stats) int { return s.VolatileNumbers }),
			counter("qid_loads_total", "Loads of the file ID table that succeeded.", func(s stats) uint64 { return s.Loads }),
			counter("qid_stores_total", "Stores of the file ID table that succeeded.", func(s stats) uint64 { return s.Stores }),
			counter("qid_stored_bytes_total", "Bytes written to store the file ID table.", func(s stats) uint64 { return s.BytesStored }),
			seconds(prometheus.CounterValue, "qid_store_seconds_total", "Time spent on storing the file ID table, failures included.", func(s stats) float64 { return s.StoreTime.Seconds() }),
			seconds(prometheus.GaugeValue, "qid_last_store_duration_seconds", "Time that the last store of the file ID table took.", func(s stats) float64 { return s.LastStore.Seconds() }),
			boolean("qid_degraded", "1 while file IDs are in use that the next start changes, or the last load or store of their table failed.", func(s stats) bool { return s.Degraded }),
		},
		vectors: []*prometheus.Desc{loadFailures, place, storeFailures},
		collect: func(s stats, ch chan<- prometheus.Metric) {
			if s.Place != "" {
				ch <- prometheus.MustNewConstMetric(place, prometheus.GaugeValue, 1, s.Place)
			}
			for reason, n := range s.LoadFailures {
				sendCounter(ch, loadFailures, n, reason.String())
			}
			for reason, n := range s.StoreFailures {
				sendCounter(ch, storeFailures, n, reason.String())
			}
		},
	}
}
