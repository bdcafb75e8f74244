// SPDX-License-Identifier: Apache-2.0

package vhostuser

import "sync/atomic"

// counters counts what happens on a Server.
type counters struct {
	connections   atomic.Uint64
	refused       atomic.Uint64
	connected     atomic.Bool
	messages      [numRequests]atomic.Uint64 // 0: those without a row
	nacks         atomic.Uint64
	framingErrors atomic.Uint64
	panics        atomic.Uint64
	ringStarts    atomic.Uint64
	ringFailures  atomic.Uint64
}

func (c *counters) message(r Request) {
	if r >= numRequests {
		r = 0
	}
	c.messages[r].Add(1)
}

// Stats is a snapshot of a Server's counters.
type Stats struct {
	Connections   uint64 // front ends served
	Refused       uint64 // front ends sent away because another one was being served
	Connected     bool   // a front end is being served
	Messages      map[Request]uint64
	Unknown       uint64 // messages with numbers that no request has
	Nacks         uint64 // requests refused
	FramingErrors uint64 // connections on which something came that is no message
	Panics        uint64 // requests ended by a panic, or by a page of guest memory that is gone
	RingStarts    uint64
	RingFailures  uint64 // rings that could not be started as configured
}

func (c *counters) snapshot() Stats {
	s := Stats{
		Connections:   c.connections.Load(),
		Refused:       c.refused.Load(),
		Connected:     c.connected.Load(),
		Messages:      map[Request]uint64{},
		Unknown:       c.messages[0].Load(),
		Nacks:         c.nacks.Load(),
		FramingErrors: c.framingErrors.Load(),
		Panics:        c.panics.Load(),
		RingStarts:    c.ringStarts.Load(),
		RingFailures:  c.ringFailures.Load(),
	}
	for r := 1; r < numRequests; r++ {
		if n := c.messages[r].Load(); n != 0 {
			s.Messages[Request(r)] = n
		}
	}
	return s
}
