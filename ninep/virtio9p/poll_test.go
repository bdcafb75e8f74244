// SPDX-License-Identifier: Apache-2.0

package virtio9p

import "testing"

const maxPoll = 50_000 // nanoseconds

// polls runs a poller through waits that take so long each, and returns for how long it
// looked in all and how many requests it has seen. Where the driver cannot run while the
// device looks, its time begins when that has ended.
func polls(p *poller, waits int, gap int64, starved bool) (looked int64, seen int) {
	for range waits {
		idle := gap
		switch {
		case starved:
			looked += p.window
			idle += p.window
		case gap <= p.window:
			looked += gap
			seen++
		default:
			looked += p.window
		}
		p.adapt(idle)
	}
	return looked, seen
}

func TestPollerFollowsTheRequests(t *testing.T) {
	for name, c := range map[string]struct {
		gap     int64 // nanoseconds between answer and next request
		starved bool
		seen    float64 // at least so many of the requests
		looked  int64   // at most so many nanoseconds for each
	}{
		"at once":            {gap: 1_000, seen: 0.999, looked: 1_100},
		"soon":               {gap: 30_000, seen: 0.999, looked: 30_100},
		"just in time":       {gap: maxPoll, seen: 0.999, looked: maxPoll + 100},
		"too late":           {gap: maxPoll + 1, looked: 0},
		"seldom":             {gap: 1_000_000, looked: 0},
		"the same processor": {gap: 3_000, starved: true, looked: 100},
	} {
		t.Run(name, func(t *testing.T) {
			const waits = 20_000
			p := poller{max: maxPoll}
			looked, seen := polls(&p, waits, c.gap, c.starved)
			if float64(seen) < c.seen*waits {
				t.Errorf("%d of %d requests seen", seen, waits)
			}
			if looked > c.looked*waits {
				t.Errorf("looked for %d ns for each request, %d are enough", looked/waits, c.looked)
			}
		})
	}
}

// A guest that pauses is not looked out for, and is when it goes on.
func TestPollerAfterPause(t *testing.T) {
	p := poller{max: maxPoll}
	polls(&p, 1000, 2_000, false)
	for range 20 {
		polls(&p, 5, 10_000_000, false) // 10 ms
	}
	if p.window != 0 {
		t.Errorf("a window of %d ns while nothing comes", p.window)
	}
	if _, seen := polls(&p, 200, 2_000, false); seen < 150 {
		t.Errorf("%d of 200 requests seen after the pause", seen)
	}
	// And after a time in which it was of no use.
	polls(&p, 5000, 3_000, true)
	if _, seen := polls(&p, 3*maxRest, 3_000, false); seen < maxRest {
		t.Errorf("%d of %d requests seen after the driver got a processor", seen, 3*maxRest)
	}
}
