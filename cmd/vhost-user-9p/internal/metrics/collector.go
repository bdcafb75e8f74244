// SPDX-License-Identifier: Apache-2.0

package metrics

import "github.com/prometheus/client_golang/prometheus"

// collector makes metrics of snapshots of type S.
type collector[S any] struct {
	snapshot func() S
	scalars  []scalar[S]
	// Metrics with labels: their descriptions, and what sends them.
	vectors []*prometheus.Desc
	collect func(S, chan<- prometheus.Metric)
}

// scalar is a metric without labels.
type scalar[S any] struct {
	desc  *prometheus.Desc
	typ   prometheus.ValueType
	value func(S) float64
}

func counter[S any](name, help string, value func(S) uint64) scalar[S] {
	return scalar[S]{describe(name, help), prometheus.CounterValue, func(s S) float64 { return float64(value(s)) }}
}

func gauge[S any, N int | int64](name, help string, value func(S) N) scalar[S] {
	return scalar[S]{describe(name, help), prometheus.GaugeValue, func(s S) float64 { return float64(value(s)) }}
}

func boolean[S any](name, help string, value func(S) bool) scalar[S] {
	return scalar[S]{describe(name, help), prometheus.GaugeValue, func(s S) float64 {
		if value(s) {
			return 1
		}
		return 0
	}}
}

// seconds is a metric of a time that the snapshot has in seconds.
func seconds[S any](typ prometheus.ValueType, name, help string, value func(S) float64) scalar[S] {
	return scalar[S]{describe(name, help), typ, value}
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (c *collector[S]) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range c.scalars {
		ch <- m.desc
	}
	for _, d := range c.vectors {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector[S]) Collect(ch chan<- prometheus.Metric) {
	s := c.snapshot()
	for _, m := range c.scalars {
		ch <- prometheus.MustNewConstMetric(m.desc, m.typ, m.value(s))
	}
	if c.collect != nil {
		c.collect(s, ch)
	}
}

func sendCounter(ch chan<- prometheus.Metric, d *prometheus.Desc, n uint64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
}
