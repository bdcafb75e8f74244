// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"vhost-user-9p/cmd/vhost-user-9p/internal/flush"
	"vhost-user-9p/cmd/vhost-user-9p/internal/qmp"
	"vhost-user-9p/ninep"
	"vhost-user-9p/ninep/hostfs"
	"vhost-user-9p/ninep/throttle"
	"vhost-user-9p/ninep/virtio9p"
	"vhost-user-9p/qidpath"
	"vhost-user-9p/vhostuser"
)

// namespace is what the daemon's own metrics begin with.
const namespace = "vhost_user_9p"

// Sources is where the numbers come from. Every function is called once for each scrape,
// from any goroutine, several times at once.
type Sources struct {
	Version, Revision string // of the build

	Requests func() ninep.Snapshot
	Queue    func() *virtio9p.Stats
	FrontEnd func() vhostuser.Stats
	Files    func() hostfs.Stats
	QIDs     func() qidpath.Stats
	Flushes  func() flush.Stats
	QMP      func() qmp.Stats
	Throttle func(throttle.Class) throttle.Stats
}

// NewRegistry returns a registry of its own with all metrics.
func NewRegistry(src Sources) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		newBuildInfo(src.Version, src.Revision),
		newRequests(src.Requests),
		newQueue(src.Queue),
		newFrontEnd(src.FrontEnd),
		newFiles(src.Files),
		newQIDs(src.QIDs),
		newFlushes(src.Flushes),
		newQMP(src.QMP),
		newThrottle(src.Throttle),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return reg
}

func newBuildInfo(version, revision string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: namespace,
		Name:      "build_info",
		Help:      "What is running; always 1.",
		ConstLabels: prometheus.Labels{
			"version":   version,
			"revision":  revision,
			"goversion": runtime.Version(),
		},
	}, func() float64 { return 1 })
}
