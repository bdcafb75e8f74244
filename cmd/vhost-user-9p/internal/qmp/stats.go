// SPDX-License-Identifier: Apache-2.0

package qmp

import (
	"fmt"
	"sync/atomic"
)

// Reason says at what a connection failed.
type Reason int

// At what it failed.
const (
	ReasonConnect   Reason = iota // nobody listens at the socket
	ReasonNegotiate               // what came was no greeting of QMP, or no answer to the first command
	ReasonRead                    // a line without an end, or the connection broke
	reasonCount
)

var reasonNames = [reasonCount]string{"connect", "negotiate", "read"}

func (r Reason) String() string {
	if r < 0 || r >= reasonCount {
		return fmt.Sprintf("Reason(%d)", int(r))
	}
	return reasonNames[r]
}

// Stats is a snapshot of a Watcher's counters. They count from Watch.
type Stats struct {
	Connected   bool              // events are being received
	Connections uint64            // that were negotiated
	Failures    map[Reason]uint64 // has every reason
	Events      map[Event]uint64  // has every event
}

type counters struct {
	connected   atomic.Bool
	connections atomic.Uint64
	failures    [reasonCount]atomic.Uint64
	events      [eventCount]atomic.Uint64
}

func (c *counters) snapshot() Stats {
	s := Stats{
		Connected:   c.connected.Load(),
		Connections: c.connections.Load(),
		Failures:    make(map[Reason]uint64, reasonCount),
		Events:      make(map[Event]uint64, eventCount),
	}
	for r := range c.failures {
		s.Failures[Reason(r)] = c.failures[r].Load()
	}
	for e := range c.events {
		s.Events[Event(e)] = c.events[e].Load()
	}
	return s
}
