// SPDX-License-Identifier: Apache-2.0

// Package metrics shows the daemon's counters to Prometheus, and whether it is well to
// whoever asks.
//
// The packages that serve know nothing of Prometheus: they count, and give snapshots. At
// each scrape a snapshot of each is taken and turned into metrics, so that what is not
// scraped costs nothing. There is one collector for each source, in a file of its own.
package metrics
