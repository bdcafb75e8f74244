// SPDX-License-Identifier: Apache-2.0

package virtio9p

import "sync/atomic"

// Stats counts what the device did since it was made. All fields but the gauges only grow.
type Stats struct {
	Chains       atomic.Uint64 // requests taken from the ring
	BadChains    atomic.Uint64 // malformed ones, given back unanswered
	Kicks        atomic.Uint64 // wake-ups by the driver
	Interrupts   atomic.Uint64 // notifications of the driver
	BrokenQueues atomic.Uint64 // queues given up
	Blocked      atomic.Uint64 // operations announced as blocking
	Stuck        atomic.Uint64 // operations that the monitor found to take long
	Threads      atomic.Int64  // gauge: worker threads
	InFlight     atomic.Int64  // gauge: requests taken and not yet answered, at the last look
}

// Stats returns the device's counters, those of the running queue included.
func (d *Device) Stats() *Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.service != nil {
		d.service.collect()
	}
	return &d.stats
}
