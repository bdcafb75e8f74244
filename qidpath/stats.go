// SPDX-License-Identifier: Apache-2.0

package qidpath

import (
	"sync/atomic"
	"time"
)

// Stats is a snapshot of a Table's counters. They count from New; each is exact,
// but they are not read at one instant.
type Stats struct {
	Entries         int // elements in use, stored ones and, without a Store, those in memory
	Volatile        int // keys with a volatile prefix
	Numbers         int // files numbered by the full map
	VolatileNumbers int // those whose number is not stored

	Loads         uint64            // loads that succeeded
	LoadFailures  map[Reason]uint64 // has every reason
	Stores        uint64            // appends and flushes that succeeded
	StoreFailures map[Reason]uint64 // appends and flushes that failed; has every reason

	BytesStored uint64        // bytes written by a Store and a FullMap that have a method BytesWritten() uint64
	StoreTime   time.Duration // sum over all appends and flushes, failed ones too
	LastStore   time.Duration // how long the last append or flush took

	Place string // where the table is, as a Store says it that has a method Place() string

	// Degraded is set while a path is in use that a restart will change, or
	// after the Store's last operation failed. It is never set without a Store.
	Degraded bool
}

// counters are the atomics behind Stats, so that Stats need not wait for a
// store that takes long.
type counters struct {
	entries, volatile           atomic.Int64
	numbers, volatileNumbers    atomic.Int64
	unsettled                   atomic.Int64
	loads, stores               atomic.Uint64
	loadFailures, storeFailures [reasonCount]atomic.Uint64
	storeTime, lastStore        atomic.Int64 // ns
	lastFailed                  atomic.Bool
}

// Stats returns the counters as they stand. It never blocks.
func (t *Table) Stats() Stats {
	c := &t.counters
	s := Stats{
		Entries:  int(c.entries.Load()),
		Volatile: int(c.volatile.Load()),

		Numbers:         int(c.numbers.Load()),
		VolatileNumbers: int(c.volatileNumbers.Load()),

		Loads:         c.loads.Load(),
		LoadFailures:  byReason(&c.loadFailures),
		Stores:        c.stores.Load(),
		StoreFailures: byReason(&c.storeFailures),
		StoreTime:     time.Duration(c.storeTime.Load()),
		LastStore:     time.Duration(c.lastStore.Load()),
	}
	if t.store == nil {
		return s
	}
	if p, ok := t.store.(interface{ Place() string }); ok {
		s.Place = p.Place()
	}
	for _, w := range []any{t.store, t.fullMap} {
		if w, ok := w.(interface{ BytesWritten() uint64 }); ok {
			s.BytesStored += w.BytesWritten()
		}
	}
	s.Degraded = s.Volatile > 0 || s.VolatileNumbers > 0 || c.lastFailed.Load()
	return s
}

func byReason(counts *[reasonCount]atomic.Uint64) map[Reason]uint64 {
	m := make(map[Reason]uint64, reasonCount)
	for r := range counts {
		m[Reason(r)] = counts[r].Load()
	}
	return m
}
